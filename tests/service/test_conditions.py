"""What the stores require at the moment of writing: each requirement as the only one that does not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from chalicelib import clock
from chalicelib.aws import sqs
from chalicelib.aws.dynamodb import Cancelled, Transaction
from chalicelib.calls import store as calls
from chalicelib.calls.model import CallState
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact
from chalicelib.dialing.messages import Dial
from chalicelib.errors import CampaignRunning, RequestUnderWay
from chalicelib.idempotency import store as holds
from chalicelib.idempotency.model import Answer, Hold
from tests.service.calling import accepted_call, orders
from tests.service.cloud import Cloud, in_an

HTTP = {"provider": "http"}


def queued(cloud: Cloud) -> tuple[str, Dial]:
    """A call that is queued: its campaign, and the order to dial it."""
    campaign_id = cloud.a_running_campaign(cloud.contacts(1), agent=HTTP)
    [body] = orders(cloud)
    return campaign_id, sqs.decode(body, Dial)


def put_on_its_phone(campaign_id: str, order: Dial, **differs: Any) -> None:
    """The dialer's claim of a queued call, with something in it that is not so."""
    said: dict[str, Any] = {"attempt_id": order.attempt_id, "lease": order.lease} | differs
    attempt = calls.AttemptKey("1", campaign_id, order.contact_id, said["attempt_id"])
    contact = contacts.find("1", order.contact_id)
    until = in_an(minutes=15)
    calls.claim(attempt, said["lease"], contact, until, provider="http", dialer="me", look_at=until, now=clock.now())


@pytest.mark.parametrize("differs", [{"attempt_id": "another"}, {"lease": 0}, {"lease": 99}])
def test_order_of_another_attempt_or_claim_is_not_dialed(cloud: Cloud, differs: dict[str, Any]) -> None:
    campaign_id, order = queued(cloud)
    with pytest.raises(calls.AlreadyClaimed):
        put_on_its_phone(campaign_id, order, **differs)
    assert calls.find(campaign_id, order.contact_id).state is CallState.QUEUED
    put_on_its_phone(campaign_id, order)
    assert calls.find(campaign_id, order.contact_id).state is CallState.CALLING


def test_order_that_comes_again_is_told_so_and_not_that_the_phone_is_busy(cloud: Cloud) -> None:
    campaign_id, order = queued(cloud)
    put_on_its_phone(campaign_id, order)
    with pytest.raises(calls.AlreadyClaimed):
        put_on_its_phone(campaign_id, order)


def a_busy_phone(contact: Contact) -> None:
    transaction = Transaction()
    contacts.occupy(transaction, contact, "another", now=clock.now(), tag="phone")
    transaction.commit()


def a_barred_contact(contact: Contact) -> None:
    contacts.bar("1", contact.contact_id, at=clock.stamp(clock.now()))


def another_phone(contact: Contact) -> None:
    contacts.change("1", contact.contact_id, {"phone": "+998907654321"}, at=clock.stamp(clock.now()))


def a_phone_of_another(contact: Contact) -> None:
    another_phone(contact)
    contacts.add(replace(contact, contact_id="another"))


@pytest.mark.parametrize(
    ("meanwhile", "refusal"),
    [
        (a_busy_phone, calls.PhoneBusy),
        (a_barred_contact, calls.NotCallable),
        (another_phone, calls.PhoneChanged),
        (a_phone_of_another, calls.PhoneChanged),
    ],
)
def test_call_that_is_turned_away_at_the_gate_is_told_why(
    cloud: Cloud, meanwhile: Callable[[Contact], None], refusal: type[Exception]
) -> None:
    campaign_id, order = queued(cloud)
    contact = contacts.find("1", order.contact_id)
    meanwhile(contact)
    attempt = calls.AttemptKey("1", campaign_id, order.contact_id, order.attempt_id)
    with pytest.raises(refusal):
        calls.claim(
            attempt,
            order.lease,
            contact,
            in_an(minutes=15),
            provider="http",
            dialer="me",
            look_at=in_an(minutes=14),
            now=clock.now(),
        )
    assert calls.find(campaign_id, order.contact_id).state is CallState.QUEUED


@pytest.mark.parametrize("differs", [{"attempt_id": "another"}, {"lease": 99}])
def test_call_that_waits_otherwise_than_the_index_said_is_not_claimed(cloud: Cloud, differs: dict[str, Any]) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_campaign([contact_id], agent=HTTP)["id"]
    waits = calls.find(campaign_id, contact_id)
    said = calls.Candidate(contact_id, waits.due_at or "", waits.lease, waits.attempt_id)

    def claimed(candidate: calls.Candidate) -> None:
        transaction = Transaction()
        calls.claim_for_dialing(
            transaction,
            campaign_id,
            candidate,
            "new",
            clock.now() + timedelta(minutes=1),
            agent=0,
            counted=None,
            now=clock.now(),
        )
        transaction.commit()

    with pytest.raises(Cancelled):
        claimed(replace(said, **differs))
    assert calls.find(campaign_id, contact_id) == waits
    claimed(said)
    with pytest.raises(Cancelled):  # it is queued, whatever else is said rightly of it
        claimed(replace(said, lease=said.lease + 1, attempt_id="new"))


def nobody_left(cloud: Cloud) -> Campaign:
    """A campaign that runs though nobody waits or is called any more."""
    campaign_id = cloud.a_campaign(cloud.contacts(1), agent=HTTP)["id"]
    contact_id = cloud.get(f"/campaigns/{campaign_id}/contacts").body["data"][0]["contactId"]
    cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_id}")
    found = campaigns.find("1", campaign_id)
    assert not found.waiting
    assert not found.in_flight
    return found


def counted(campaign: Campaign, **moves: int) -> None:
    """Move a campaign's counters, as another writer's transaction does."""
    transaction = Transaction()
    campaigns.move(transaction, campaign, Counter(moves), {})
    transaction.commit()


def order_begun(campaign: Campaign) -> None:
    campaigns.begin_order(campaign, "an order", until=in_an(hours=1), at=clock.now())


def news_kept(campaign: Campaign) -> None:
    transaction = Transaction()
    campaigns.keep_news(transaction, campaign.organization_id, campaign.campaign_id, "news", at=clock.now())
    transaction.commit()


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda campaign: counted(campaign, waiting=1),
        lambda campaign: counted(campaign, in_flight=1),
        order_begun,
        news_kept,
    ],
    ids=["somebody waits", "a call is in flight", "an order is followed", "news is kept"],
)
def test_campaign_does_not_end_over_what_came_meanwhile(cloud: Cloud, meanwhile: Callable[[Campaign], None]) -> None:
    campaign = nobody_left(cloud)
    meanwhile(campaign)
    assert not campaigns.complete(campaign, at=clock.now())
    assert campaigns.find("1", campaign.campaign_id).status is campaign.status


def test_campaign_at_its_end_ends(cloud: Cloud) -> None:
    campaign = nobody_left(cloud)
    assert campaigns.complete(campaign, at=clock.now())
    assert campaigns.find("1", campaign.campaign_id).status is CampaignStatus.COMPLETED


def test_campaign_with_a_call_in_flight_is_not_removed_by_who_saw_none(cloud: Cloud) -> None:
    campaign_id, _, _ = accepted_call(cloud, agent=HTTP)
    assert cloud.post(f"/campaigns/{campaign_id}/stop").status == 200
    campaign = campaigns.find("1", campaign_id)
    assert campaign.in_flight == 1
    with pytest.raises(CampaignRunning):
        campaigns.remove(replace(campaign, in_flight=0), at=clock.now())
    assert campaigns.find("1", campaign_id) == campaign


def test_campaign_that_moved_on_is_not_removed_by_who_saw_it_before(cloud: Cloud) -> None:
    before = nobody_left(cloud)
    assert campaigns.complete(before, at=clock.now())
    with pytest.raises(CampaignRunning):
        campaigns.remove(before, at=clock.now())
    campaigns.remove(campaigns.find("1", before.campaign_id), at=clock.now())


def held(turn: int = 1) -> Hold:
    """A key as its first, second … request has it."""
    now = clock.now()
    return Hold(
        key="key",
        content="content",
        new_id="1",
        began_at=clock.stamp(now),
        until=clock.stamp(in_an(seconds=40)),
        turn=turn,
        expires_at=in_an(hours=24),
    )


def kept() -> Hold:
    """The key as it is kept."""
    found = holds.find("key")
    assert found
    return found


def test_key_that_another_request_took_over_is_not_taken_over_again(cloud: Cloud) -> None:
    holds.take(held(), None)
    holds.take(held(2), held())
    with pytest.raises(RequestUnderWay):
        holds.take(held(2), held())
    holds.take(held(3), held(2))
    assert kept().turn == 3


def test_request_that_lost_its_key_gives_no_answer_for_the_one_that_has_it(cloud: Cloud) -> None:
    answer = Answer(201, "{}", {})
    holds.take(held(), None)
    holds.take(held(2), held())
    holds.let_go(held(), answer)
    assert kept().answer is None
    holds.let_go(held(2), answer)
    assert kept().answer == answer


def test_other_answer_takes_the_place_of_an_answer_only(cloud: Cloud) -> None:
    first, other = Answer(201, "{}", {}), Answer(204, "", {})
    holds.take(held(), None)
    holds.replace_answer("key", other)
    assert kept().answer is None
    holds.let_go(held(), first)
    holds.replace_answer("key", other)
    assert kept().answer == other
