"""The worker: what takes longer than a request may, in slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from chalicelib import clock, queues
from chalicelib.campaigns import audit, enrolment, store
from chalicelib.dialing import store as calls
from chalicelib.errors import NotFound
from chalicelib.log import logger
from chalicelib.queues import Audit, Enrol, Job, Redial, Remove

SLICE = timedelta(minutes=4)
REMOVED_AT_ONCE = 200


def handle(bodies: Iterable[str], *, now: Callable[[], datetime] = clock.now) -> None:
    """Do each job, or a slice of it; doing one again changes nothing more."""
    for body in bodies:
        job = queues.decode(body, Job)
        until = now() + SLICE
        match job:
            case Enrol():
                _in_campaign(lambda: enrolment.in_background(job, now=now, until=until))
            case Remove():
                _remove(job, now, until)
            case Redial():
                _in_campaign(lambda: enrolment.redial(job, now=now, until=until))
            case Audit():
                _in_campaign(lambda: audit.audit(job.organization_id, job.campaign_id, now=now))


def _in_campaign(work: Callable[[], object]) -> None:
    """Do a campaign's work; it is over when the campaign is gone."""
    try:
        work()
    except NotFound:
        logger().info("the campaign is gone")


def _remove(order: Remove, now: Callable[[], datetime], until: datetime) -> None:
    while calls.remove_some(order.campaign_id, REMOVED_AT_ONCE):
        if now() >= until:
            return queues.work(order)
    store.forget(order.organization_id, order.campaign_id)
