"""The worker: what takes longer than a request may, in slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from chalicelib import clock, queues
from chalicelib.campaigns import audit, enrolment, results, store
from chalicelib.dialing import store as calls
from chalicelib.errors import NotFound
from chalicelib.log import logger
from chalicelib.queues import Audit, CatchUp, Enrol, Job, Redial, Refuse, Remove, SumUp, WriteResults
from chalicelib.realtime import sockets

SLICE = timedelta(minutes=4)
REMOVED_AT_ONCE = 200

Now = Callable[[], datetime]


def handle(bodies: Iterable[str], *, now: Now = clock.now) -> None:
    """Do each job, or a slice of it; doing one again changes nothing more."""
    for body in bodies:
        job = queues.decode(body, Job)
        try:
            _do(job, now, now() + SLICE)
        except NotFound:
            logger().info("what the job is about is gone", job=type(job).__name__)


def _do(job: Job, now: Now, until: datetime) -> None:
    match job:
        case Enrol():
            enrolment.in_background(job, now=now, until=until)
        case Redial():
            enrolment.redial(job, now=now, until=until)
        case Audit():
            audit.audit(job.organization_id, job.campaign_id, now=now)
        case WriteResults():
            results.write(job, now=now, until=until)
        case Remove():
            _remove(job, now, until)
        case Refuse():
            sockets.refuse(job.connection_id)
        case CatchUp() | SumUp():
            queues.broadcast(job)


def _remove(order: Remove, now: Now, until: datetime) -> None:
    while calls.remove_some(order.campaign_id, REMOVED_AT_ONCE):
        if now() >= until:
            queues.work(order)
            return
    results.forget(order.organization_id, order.campaign_id)
    store.forget(order.organization_id, order.campaign_id)
