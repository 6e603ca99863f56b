"""What an organization sets for itself: one Struct that requests, its row and answers share."""

from __future__ import annotations

from typing import Annotated, Any, Self

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import force_setattr, replace

from chalicelib import bodies
from chalicelib.bodies import CLEARABLE
from chalicelib.clock import TIMEZONE_EXPECTED, is_date, is_timezone
from chalicelib.errors import FieldError, InvalidBody

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
CONTACT = "contact"
"""The time zone that stands for each contact's own."""

Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z", description="two capital letters such as UZ")]
Countries = Annotated[list[Country], Meta(min_length=1, max_length=300)]
KeptDays = Annotated[int, Meta(ge=1, le=36_500)]


UNSAID = (None, "")
"""What an organization has not set is."""


class CallingHours(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=False):
    """When contacts may be called: `from`–`to` on `days`, not on `holidays`, in a time zone or in the contact's own.

    `fallback_timezone` is for contacts of whom nobody knows their own; the organization's where it is absent.
    """

    timezone: str
    days: Annotated[list[str], Meta(min_length=1, max_length=7)]
    from_: Annotated[str, Meta(pattern=r"^([01]?[0-9]|2[0-3]):[0-5][0-9]\Z", description="HH:MM")] = msgspec.field(
        name="from"
    )
    to: Annotated[str, Meta(pattern=r"^(([01]?[0-9]|2[0-3]):[0-5][0-9]|24:00)\Z", description="HH:MM, up to 24:00")]
    holidays: Annotated[list[str], Meta(max_length=400)] = msgspec.field(default_factory=list)
    fallback_timezone: str | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        """As they are kept, whoever wrote 9:00 or mon."""
        force_setattr(self, "from_", self.from_.zfill(5))
        force_setattr(self, "to", self.to.zfill(5))
        force_setattr(self, "days", [day.upper() for day in self.days])


class Retention(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """After how many days what is known of people is removed, per kind of data; None: not until somebody does it."""

    contacts: KeptDays | None = None
    """Since a contact was last called or changed."""

    calls: KeptDays | None = None
    """Since a call ended: what was said in it, not that it was made."""

    imports: KeptDays | None = None
    """Since an import: its file, what was wrong in it, its report."""


class OrganizationSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """How an organization calls. None, or no text: as the deployment has it, for which None is any time or country."""

    timezone: Annotated[str, CLEARABLE] = ""
    """Where the organization is, and where its contacts are taken to be of whom nobody knows it."""

    calling_paused: bool = False
    """Nobody is dialed; no campaign's status changes."""

    default_calling_hours: CallingHours | None = None
    """Of campaigns that name none."""

    allowed_countries: Countries | None = None
    """ISO 3166 codes of the countries whose numbers may be saved and called."""

    retention_days: Retention | None = None

    def over(self, deployments: Self) -> Self:
        """These settings, with the deployment's where they say nothing. Of countries only the deployment's remain."""
        own = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) not in UNSAID}
        most = deployments.allowed_countries
        if self.allowed_countries is not None and most is not None:
            own["allowed_countries"] = [each for each in self.allowed_countries if each in most]
        if self.retention_days and deployments.retention_days:
            own["retention_days"] = _filled(self.retention_days, deployments.retention_days)
        return replace(deployments, **own)


class AgentSettings(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What an organization has set of a provider of voice agents: members by the names of the API, which secrets it has
    written, and how often. The secrets are elsewhere; `agents.settings` says what the members mean.
    """

    values: dict[str, Any] = {}
    secrets: list[str] = []
    version: int = 0


class Organization(OrganizationSettings, frozen=True, kw_only=True):
    """What an organization has set, as it is kept. `view` is what the API shows of its settings."""

    agents: dict[str, AgentSettings] = {}
    """By provider."""

    secrets_until: str | None = None
    """Until when somebody writes secrets, unless he is done before."""

    def view(self) -> OrganizationSettings:
        """The settings as the API shows them."""
        return OrganizationSettings(**{name: getattr(self, name) for name in OrganizationSettings.__struct_fields__})


def _filled(own: Retention, deployments: Retention) -> Retention:
    pairs = {name: (getattr(own, name), getattr(deployments, name)) for name in Retention.__struct_fields__}
    return Retention(**{name: most if mine is None else mine for name, (mine, most) in pairs.items()})


SettingsChange = bodies.change("SettingsChange", OrganizationSettings)


def check(given: dict[str, Any], deployments: OrganizationSettings) -> None:
    """What types alone do not say of the settings a request names. Raises InvalidBody naming the field."""
    errors = []
    if given.get("timezone") and not is_timezone(given["timezone"]):
        errors.append(FieldError("timezone", TIMEZONE_EXPECTED))
    if given.get("default_calling_hours"):
        errors += faults(given["default_calling_hours"], "defaultCallingHours")
    for n, country in enumerate(given.get("allowed_countries") or []):
        if said := _country_fault(country, deployments.allowed_countries):
            errors.append(FieldError(f"allowedCountries[{n}]", said))
    if errors:
        raise InvalidBody(*errors)


def _country_fault(country: str, allowed: list[str] | None) -> str | None:
    if not is_country(country):
        return f"there is no country {country} that has phone numbers; expected an ISO 3166 code such as UZ"
    if allowed is not None and country not in allowed:
        return f"this deployment calls only {', '.join(allowed)}"
    return None


def is_country(code: str) -> bool:
    """Whether it is the ISO 3166 code of a country that has phone numbers."""
    import phonenumbers

    return code in phonenumbers.SUPPORTED_REGIONS


def faults(hours: CallingHours, field: str) -> list[FieldError]:
    """What types alone do not say of hours that a request gives in a field."""
    errors = []
    if hours.timezone != CONTACT and not is_timezone(hours.timezone):
        errors.append(FieldError(f"{field}.timezone", f"{TIMEZONE_EXPECTED}, or contact"))
    if hours.fallback_timezone and not is_timezone(hours.fallback_timezone):
        errors.append(FieldError(f"{field}.fallbackTimezone", TIMEZONE_EXPECTED))
    if [day for day in hours.days if day not in DAYS]:
        errors.append(FieldError(f"{field}.days", f"expected {', '.join(DAYS)}"))
    if hours.from_ == hours.to:
        errors.append(FieldError(f"{field}.to", "expected another time than from"))
    if not all(map(is_date, hours.holidays)):
        errors.append(FieldError(f"{field}.holidays", "expected dates as YYYY-MM-DD"))
    return errors
