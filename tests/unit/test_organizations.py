"""What an organization sets, over what the deployment has."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.errors import InvalidBody
from chalicelib.organizations.model import OrganizationSettings, Retention, check
from tests.unit.builders import some_hours

HOURS, NIGHTS = some_hours(), some_hours(from_="22:00", to="06:00")
DEPLOYMENTS = OrganizationSettings(
    timezone="Asia/Tashkent",
    default_calling_hours=HOURS,
    allowed_countries=["KZ", "UZ"],
    retention_days=Retention(calls=365, imports=30),
)
ANYWHERE = OrganizationSettings(timezone="Asia/Tashkent", retention_days=Retention())


def test_what_is_not_set_is_the_deployments() -> None:
    assert OrganizationSettings().over(DEPLOYMENTS) == DEPLOYMENTS


def test_what_is_set_holds() -> None:
    own = OrganizationSettings(timezone="Asia/Almaty", calling_paused=True, default_calling_hours=NIGHTS)
    assert own.over(DEPLOYMENTS) == OrganizationSettings(
        timezone="Asia/Almaty",
        calling_paused=True,
        default_calling_hours=NIGHTS,
        allowed_countries=["KZ", "UZ"],
        retention_days=Retention(calls=365, imports=30),
    )


def test_kinds_of_data_are_kept_each_as_long_as_is_said_of_it() -> None:
    own = OrganizationSettings(retention_days=Retention(contacts=90, calls=7))
    assert own.over(DEPLOYMENTS).retention_days == Retention(contacts=90, calls=7, imports=30)


@pytest.mark.parametrize(("own", "left"), [(["UZ"], ["UZ"]), (["TR", "UZ"], ["UZ"]), (["TR"], [])])
def test_deployment_that_narrows_its_countries_narrows_everybodys(own: list[str], left: list[str]) -> None:
    assert OrganizationSettings(allowed_countries=own).over(DEPLOYMENTS).allowed_countries == left
    assert OrganizationSettings(allowed_countries=own).over(ANYWHERE).allowed_countries == own


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"timezone": "Tashkent"}, "timezone"),
        ({"default_calling_hours": some_hours("Mars")}, "defaultCallingHours.timezone"),
        ({"default_calling_hours": some_hours(days=["SOME"])}, "defaultCallingHours.days"),
        ({"allowed_countries": ["UZ", "XX"]}, "allowedCountries[1]"),
        ({"allowed_countries": ["TR"]}, "allowedCountries[0]"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        check(given, DEPLOYMENTS)
    assert [error.field for error in refused.value.errors] == [field]


def test_sensible_settings_are_taken() -> None:
    given = {"timezone": "Asia/Almaty", "default_calling_hours": NIGHTS, "allowed_countries": ["UZ"]}
    check(given, DEPLOYMENTS)
    check(given | {"allowed_countries": ["TR"]}, ANYWHERE)
    check({"timezone": None, "default_calling_hours": None, "allowed_countries": None}, DEPLOYMENTS)
