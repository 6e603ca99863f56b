"""The publisher: changes of rows, as the tables' streams tell them, become events on the organization's sockets."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from chalicelib import clock
from chalicelib.campaigns import store as campaigns
from chalicelib.contacts import store as contacts
from chalicelib.dialing import store as calls
from chalicelib.imports import store as imports
from chalicelib.log import logger
from chalicelib.realtime import events, poster, store, wire
from chalicelib.realtime.events import Event
from chalicelib.realtime.poster import Gone
from chalicelib.realtime.store import Socket
from chalicelib.settings import settings

YOUNG = timedelta(seconds=30)
"""A connection younger than this may not be open yet: its 410 is tried again, and it is never forgotten for it."""

POSTS_AT_ONCE = 16
PAUSES = (0.1, 0.3, 1.0, 2.0)
"""Seconds between the tries of a post to a connection that is not open yet."""

Post = Callable[[str, str], None]


def handle(
    records: Iterable[dict[str, Any]], *, post: Post = poster.post, now: Callable[[], datetime] = clock.now
) -> None:
    """Publish what a batch of stream records tells, each organization's to its own sockets."""
    by_organization: dict[str, list[Event]] = defaultdict(list)
    for record in records:
        for event in _events(record):
            by_organization[event.organization_id].append(event)
    for organization_id, told in by_organization.items():
        sockets = store.of_organization(organization_id)
        if sockets:
            _publish(sockets, events.condensed(told), post, now)


def _events(record: dict[str, Any]) -> list[Event]:
    """The events of a stream record.

    Shape: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html
    """
    table = record["eventSourceARN"].split("/")[1]
    old, new = record["dynamodb"].get("OldImage"), record["dynamodb"].get("NewImage")
    if new is None:
        return []
    if table == settings().calls_table:
        return events.of_call(old and calls.of_image(old), calls.of_image(new))
    if table == settings().campaigns_table and campaigns.is_live(new):
        return events.of_campaign(old and campaigns.of_image(old), campaigns.of_image(new))
    if table == settings().contacts_table:
        return events.of_contact(contacts.of_image(new))
    if table == settings().imports_table:
        return events.of_import(imports.of_image(new))
    return []


def _publish(sockets: Sequence[Socket], told: Sequence[Event], post: Post, now: Callable[[], datetime]) -> None:
    """Post events to sockets: in order on each, many sockets at once, so that a slow one delays nobody."""
    people = contacts.find_many(sockets[0].organization_id, {event.contact_id for event in told if event.contact_id})
    frames = [wire.encode(event.name, _complete(event, people)) for event in told]
    with ThreadPoolExecutor(min(POSTS_AT_ONCE, len(sockets))) as pool:
        for _ in pool.map(lambda socket: _post_all(socket, frames, post, now), sockets):
            pass


def _complete(event: Event, people: dict[str, Any]) -> Any:
    if event.contact_id is None:
        return event.data
    return event.data | {"contact": people.get(event.contact_id) or {"id": event.contact_id}}


def _post_all(socket: Socket, frames: Sequence[str], post: Post, now: Callable[[], datetime]) -> None:
    for frame in frames:
        if not _post(socket, frame, post, now):
            return


def _post(socket: Socket, frame: str, post: Post, now: Callable[[], datetime]) -> bool:
    """Post a frame; whether the socket is there. One that is gone is forgotten, unless it may still be opening."""
    for pause in (*PAUSES, None):
        try:
            post(socket.connection_id, frame)
        except Gone:
            if now() - clock.moment(socket.connected_at) > YOUNG:
                store.forget(socket)
                return False
            if pause is not None:
                time.sleep(pause)
        else:
            return True
    logger().warning("socket did not open in time", connectionId=socket.connection_id)
    return False
