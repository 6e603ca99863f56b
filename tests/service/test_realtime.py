"""Live updates: the organization's sockets are told what changed and nobody else; one that is gone is forgotten."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest

import app
from chalicelib import clock
from chalicelib.agents.contract import CallOrder, NotPlaced
from chalicelib.agents.health import Verdict
from chalicelib.calls.model import CallStatus, Result
from chalicelib.settings import settings
from tests.service.agents import ScriptedAgent
from tests.service.aws import client
from tests.service.calling import orders
from tests.service.cloud import Cloud, in_an, sqs_event, token
from tests.service.feed import impatient
from tests.service.live import Live, connect_event, of, socket_event


def test_every_socket_of_the_organization_follows_a_campaign(cloud: Cloud, live: Live) -> None:
    ids = cloud.contacts(1) + cloud.contacts(1, last_digit=7)
    campaign_id = cloud.a_campaign(ids)["id"]
    for connection, organization in (("first", "1"), ("second", 1), ("stranger", "2")):
        assert live.open(connection, organization) == 200
    live.settle()
    live.gateway.posted.clear()
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.settle()
    live.settle()
    first, second = live.heard("first"), live.heard("second")
    assert first == second
    assert live.gateway.posted == {}
    for contact_id, final in zip(ids, ("SUCCESS", "BUSY"), strict=True):
        calling, ended = (each for each in of("campaign-update", first) if each["contactId"] == contact_id)
        contact = cloud.get(f"/contacts/{contact_id}").body
        assert calling == {
            "campaignId": campaign_id,
            "contactId": contact_id,
            "status": "calling",
            "contact": calling["contact"],
            "outcome": None,
            "summary": None,
        }
        assert (ended["status"], ended["outcome"]) == (final, contact["lastConversationOutcome"])
        assert ended["summary"]
        assert ended["contact"] == contact
        assert of("contact-update", first).count(contact) == 1
    complete = {"campaignId": campaign_id, "message": "Campaign completed successfully"}
    assert of("campaign-complete", first) == [complete]
    progress = of("campaign-progress", first)[-1]
    campaign = cloud.campaign(campaign_id)
    assert progress == {"campaignId": campaign_id} | {name: campaign[name] for name in progress if name in campaign}
    assert progress["calledContacts"] == 2


def test_contact_update_is_the_contact(cloud: Cloud, live: Live) -> None:
    live.open("browser")
    contact = cloud.a_contact(customData={"totalDebt": 5000})
    live.settle()
    assert of("contact-update", live.heard("browser")) == [contact]
    changed = cloud.patch(f"/contacts/{contact['id']}", {"notes": "Қарздор"}).body
    live.settle()
    assert of("contact-update", live.heard("browser")) == [changed]
    cloud.delete(f"/contacts/{contact['id']}")
    live.settle()
    assert live.heard("browser") == []


def test_skipped_contact_is_announced_with_the_reason(cloud: Cloud, live: Live) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id])
    cloud.patch(f"/contacts/{contact_id}", {"status": "DO_NOT_CALL"})
    live.open("browser")
    live.settle()
    live.heard("browser")
    cloud.settle()
    live.settle()
    [update] = of("campaign-update", live.heard("browser"))
    assert (update["campaignId"], update["status"]) == (campaign_id, "SKIPPED")
    assert update["outcome"] == "contact is DO_NOT_CALL"


def test_withdrawn_contact_whose_second_call_comes_to_nothing_is_not_left_calling(cloud: Cloud, live: Live) -> None:
    [contact_id] = cloud.contacts(1)
    retry = {"maxAttempts": 2, "delayMinutes": [1], "on": ["BUSY"]}
    campaign_id = cloud.a_running_campaign([contact_id], retry=retry)

    def withdraw(_: CallOrder) -> None:
        if len(agent.orders) == 1:
            assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_id}").status == 204

    busy = Result(call_status=CallStatus.BUSY, outcome="the line is busy")
    agent = ScriptedAgent(busy, NotPlaced("full", Verdict.FULL), before=withdraw)
    agent.dial(orders(cloud))
    cloud.pace_all()
    live.open("page")
    live.settle()
    live.heard("page")
    cloud.tick(in_an(minutes=2))
    agent.dial(orders(cloud))
    cloud.pace_all()
    live.settle()
    told = of("campaign-update", live.heard("page"))
    assert [(each["status"], each["outcome"]) for each in told] == [("calling", None), ("BUSY", "the line is busy")]


@pytest.mark.parametrize("ends_by", ["booking", "withdrawal", "enrolment"])
def test_end_is_told_after_the_last_update_whatever_the_campaign_ended_by(
    cloud: Cloud, live: Live, ends_by: str
) -> None:
    first, second = cloud.contacts(2)
    campaign_id = cloud.a_running_campaign([first, second][: 1 + (ends_by == "withdrawal")], maxConcurrentCalls=1)
    if ends_by == "enrolment":
        cloud.post(f"/campaigns/{campaign_id}/contacts", {"filter": {"status": "INACTIVE"}})
    enrolments = cloud.take(settings().jobs_queue)
    live.open("page")
    live.settle()
    live.heard("page")
    ScriptedAgent().dial(orders(cloud))
    cloud.pace_all()
    if ends_by == "withdrawal":
        assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{second}").status == 204
    for job in enrolments:
        app.work(sqs_event([job]), None)
    cloud.pace_all()
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"
    with impatient():
        for batch in sorted(live.changes(), key=lambda batch: "Campaigns" not in batch[0]["eventSourceARN"]):
            app.publish({"Records": batch}, None)
            live.broadcast()
        while live_jobs := [body for body in cloud.take(settings().jobs_queue) if "tellLast" in body]:
            app.work(sqs_event(live_jobs[:1]), None)
            live.broadcast()
    told = [each["event"] for each in live.heard("page") if each["event"] in ("campaign-update", "campaign-complete")]
    assert told == ["campaign-update", "campaign-update", "campaign-complete"]


def test_bulk_import_announces_its_progress_and_no_single_contact(cloud: Cloud, live: Live) -> None:
    live.open("browser")
    import_id = cloud.upload(b"firstName,phone\nAli,901234567\nVali,901234568\n")["id"]
    cloud.arrive(f"uploads/1/{import_id}")
    live.settle()
    frames = live.heard("browser")
    assert {frame["event"] for frame in frames} == {"import-progress"}
    last = frames[-1]["data"]
    assert (last["id"], last["status"], last["created"]) == (import_id, "COMPLETED", 2)
    assert "errors" not in last


def test_changes_delivered_twice_are_the_same_events(cloud: Cloud, live: Live) -> None:
    live.open("browser")
    cloud.contacts(2)
    [batch] = [batch for batch in live.changes() if "ContactsTable" in batch[0]["eventSourceARN"]]
    for _ in range(2):
        app.publish({"Records": batch}, None)
        live.broadcast()
    frames = live.heard("browser")
    assert {json.dumps(frame) for frame in frames[:2]} == {json.dumps(frame) for frame in frames}
    assert len({frame["seq"] for frame in frames}) == 2


def test_part_of_a_batch_that_comes_again_is_not_the_last_word(cloud: Cloud, live: Live) -> None:
    live.open("browser")
    import_id = cloud.upload(b"firstName,phone\nAli,901234567\n")["id"]
    cloud.arrive(f"uploads/1/{import_id}")
    [batch] = [batch for batch in live.changes() if "ImportsTable" in batch[0]["eventSourceARN"]]
    for part in (batch, batch[:1], batch[1:]):
        app.publish({"Records": part}, None)
        live.broadcast()
    frames = live.heard("browser")
    told = {frame["seq"]: frame["data"]["status"] for frame in reversed(frames)}
    assert told == {1: "COMPLETED", 2: "COMPLETED"}
    assert frames[-1]["data"]["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (None, 401),
        ({"organizationId": "1"}, 401),
        ({"token": "nonsense"}, 401),
        ({"token": token(key="x" * 64)}, 401),
        ({"token": token(exp=int(time.time()) - 60)}, 401),
        ({"token": token("1"), "organizationId": "2"}, 403),
    ],
)
def test_socket_without_a_good_token_is_refused(cloud: Cloud, query: dict[str, str] | None, status: int) -> None:
    assert app.connect(connect_event("browser", query), None)["statusCode"] == status
    assert connections() == []


def connections() -> list[dict[str, Any]]:
    """The rows of the organization's sockets."""
    answer = client("dynamodb").query(
        TableName=settings().connections_table,
        KeyConditionExpression="organizationId = :own",
        ExpressionAttributeValues={":own": {"S": "1"}},
    )
    found: list[dict[str, Any]] = answer["Items"]
    return found


def test_own_organization_may_be_named_in_the_address(live: Live) -> None:
    assert live.open("browser", 7, organizationId="7") == 200


def test_row_of_a_socket_expires_after_the_longest_connection(live: Live) -> None:
    live.open("browser")
    [row] = connections()
    assert timedelta(hours=2) < timedelta(seconds=int(row["expiresAt"]["N"]) - time.time()) < timedelta(hours=3)


def test_ping_is_answered(live: Live) -> None:
    live.open("browser")
    assert live.say("browser", '{"action":"ping"}') == 200
    assert live.heard("browser") == [{"event": "pong"}]
    assert live.say("browser", "Assalomu alaykum") == 200
    assert [frame["event"] for frame in live.heard("browser")] == ["error"]
    live.gateway.refuses["browser"] = 410
    assert live.say("browser", '{"action":"ping"}') == 410


def test_closed_socket_is_told_nothing_more(cloud: Cloud, live: Live) -> None:
    live.open("stays")
    live.open("leaves")
    app.disconnect(socket_event("DISCONNECT", "leaves"), None)
    cloud.a_contact()
    live.settle()
    assert live.heard("leaves") == []
    assert len(live.heard("stays")) == 1


def test_socket_that_is_gone_is_forgotten_and_disturbs_nobody(cloud: Cloud, live: Live) -> None:
    live.open("gone", at=clock.now() - timedelta(seconds=31))
    live.open("browser")
    live.gateway.refuses["gone"] = 410
    cloud.a_contact("901234567")
    live.settle()
    assert len(live.heard("browser")) == 1
    assert [row["connectionId"]["S"] for row in connections()] == ["browser"]
    live.gateway.refuses.clear()
    cloud.a_contact("901234568")
    live.settle()
    assert live.heard("gone") == []


def test_socket_that_is_just_opening_is_never_forgotten(cloud: Cloud, live: Live) -> None:
    live.open("opening", at=clock.now() - timedelta(seconds=20))
    live.gateway.refuses["opening"] = 410
    contact = cloud.a_contact()
    live.settle()
    live.gateway.refuses.clear()
    time.sleep(1.1)
    app.work(sqs_event(cloud.take(settings().jobs_queue)), None)
    live.broadcast()
    assert of("contact-update", live.heard("opening")) == [contact]


def test_one_organizations_trouble_is_not_anothers(cloud: Cloud, live: Live) -> None:
    for organization in ("1", "2"):
        live.open(f"browser {organization}", organization)
        cloud.a_contact(organization=organization)
    live.gateway.refuses["browser 1"] = 403
    for batch in live.changes():
        app.publish({"Records": batch}, None)
    event = sqs_event(cloud.take(settings().live_events_queue))
    [trouble] = [each["messageId"] for each in event["Records"] if '"organizationId":"1"' in each["body"][:200]]
    assert app.broadcast(event, None) == {"batchItemFailures": [{"itemIdentifier": trouble}]}
    assert len(live.heard("browser 2")) == 1
    live.gateway.refuses.clear()
    again = {"Records": [each for each in event["Records"] if each["messageId"] == trouble]}
    assert app.broadcast(again, None) == {"batchItemFailures": []}
    assert len(live.heard("browser 1")) == 1


def joined(live: Live, connection_id: str, auth: dict[str, Any], **query: str) -> list[str]:
    """What a Socket.IO client hears while it connects and joins the guide's namespace."""
    assert app.connect(connect_event(connection_id, {"EIO": "4", "transport": "websocket", **query}), None) == {
        "statusCode": 200
    }
    live.settle()
    live.say(connection_id, f"40/auto-calling,{json.dumps(auth)}")
    live.broadcast()
    return live.gateway.take(connection_id)


def test_guides_socketio_client_is_told_the_same(cloud: Cloud, live: Live) -> None:
    opened, connected = joined(live, "guide", {"token": token("1")}, organizationId="1")
    assert opened.startswith("0{")
    assert json.loads(opened[1:]).items() >= {"pingInterval": 240_000, "pingTimeout": 180_000, "upgrades": []}.items()
    assert connected.startswith('40/auto-calling,{"sid":')
    live.open("plain")
    contact = cloud.a_contact()
    live.settle()
    [packet] = live.gateway.take("guide")
    assert packet.startswith("42/auto-calling,[")
    assert json.loads(packet.partition(",")[2])[:2] == ["contact-update", contact]
    assert of("contact-update", live.heard("plain")) == [contact]


@pytest.mark.parametrize(
    ("auth", "query"),
    [
        ({}, {}),
        ({"token": "nonsense"}, {}),
        ({"token": token(exp=int(time.time()) - 60)}, {"organizationId": "1"}),
        ({"token": token("1")}, {"organizationId": "2"}),
    ],
)
def test_guides_socketio_client_needs_a_good_token(
    cloud: Cloud, live: Live, auth: dict[str, str], query: dict[str, str]
) -> None:
    _, refused = joined(live, "guide", auth, **query)
    assert refused.startswith('44/auto-calling,{"message":')
    live.open("plain")
    cloud.a_contact()
    live.settle()
    assert live.gateway.take("guide") == []
