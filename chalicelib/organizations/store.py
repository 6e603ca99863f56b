"""What organizations have set: a row per organization and name. Other rooms keep rows of other names here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from pynamodb.attributes import UnicodeAttribute

from chalicelib import clock
from chalicelib.aws.dynamodb import Row, get, patiently, still, table, update_if
from chalicelib.organizations.model import UNSAID, AgentSettings, CallingHours, Organization, Retention
from chalicelib.settings import settings

CALLING = "calling"
"""The name of the one row that an Organization is kept in."""


class Retentions(Struct, frozen=True):
    """How long data is kept: the deployment's, and by organization where that has set something."""

    usual: Retention
    own: dict[str, Retention]

    def days(self, organization_id: str, kind: str) -> int | None:
        """Days for which an organization's data of a kind is kept; None: for ever."""
        kept: int | None = getattr(self.own.get(organization_id, self.usual), kind)
        return kept

    def end(self, kind: str) -> bool:
        """Whether anybody's data of a kind is removed some day."""
        return any(getattr(each, kind) is not None for each in (self.usual, *self.own.values()))


class SettingsRow(Row, keeps=Organization):
    class Meta:
        table_name = table("settings_table")

    organization_id = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    name = UnicodeAttribute(range_key=True)


def deployments() -> Organization:
    """What holds for organizations that have set nothing: the environment."""
    given = settings()
    hours, kept = given.default_calling_hours, given.retention_days
    return Organization(
        timezone=given.fallback_timezone,
        default_calling_hours=msgspec.json.decode(hours, type=CallingHours | None) if hours else None,
        allowed_countries=given.allowed_countries.split(",") if given.allowed_countries else None,
        retention_days=msgspec.json.decode(kept, type=Retention) if kept else Retention(),
    )


def retentions() -> Retentions:
    """How long everybody's data is kept, of those who have set something; for sweeps."""
    rows = SettingsRow.scan(SettingsRow.name == CALLING)
    own = {row.organization_id: of_row(row).retention_days or Retention() for row in rows}
    return Retentions(deployments().retention_days or Retention(), own)


def key(organization_id: str) -> tuple[type[Row], str, str]:
    """Where an organization's settings are, for those who read them together with something else."""
    return SettingsRow, organization_id, CALLING


def of_row(row: Row | None) -> Organization:
    """The settings that hold, of what an organization has set."""
    return (row.value(Organization) if row else Organization()).over(deployments())


def find(organization_id: str) -> Organization:
    """The settings that hold for an organization right now."""
    return of_row(get(SettingsRow, organization_id, CALLING))


def change(organization_id: str, changes: dict[str, Any]) -> Organization:
    """Set some of an organization's settings by name, None lets go of one; the settings that hold then."""
    by_name = SettingsRow.get_attributes()
    actions: list[Any] = [
        by_name[name].remove() if value in UNSAID else by_name[name].set(value) for name, value in changes.items()
    ]
    row = SettingsRow(organization_id, CALLING)
    patiently(lambda: row.update(actions=actions))
    return of_row(row)


def set_agent(organization_id: str, provider: str, known: Organization, new: AgentSettings, *, done: bool) -> None:
    """Set what an organization has set of a provider, if nothing of that has changed since it was read.

    `done`: nobody writes secrets any more. Raises Conflict.
    """
    actions = [SettingsRow.agents.set(known.agents | {provider: new})]
    if done:
        actions.append(SettingsRow.secrets_until.remove())
    update_if(SettingsRow(organization_id, CALLING), actions, still(SettingsRow.agents, known.agents))


def begin_writing_secrets(organization_id: str, *, until: datetime, now: datetime) -> None:
    """Nobody else writes secrets of the organization until a moment, or `set_agent` is done. Raises Conflict."""
    free = SettingsRow.secrets_until.does_not_exist() | (SettingsRow.secrets_until < clock.stamp(now))
    update_if(SettingsRow(organization_id, CALLING), [SettingsRow.secrets_until.set(clock.stamp(until))], free)
