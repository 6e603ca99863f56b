"""What browsers are told of a row's change, and how it is written on plain sockets."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from chalicelib.calls.model import Attempt, Call, CallState, CallStatus
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.dialing.policy import replace
from chalicelib.realtime import events, plain
from chalicelib.realtime.events import Event
from chalicelib.realtime.model import Logged, Socket, Told
from tests.unit.builders import AT, a_call, a_campaign, a_contact, an_attempt, an_import

RUNNING, COMPLETED = CampaignStatus.RUNNING, CampaignStatus.COMPLETED


def of_call(old: Call | None, new: Call) -> list[tuple[Any, ...]]:
    """Status, outcome and summary that each `campaign-update` tells."""
    told = events.of_call(old, new)
    assert all(
        (one.name, one.contact_id, one.campaign_id) == ("campaign-update", "contact", "campaign") for one in told
    )
    return [(one.data["status"], one.data["outcome"], one.data["summary"]) for one in told]


def names(old: Campaign | None, new: Campaign) -> list[str]:
    return [one.name for one in events.of_campaign(old, new)]


def test_contact_is_told_whenever_it_is_written() -> None:
    [told] = events.of_contact(a_contact())
    assert (told.organization_id, told.name, told.data) == ("1", "contact-update", a_contact())


def test_call_that_begins_is_calling() -> None:
    assert of_call(a_call(CallState.QUEUED), a_call()) == [("calling", None, None)]


def test_call_that_is_enrolled_claimed_or_released_is_not_told() -> None:
    assert of_call(None, a_call(CallState.WAITING)) == []
    assert of_call(a_call(CallState.WAITING), a_call(CallState.QUEUED)) == []
    assert of_call(a_call(CallState.QUEUED), a_call(CallState.WAITING)) == []


def test_call_under_way_that_comes_to_nothing_is_told() -> None:
    assert of_call(a_call(), a_call(CallState.WAITING)) == [("PENDING", None, None)]
    assert of_call(a_call(), a_call(CallState.WAITING, release_reason="full")) == [("PENDING", "full", None)]


def test_last_call_that_comes_to_nothing_is_told_as_the_one_before_it_ended() -> None:
    before = [an_attempt("first", CallStatus.BUSY, outcome="Busy")]
    after = a_call(CallState.DONE, call_status=CallStatus.BUSY, attempts=before)
    assert of_call(a_call(attempts=before), after) == [(CallStatus.BUSY, "Busy", None)]
    assert of_call(a_call(CallState.WAITING, attempts=before), after) == []


@pytest.mark.parametrize("state", [each for each in CallState if each is not CallState.CALLING])
@pytest.mark.parametrize("attempts", [[], [an_attempt("first")]])
def test_whatever_ends_a_call_under_way_is_told_once(state: CallState, attempts: list[Attempt]) -> None:
    status = CallStatus.SKIPPED if state is CallState.DONE and not attempts else CallStatus.FAILED
    after = a_call(state, call_status=status, attempts=attempts, skip_reason="why")
    for before in ([], attempts):
        assert len(of_call(a_call(attempts=before), after)) == 1


def test_late_result_of_an_earlier_call_does_not_end_the_one_under_way() -> None:
    late = an_attempt("first", CallStatus.SUCCESS, outcome="Paid")
    assert of_call(a_call(attempts=[an_attempt("first", presumed=True)]), a_call(attempts=[late])) == []


@pytest.mark.parametrize("state", [CallState.DONE, CallState.WAITING])
def test_attempt_that_ended_is_told_also_when_another_follows(state: CallState) -> None:
    ended = [an_attempt("first", CallStatus.NO_ANSWER, outcome="No answer", summary="It rang.")]
    assert of_call(a_call(), a_call(state, attempts=ended)) == [(CallStatus.NO_ANSWER, "No answer", "It rang.")]


def test_late_result_is_told() -> None:
    before = a_call(CallState.DONE, attempts=[an_attempt("first", presumed=True)])
    after = a_call(CallState.DONE, attempts=[an_attempt("first", CallStatus.SUCCESS, outcome="Paid")])
    assert of_call(before, after) == [(CallStatus.SUCCESS, "Paid", None)]


def test_skipped_contact_is_told_with_the_reason() -> None:
    after = a_call(CallState.DONE, call_status=CallStatus.SKIPPED, skip_reason="DO_NOT_CALL", attempts=[])
    assert of_call(a_call(CallState.QUEUED), after) == [("SKIPPED", "DO_NOT_CALL", None)]


def test_call_that_is_written_again_unchanged_is_not_told() -> None:
    for state in CallState:
        assert of_call(a_call(state), replace(a_call(state), updated_at="later")) == []


def test_redialed_call_is_not_told_before_it_begins() -> None:
    assert of_call(a_call(CallState.DONE), a_call(CallState.WAITING, attempts=a_call(CallState.DONE).attempts)) == []


def test_campaign_tells_its_counters_when_they_change() -> None:
    [told] = events.of_campaign(a_campaign(waiting=2), a_campaign(waiting=1, success=1))
    assert (told.name, told.campaign_id) == ("campaign-progress", "campaign")
    assert told.data.campaign_id == "campaign"
    assert told.data.total_contacts == 2
    assert told.data.successful_calls == told.data.status_counts[CallStatus.SUCCESS] == 1


def test_campaign_that_changes_in_nothing_a_browser_shows_tells_nothing() -> None:
    assert names(a_campaign(), a_campaign(wake_at="2026-11-23T06:15", updated_at="later")) == []
    assert names(None, a_campaign()) == []


def test_campaign_tells_its_status() -> None:
    assert names(a_campaign(CampaignStatus.PENDING), a_campaign(RUNNING)) == ["campaign-progress"]
    assert names(a_campaign(RUNNING), a_campaign(CampaignStatus.PAUSED)) == ["campaign-progress"]


def test_campaign_tells_the_reason_of_its_status() -> None:
    [told] = events.of_campaign(a_campaign(), a_campaign(status_reason="Nobody can be called."))
    assert (told.name, told.data.status_reason) == ("campaign-progress", "Nobody can be called.")


def test_campaign_completes_once() -> None:
    [_, told] = events.of_campaign(a_campaign(RUNNING, in_flight=1), a_campaign(COMPLETED, success=1))
    assert told.name == "campaign-complete"
    assert told.data == {"campaignId": "campaign", "message": "Campaign completed successfully"}
    assert names(a_campaign(COMPLETED, failed=1), a_campaign(COMPLETED, success=1)) == ["campaign-progress"]


def test_import_tells_how_far_it_is_without_its_errors() -> None:
    [told] = events.of_import(an_import(total_rows=10, processed_rows=4, created=3, failed=1))
    assert (told.name, told.data.id, told.data.processed_rows) == ("import-progress", "import", 4)
    assert b"errors" not in msgspec.json.encode(told.data)


def test_of_several_progresses_only_the_last_is_told() -> None:
    def progress(campaign_id: str, waiting: int) -> Event:
        return Event("1", "campaign-progress", replace(a_campaign(waiting=waiting), campaign_id=campaign_id).progress())

    def imported(rows: int) -> Event:
        return Event("1", "import-progress", replace(an_import(processed_rows=rows), import_id="a").view())

    update = Event("1", "campaign-update", {"campaignId": "a"})
    batch = [progress("a", 2), update, imported(1), progress("b", 5), update, progress("a", 1), imported(2)]
    assert events.condensed([(f"r{n}", event) for n, event in enumerate(batch)]) == [
        ("r1", update),
        ("r3", progress("b", 5)),
        ("r4", update),
        ("r0", progress("a", 1)),
        ("r2", imported(2)),
    ]


def a_told(data: Any, **fields: Any) -> Told:
    return Told(**{"record": "r", "name": "campaign-update", "data": msgspec.Raw(msgspec.json.encode(data)), **fields})


def test_plain_frame() -> None:
    frame = plain.event(Logged(7, a_told({"campaignId": "campaign", "at": AT})))
    assert json.loads(frame) == {"event": "campaign-update", "data": {"campaignId": "campaign", "at": AT}, "seq": 7}


@pytest.mark.parametrize("frame", ['{"action":"ping"}', ' {"action": "ping", "more": 1} '])
def test_plain_ping(frame: str) -> None:
    assert plain.is_ping(frame)


@pytest.mark.parametrize("frame", ["", "ping", "{", "[]", '"ping"', "{}", '{"action":"pong"}', '{"action":["ping"]}'])
def test_other_plain_frames_are_no_ping(frame: str) -> None:
    assert not plain.is_ping(frame)


def test_socket_hears_of_its_campaign_only_if_it_named_one() -> None:
    everything = Socket(organization_id="1", connection_id="c", connected_at=AT)
    one = Socket(organization_id="1", connection_id="c", connected_at=AT, campaign_id="campaign")
    for told, heard in ((a_told({}, campaign_id="campaign"), True), (a_told({}, campaign_id="other"), False)):
        assert everything.wants(told)
        assert one.wants(told) is heard
    assert not one.wants(a_told({}))
