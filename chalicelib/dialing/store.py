"""Test calls: rows beside an organization's settings, which expire."""

from __future__ import annotations

import hashlib
from datetime import datetime

from pynamodb.attributes import NumberAttribute, TTLAttribute, UnicodeAttribute

from chalicelib import clock
from chalicelib.aws.dynamodb import Cancelled, Row, Transaction, get, table, update_if
from chalicelib.calls.model import CallStatus, Result
from chalicelib.dialing.model import AN_HOUR, KEPT, Trial
from chalicelib.errors import Conflict, NotFound, TooMany

TRIAL, COUNT = "test-call#", "test-calls-of#"
"""How the names of the rows begin."""

SECONDS_OF_AN_HOUR = 3_600


class TrialRow(Row, keeps=Trial):
    class Meta:
        table_name = table("settings_table")

    organization_id = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    name = UnicodeAttribute(range_key=True)
    expires_at = TTLAttribute(attr_name="expiresAt")


class CountRow(Row):
    """How many test calls a person has asked for in an hour."""

    class Meta:
        table_name = table("settings_table")

    organization_id = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    name = UnicodeAttribute(range_key=True)
    asked = NumberAttribute()
    expires_at = TTLAttribute(attr_name="expiresAt")


def add(trial: Trial, person: str, *, now: datetime) -> Trial:
    """Keep a test call that a person asks for; as it is there if it was asked for before. Raises TooMany."""
    row = TrialRow.of(trial, name=TRIAL + trial.call_id, expires_at=now + KEPT)
    name = f"{COUNT}{hashlib.sha256(person.encode()).hexdigest()}#{clock.minute(now)[:13]}"
    fewer = CountRow.asked.does_not_exist() | (CountRow.asked < AN_HOUR)
    transaction = Transaction()
    transaction.put(row, TrialRow.name.does_not_exist(), tag="trial")
    actions = [CountRow.asked.add(1), CountRow.expires_at.set(now + KEPT)]
    transaction.update(CountRow(trial.organization_id, name), actions, fewer, tag="count")
    try:
        transaction.commit()
    except Cancelled as cancelled:
        if "trial" in cancelled.failed:
            return find(trial.organization_id, trial.call_id)
        said = f"A person may make {AN_HOUR} test calls an hour."
        raise TooMany(said, SECONDS_OF_AN_HOUR - int(now.timestamp()) % SECONDS_OF_AN_HOUR) from None
    return trial


def find(organization_id: str, call_id: str) -> Trial:
    """A test call as it is right now. Raises NotFound."""
    row = get(TrialRow, organization_id, TRIAL + call_id)
    if row is None:
        raise NotFound
    return row.value(Trial)


def begin(trial: Trial, provider: str, until: datetime, *, now: datetime) -> None:
    """PENDING → CALLING by a provider. Raises Conflict when it was begun before, or is over."""
    actions = [
        TrialRow.status.set(CallStatus.CALLING),
        TrialRow.provider.set(provider),
        TrialRow.started_at.set(clock.stamp(now)),
        TrialRow.until.set(clock.stamp(until)),
    ]
    update_if(_row(trial.organization_id, trial.call_id), actions, TrialRow.status == CallStatus.PENDING)


def end(organization_id: str, call_id: str, result: Result, *, now: datetime) -> None:
    """Keep how a test call ended, unless that is known or the call is forgotten."""
    actions = [
        TrialRow.status.set(result.call_status),
        TrialRow.result.set(result.cut()),
        TrialRow.ended_at.set(clock.stamp(now)),
    ]
    goes_on = TrialRow.status.is_in(CallStatus.PENDING, CallStatus.CALLING)
    try:
        update_if(_row(organization_id, call_id), actions, goes_on)
    except Conflict:
        return


def forget(organization_id: str, *, phone: str, contact_id: str) -> None:
    """Remove a person's test calls."""
    rows = TrialRow.query(organization_id, TrialRow.name.startswith(TRIAL), consistent_read=True)
    for row in [each for each in rows if phone == each.phone or contact_id == each.contact_id]:
        row.delete()


def _row(organization_id: str, call_id: str) -> TrialRow:
    return TrialRow(organization_id, TRIAL + call_id)
