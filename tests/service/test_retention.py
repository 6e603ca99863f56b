"""What is too old is removed by the day's sweep, as each organization has set it."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib import clock, worker
from chalicelib.aws import sqs
from chalicelib.calls.model import CallStatus, Result
from chalicelib.privacy import retention
from chalicelib.privacy.messages import Erase, Sweep
from chalicelib.privacy.retention import SWEEPERS
from chalicelib.settings import settings
from tests import caches
from tests.service.agents import ScriptedAgent
from tests.service.calling import orders
from tests.service.cloud import Cloud, in_an

PHONE = "+998935551122"
SAID = Result(call_status=CallStatus.SUCCESS, outcome="promised", summary="a long talk")


def sweep(cloud: Cloud, *, days: float) -> None:
    """The sweeps of a day so many days from now, and what they order."""
    at = in_an(days=days)
    for kind in SWEEPERS:
        worker.handle([sqs.encode(Sweep(kind=kind))], now=lambda: at)
    while jobs := cloud.take(settings().jobs_queue):
        worker.handle(jobs, now=lambda: at)


def a_call(cloud: Cloud, organization: str = "1") -> tuple[str, str]:
    """A campaign and a contact that was called."""
    person = cloud.a_contact(PHONE, organization=organization)["id"]
    campaign_id = cloud.a_campaign([person], organization=organization)["id"]
    cloud.post(f"/campaigns/{campaign_id}/start", organization=organization)
    cloud.pace_all()
    ScriptedAgent(SAID).dial(orders(cloud))
    cloud.settle()
    return campaign_id, person


@pytest.mark.sweeps
def test_what_was_said_goes_when_it_is_too_old(cloud: Cloud) -> None:
    campaign_id, person = a_call(cloud)
    cloud.patch("/settings", {"retentionDays": {"calls": 10}})
    sweep(cloud, days=9)
    assert cloud.call(campaign_id, person)["conversationSummary"] == SAID.summary
    sweep(cloud, days=11)
    call = cloud.call(campaign_id, person)
    assert (call["callStatus"], call["conversationOutcome"], call["conversationSummary"]) == ("SUCCESS", None, None)
    assert call["contact"]["phone"] == PHONE
    assert cloud.campaign(campaign_id)["successfulCalls"] == 1


@pytest.mark.sweeps
@pytest.mark.parametrize("days", [10, 400])
def test_contact_whom_nobody_called_or_changed_for_long_is_erased(cloud: Cloud, days: int) -> None:
    campaign_id, person = a_call(cloud)
    cloud.patch("/settings", {"retentionDays": {"contacts": days}})
    sweep(cloud, days=days - 1)
    assert cloud.get(f"/contacts/{person}").status == 200
    sweep(cloud, days=days + 1)
    assert cloud.get(f"/contacts/{person}").status == 404
    assert cloud.call(campaign_id, person)["conversationOutcome"] is None
    assert cloud.a_contact(PHONE)["status"] == "ACTIVE"


@pytest.mark.sweeps
def test_contact_whose_call_waits_is_kept(cloud: Cloud) -> None:
    person = cloud.a_contact(PHONE)["id"]
    cloud.a_campaign([person])
    cloud.patch("/settings", {"retentionDays": {"contacts": 10}})
    sweep(cloud, days=100)
    assert cloud.get(f"/contacts/{person}").status == 200


@pytest.mark.sweeps
def test_import_keeps_its_counts_alone(cloud: Cloud) -> None:
    import_id = cloud.upload(b"firstName,phone\nAli,12\nVali,901112200\n")["id"]
    cloud.arrive(f"uploads/1/{import_id}")
    cloud.patch("/settings", {"retentionDays": {"imports": 10}})
    sweep(cloud, days=9)
    assert cloud.get(f"/imports/{import_id}").body["errorReportUrl"]
    sweep(cloud, days=11)
    kept = cloud.get(f"/imports/{import_id}").body
    assert (kept["errors"], kept["errorReportUrl"], kept["created"], kept["failed"]) == ([], None, 1, 1)
    assert cloud.get("/contacts").body["meta"]["total"] == 1


@pytest.mark.sweeps
def test_each_organization_keeps_what_it_has_set(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_DAYS", '{"calls":10}')
    caches.clear()
    first, mine = a_call(cloud)
    second, theirs = a_call(cloud, "2")
    cloud.patch("/settings", {"retentionDays": {"calls": 100}}, organization="2")
    sweep(cloud, days=11)
    assert cloud.call(first, mine)["conversationSummary"] is None
    call = cloud.get(f"/campaigns/{second}/contacts/{theirs}", organization="2").body
    assert call["conversationSummary"] == SAID.summary


@pytest.mark.sweeps
def test_everything_is_kept_where_nobody_has_set_anything(cloud: Cloud) -> None:
    campaign_id, person = a_call(cloud)
    sweep(cloud, days=10_000)
    assert cloud.call(campaign_id, person)["conversationSummary"] == SAID.summary
    assert cloud.get(f"/contacts/{person}").status == 200


@pytest.mark.sweeps
def test_sweep_goes_on_where_its_time_was_up(cloud: Cloud) -> None:
    people = cloud.contacts(5)
    cloud.patch("/settings", {"retentionDays": {"contacts": 1}})
    at, slices = in_an(days=2), 0
    jobs = [sqs.encode(Sweep(kind="contacts"))]
    while jobs:
        slices += 1
        retention.sweep(sqs.decode(jobs[0], Sweep), now=lambda: at, until=at, page=2)
        told = [sqs.decode(job, worker.Job) for job in cloud.take(settings().jobs_queue)]
        jobs = [sqs.encode(job) for job in told if isinstance(job, Sweep)]
    assert slices >= 3
    assert [cloud.get(f"/contacts/{person}").status for person in people] == [404] * 5


@pytest.mark.sweeps
def test_erasure_whose_job_was_lost_is_taken_up_by_the_sweep(cloud: Cloud) -> None:
    person = cloud.a_contact(PHONE)["id"]
    cloud.patch("/settings", {"retentionDays": {"contacts": 1_000}})
    assert cloud.delete(f"/contacts/{person}?erase=true").status == 204
    cloud.take(settings().jobs_queue)
    worker.handle([sqs.encode(Sweep(kind="contacts"))], now=functools.partial(in_an, hours=1))
    assert Erase(organization_id="1", contact_id=person) in [
        sqs.decode(job, worker.Job) for job in cloud.take(settings().jobs_queue)
    ]


@pytest.mark.parametrize(("at", "begun"), [("2026-11-23T21:00:40Z", 3), ("2026-11-23T21:01:00Z", 0)])
def test_sweeps_begin_once_a_day(cloud: Cloud, at: str, begun: int) -> None:
    retention.begin_if_due(now=clock.moment(at))
    assert len(cloud.take(settings().jobs_queue)) == begun


def test_age_is_counted_in_days_since_a_moment() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    since = clock.stamp(now - timedelta(days=10))
    assert not retention.is_over(since, 10, now)
    assert retention.is_over(since, 9, now)
    assert not retention.is_over(since, None, now)
