"""The publisher: changes of rows, as the tables' streams tell them, become events for the organization's sockets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import msgspec

from chalicelib import clock
from chalicelib.calls import store as calls
from chalicelib.campaigns import store as campaigns
from chalicelib.contacts import store as contacts
from chalicelib.imports import store as imports
from chalicelib.realtime import events, messages, poster, sockets, store
from chalicelib.realtime.events import Event
from chalicelib.realtime.messages import Greet, Tell, TellLast
from chalicelib.realtime.model import Told
from chalicelib.realtime.poster import Line
from chalicelib.settings import settings

MESSAGE_EVENTS, MESSAGE_BYTES = 100, 200_000
"""Of one message; SQS takes 256 KB."""

OPENINGS_AT_ONCE = 16


def handle(records: Iterable[dict[str, Any]], *, line: Line = poster, now: Callable[[], datetime] = clock.now) -> None:
    """Announce what a batch of stream records tells, and greet the sockets that are opening."""
    told: dict[str, list[tuple[str, Event]]] = defaultdict(list)
    since: dict[str, str] = {}
    opening = []
    for record in records:
        if _table(record) == settings().connections_table:
            opening += _opening(record)
        for n, event in enumerate(_events(record)):
            told[event.organization_id].append((event.record or f"{record['eventID']}:{n}", event))
            since.setdefault(event.organization_id, _at(record))
    for organization_id, named in told.items():
        if store.is_followed(store.feed(organization_id), now()):
            _announce(organization_id, events.condensed(named), since[organization_id])
    if opening:
        with ThreadPoolExecutor(min(OPENINGS_AT_ONCE, len(opening))) as pool:
            list(pool.map(lambda connection_id: sockets.greet(Greet(connection_id=connection_id), line=line), opening))


def _table(record: dict[str, Any]) -> str:
    name: str = record["eventSourceARN"].split("/")[1]
    return name


def _at(record: dict[str, Any]) -> str:
    """When the change of a stream record happened, to the second."""
    return clock.stamp(datetime.fromtimestamp(record["dynamodb"]["ApproximateCreationDateTime"], UTC))


def _events(record: dict[str, Any]) -> list[Event]:
    """The events of a stream record.

    Shape: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html
    """
    table = _table(record)
    old, new = record["dynamodb"].get("OldImage"), record["dynamodb"].get("NewImage")
    if new is None:
        return []
    if table == settings().calls_table:
        return events.of_call(old and calls.of_image(old), calls.of_image(new))
    if table == settings().campaigns_table and campaigns.is_live(new):
        return events.of_campaign(old and campaigns.of_image(old), campaigns.of_image(new))
    if table == settings().contacts_table and contacts.is_live(new):
        return events.of_contact(contacts.of_image(new))
    if table == settings().imports_table:
        return events.of_import(imports.of_image(new))
    return []


def _announce(organization_id: str, named: Sequence[tuple[str, Event]], at: str) -> None:
    people = contacts.find_many(organization_id, {event.contact_id for _, event in named if event.contact_id})
    told = [(_told(record, event, people), event.after) for record, event in named]
    for part in _parts([each for each, after in told if not after]):
        messages.broadcast(Tell(organization_id=organization_id, events=part, at=at))
    for each, after in told:
        if after:
            messages.broadcast(TellLast(organization_id=organization_id, events=[each], after=list(after), at=at))


def _told(record: str, event: Event, people: dict[str, Any]) -> Told:
    data = msgspec.Raw(msgspec.json.encode(_complete(event, people)))
    of = event.correlation_id
    return Told(record=record, name=event.name, data=data, campaign_id=event.campaign_id, correlation_id=of)


def _complete(event: Event, people: dict[str, Any]) -> Any:
    if event.contact_id is None:
        return event.data
    return event.data | {"contact": people.get(event.contact_id) or {"id": event.contact_id}}


def _parts(told: Sequence[Told]) -> Iterator[list[Told]]:
    """Events in order, as many together as a message takes."""
    part: list[Told] = []
    size = 0
    for each in told:
        size += len(each.data) + 300
        if part and (len(part) == MESSAGE_EVENTS or size > MESSAGE_BYTES):
            yield part
            part, size = [], len(each.data) + 300
        part.append(each)
    if part:
        yield part


def _opening(record: dict[str, Any]) -> list[str]:
    new = record["dynamodb"].get("NewImage")
    connection_id = store.opening_of_image(new) if new and record["eventName"] == "INSERT" else None
    return [connection_id] if connection_id else []
