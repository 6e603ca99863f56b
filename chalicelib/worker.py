"""The worker: what takes longer than a request may, in slices. Each job is handed to the room it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from chalicelib import clock
from chalicelib.aws import sqs
from chalicelib.calls.model import Call
from chalicelib.campaigns import audit, control, enrolment, removing, results
from chalicelib.campaigns import messages as campaigns
from chalicelib.campaigns.messages import Audit, Enrol, Redial, Remove, WriteResults
from chalicelib.errors import NotFound
from chalicelib.log import logger
from chalicelib.organizations.messages import LookAgain
from chalicelib.privacy import erasing, retention
from chalicelib.privacy import messages as privacy
from chalicelib.privacy.messages import Erase, Sweep
from chalicelib.realtime import broadcaster, poster, sockets
from chalicelib.realtime import messages as live
from chalicelib.realtime.messages import CatchUp, Greet, Refuse, Replay, SumUp, TellLast
from chalicelib.realtime.poster import Line

SLICE = timedelta(minutes=4)

Job = LookAgain | privacy.Job | campaigns.Job | live.Job

Now = Callable[[], datetime]


def handle(bodies: Iterable[str], *, now: Now = clock.now, line: Line = poster) -> None:
    """Do each job, or a slice of it; doing one again changes nothing more."""
    for body in bodies:
        job = sqs.decode(body, Job)
        try:
            _do(job, now, now() + SLICE, line)
        except NotFound:
            logger().info("what the job is about is gone", job=type(job).__name__)


def _do(job: Job, now: Now, until: datetime, line: Line) -> None:
    if isinstance(job, live.Job):
        _tell(job, now, line)
    else:
        _work(job, now, until)


def _work(job: LookAgain | privacy.Job | campaigns.Job, now: Now, until: datetime) -> None:
    match job:
        case LookAgain():
            control.wake_running(job.organization_id)
        case Erase():
            erasing.erase(job, withdraw=lambda call: _withdraw(call, now()), now=now, until=until)
        case Sweep():
            retention.sweep(job, now=now, until=until)
        case Enrol():
            enrolment.in_background(job, now=now, until=until)
        case Redial():
            enrolment.redial(job, now=now, until=until)
        case Audit():
            audit.audit(job, now=now, until=until)
        case WriteResults():
            results.write(job, now=now, until=until)
        case Remove():
            removing.remove(job, now=now, until=until)


def _withdraw(call: Call, now: datetime) -> None:
    enrolment.withdraw(call.organization_id, call.campaign_id, call.contact_id, now=now)


def _tell(job: live.Job, now: Now, line: Line) -> None:
    match job:
        case Refuse():
            sockets.refuse(job.connection_id, line=line)
        case Greet():
            sockets.greet(job, line=line)
        case Replay():
            broadcaster.replay(job, line=line, now=now)
        case TellLast() | CatchUp() | SumUp():
            live.broadcast(job)
