"""What an organization sets for itself: one Struct that requests, its row and answers share."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Self

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import force_setattr, replace

from chalicelib import bodies, holidays
from chalicelib.bodies import CLEARABLE
from chalicelib.clock import TIMEZONE_EXPECTED, Date, Timezone, is_date, is_timezone
from chalicelib.errors import FieldError, InvalidBody

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
HOLIDAY = "HOLIDAY"
"""In place of a holiday's day of the week."""

CONTACT = "contact"
"""The time zone that stands for each contact's own."""

Day = Annotated[str, Meta(extra_json_schema={"enum": [*DAYS, HOLIDAY]})]
"""Taken in small letters, too."""

Country = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z]{2}\Z",
        description="two capital letters such as UZ",
        extra_json_schema={"format": "country"},
    ),
]
"""As `is_country` takes it."""

Countries = Annotated[list[Country], Meta(min_length=1, max_length=300)]
KeptDays = Annotated[int, Meta(ge=1, le=36_500)]


UNSAID = (None, "")
"""What an organization has not set is."""


Days = Annotated[list[Day], Meta(min_length=1, max_length=len(DAYS) + 1)]
From = Annotated[str, Meta(pattern=r"^([01]?[0-9]|2[0-3]):[0-5][0-9]\Z", description="HH:MM")]
To = Annotated[str, Meta(pattern=r"^(([01]?[0-9]|2[0-3]):[0-5][0-9]|24:00)\Z", description="HH:MM, up to 24:00")]


class Window(Struct, frozen=True, forbid_unknown_fields=True):
    """From when to when contacts may be called on some days, of which `HOLIDAY` is one."""

    days: Days
    from_: From = msgspec.field(name="from")
    to: To

    def __post_init__(self) -> None:
        _tidy(self)


class CallingHours(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=False, dict=True):
    """When contacts may be called, in a time zone or in the contact's own: in each of `windows`, or the one of `days`,
    `from` and `to`. On `holidays`, and on the public ones of `holiday_country`, only the windows of `HOLIDAY` hold.

    `fallback_timezone` is for contacts of whom nobody knows their own; the organization's where it is absent.
    """

    timezone: Timezone
    days: Days | UnsetType = UNSET
    from_: From | UnsetType = msgspec.field(default=UNSET, name="from")
    to: To | UnsetType = UNSET
    windows: Annotated[list[Window], Meta(min_length=1, max_length=20)] | UnsetType = UNSET
    holidays: Annotated[list[Date], Meta(max_length=400)] = msgspec.field(default_factory=list)
    holiday_country: Country | UnsetType | None = UNSET
    fallback_timezone: Timezone | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        _tidy(self)

    @functools.cached_property
    def opens(self) -> list[Window]:
        """The windows, also of hours that are given as one."""
        if self.windows is not UNSET:
            return self.windows
        return [Window(self.days or [], self.from_ or "", self.to or "")]

    @functools.cached_property
    def spans(self) -> dict[str, list[tuple[str, str]]]:
        """From when to when it is open, by day; a day that is not there is closed."""
        days = {day for each in self.opens for day in each.days}
        return {day: [(each.from_, each.to) for each in self.opens if day in each.days] for day in days}

    @functools.cached_property
    def closed(self) -> frozenset[date]:
        """The holidays."""
        public = holidays.dates(self.holiday_country) if self.holiday_country else frozenset[date]()
        return public.union(map(date.fromisoformat, self.holidays))


def _tidy(given: Window | CallingHours) -> None:
    """Days and times are kept alike, whoever wrote 9:00 or mon."""
    if given.days:
        force_setattr(given, "days", [day.upper() for day in given.days])
    if given.from_:
        force_setattr(given, "from_", given.from_.zfill(5))
    if given.to:
        force_setattr(given, "to", given.to.zfill(5))


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

    timezone: Annotated[Timezone, CLEARABLE] = ""
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
    errors += _faults_of_windows(hours, field)
    if not all(map(is_date, hours.holidays)):
        errors.append(FieldError(f"{field}.holidays", "expected dates as YYYY-MM-DD"))
    if hours.holiday_country and not holidays.is_known(hours.holiday_country):
        said = "nobody knows its holidays; expected an ISO 3166 code such as UZ"
        errors.append(FieldError(f"{field}.holidayCountry", said))
    return errors


def _faults_of_windows(hours: CallingHours, field: str) -> Iterator[FieldError]:
    one = {"days": hours.days, "from": hours.from_, "to": hours.to}
    if hours.windows is UNSET:
        places = [field]
        absent = [name for name, value in one.items() if value is UNSET]
        yield from (FieldError(f"{field}.{name}", "required where there are no windows") for name in absent)
        if absent:
            return
    else:
        places = [f"{field}.windows[{n}]" for n in range(len(hours.windows))]
        both = [name for name, value in one.items() if value is not UNSET]
        yield from (FieldError(f"{field}.{name}", "leave it out: each of the windows has its own") for name in both)
    for place, window in zip(places, hours.opens, strict=True):
        if set(window.days) - {*DAYS, HOLIDAY}:
            yield FieldError(f"{place}.days", f"expected {', '.join((*DAYS, HOLIDAY))}")
        if window.from_ == window.to:
            yield FieldError(f"{place}.to", "expected another time than from")
