"""The worker: what takes longer than a request may, in slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from chalicelib import clock, queues
from chalicelib.campaigns import enrolment, store
from chalicelib.dialing import store as calls
from chalicelib.errors import NotFound
from chalicelib.log import logger
from chalicelib.queues import Enrol, Job, Remove

SLICE = timedelta(minutes=4)
REMOVED_AT_ONCE = 200


def handle(bodies: Iterable[str], *, now: Callable[[], datetime] = clock.now) -> None:
    """Do each job, or a slice of it; doing one again changes nothing more."""
    for body in bodies:
        job = queues.decode(body, Job)
        until = now() + SLICE
        match job:
            case Enrol():
                _enrol(job, now, until)
            case Remove():
                _remove(job, now, until)


def _enrol(order: Enrol, now: Callable[[], datetime], until: datetime) -> None:
    try:
        enrolment.in_background(order, now=now, until=until)
    except NotFound:
        logger().info("the campaign to enrol in is gone", campaignId=order.campaign_id)


def _remove(order: Remove, now: Callable[[], datetime], until: datetime) -> None:
    while calls.remove_some(order.campaign_id, REMOVED_AT_ONCE):
        if now() >= until:
            return queues.work(order)
    store.forget(order.organization_id, order.campaign_id)
