"""Sockets on the deployed system: the real Socket.IO client beside a plain one, what both are told, what is refused."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.stack import guide
from tests.stack.deployed import LocalStack, cut, eventually
from tests.stack.guide import LOGGED, Heard, names, running
from tests.stack.office import Office

SAY = "console.log = (...heard) => process.stdout.write(JSON.stringify(heard) + '\\n');"
"""What a program logs, one JSON array a line."""


@pytest.fixture(scope="session")
def program() -> Path:
    """A program that says whatever it hears, beside the client it imports."""
    return Path(shutil.copy(Path(__file__).with_name("guide.mjs"), guide.client()))


@contextmanager
def browser(program: Path, stack: LocalStack, **options: Any) -> Iterator[Heard]:
    """What the guide's program hears as long as the block lasts."""
    with running("node", str(program), f"{stack.base}/auto-calling", json.dumps(options)) as heard:
        yield heard


@contextmanager
def guides_program(stack: LocalStack, organization: str, version: str = guide.NEWEST) -> Iterator[Heard]:
    """What the guide's program logs as long as the block lasts."""
    home = guide.client(version)
    (home / "say.mjs").write_text(SAY)
    (home / "verbatim.mjs").write_text(guide.program("'your-jwt-token'", stack, organization))
    with running("node", "--import", str(home / "say.mjs"), str(home / "verbatim.mjs")) as heard:
        yield heard


def test_guides_program_misses_nothing_when_it_is_cut_off(office: Office, stack: LocalStack) -> None:
    contact_ids = [office.contact(n)["id"] for n in range(30)]
    campaign = office.campaign(contactIds=contact_ids)["id"]
    with guides_program(stack, office.organization) as heard, office.listening() as plain:
        eventually(lambda: stack.rows("ConnectionsTable", organizationId=office.organization) == 2)
        office.contact(100)
        eventually(lambda: heard)
        office.post(f"/campaigns/{campaign}/start")
        eventually(lambda: names(heard).count("Campaign update:") >= 5)
        assert cut(stack, office.organization, speaking="socket.io") == 1
        office.contact(101)
        eventually(lambda: plain.of("campaign-complete") and "Campaign completed:" in names(heard))
        eventually(lambda: names(heard).count("Campaign update:") == 2 * len(contact_ids))
    expected = [[LOGGED[name], data] for name, data in plain.events if name in LOGGED]
    assert heard == expected


@pytest.mark.parametrize("version", guide.EARLIER)
def test_guides_program_works_with_earlier_clients(office: Office, stack: LocalStack, version: str) -> None:
    with guides_program(stack, office.organization, version) as heard:
        eventually(lambda: stack.rows("ConnectionsTable", organizationId=office.organization) == 1)
        made = [office.contact(n)["id"] for n in range(3)]
        eventually(lambda: len(heard) == len(made))
    assert [(name, data["id"]) for name, data in heard] == [("Contact update:", each) for each in made]


def test_client_that_may_only_poll_hears_everything(program: Path, office: Office, stack: LocalStack) -> None:
    auth = {"token": stack.token(office.organization)}
    with browser(program, stack, auth=auth, transports=["polling"]) as heard:
        eventually(lambda: "connect" in names(heard))
        made = [office.contact(n)["id"] for n in range(3)]
        eventually(lambda: names(heard).count("contact-update") == len(made))
        assert stack.rows("ConnectionsTable", organizationId=office.organization) == 0
    assert [each[1]["id"] for each in heard if each[0] == "contact-update"] == made


def test_page_of_another_origin_may_open_a_socket(office: Office, stack: LocalStack) -> None:
    """The same-origin policy does not concern sockets; polls are like any request, see `test_cors`."""
    address = f"{stack.base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"
    with connect(address, origin=Origin("https://app.example")) as socket:
        assert str(socket.recv(20)).startswith("0{")


def test_guides_program_sees_a_campaign_through_as_a_plain_socket_does(
    program: Path, office: Office, stack: LocalStack
) -> None:
    contact_ids = [office.contact(n)["id"] for n in range(10)]
    campaign = office.campaign(contactIds=contact_ids)["id"]
    query, auth = {"organizationId": office.organization}, {"token": stack.token(office.organization)}
    with browser(program, stack, query=query, auth=auth) as heard, office.listening() as plain:
        eventually(lambda: "connect" in names(heard))
        office.contact(100)
        eventually(lambda: "contact-update" in names(heard) and plain.of("contact-update"))
        office.post(f"/campaigns/{campaign}/start")
        eventually(lambda: "campaign-complete" in names(heard) and len(plain.of("campaign-update")) == 20)
        eventually(lambda: names(heard).count("campaign-update") == 20)
    updates = [each[1] for each in heard if each[0] == "campaign-update"]
    assert sorted(each["contactId"] for each in updates if each["status"] == "calling") == sorted(contact_ids)
    assert {"campaignId", "contactId", "status", "contact", "outcome", "summary"} == set(updates[0])
    complete = {"campaignId": campaign, "message": "Campaign completed successfully"}
    assert [each[1] for each in heard if each[0] == "campaign-complete"] == [complete]
    listened = {"campaign-update", "campaign-complete", "contact-update"}
    both = [(name, data) for name, data in plain.events if name in listened]
    assert both == [(each[0], each[1]) for each in heard if each[0] in listened]
    numbers = [each[2] for each in heard if each[0] in listened]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("case", ["no token", "expired", "of another organization", "in the address"])
def test_socketio_client_without_a_good_token_is_told_why(
    program: Path, office: Office, stack: LocalStack, case: str
) -> None:
    good = stack.token(office.organization)
    expired = jwt.encode({"organizationId": office.organization, "exp": 1}, stack.laptop.secret("jwt"))
    query: dict[str, str] = {"organizationId": office.organization}
    auth: dict[str, str] = {}
    if case == "expired":
        auth["token"] = expired
    if case == "of another organization":
        auth["token"] = stack.token("stranger")
    if case == "in the address":
        query["token"] = good
    with browser(program, stack, query=query, auth=auth, reconnection=False) as heard:
        eventually(lambda: "connect_error" in names(heard))
        office.contact(1)
        time.sleep(1)
    assert names(heard) == ["connect_error"]
    assert good not in json.dumps(heard)


def test_namespace_that_is_none_is_refused(program: Path, office: Office, stack: LocalStack) -> None:
    with connect(f"{stack.base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket") as socket:
        assert str(socket.recv(20)).startswith("0{")
        socket.send('40/other,{"token":"x"}')
        assert socket.recv(20) == '44/other,{"message":"Invalid namespace"}'


def test_connection_that_never_says_whose_it_is_is_closed(stack: LocalStack) -> None:
    with connect(f"{stack.base.replace('http', 'ws')}/socket.io?EIO=4&transport=websocket") as socket:
        assert str(socket.recv(20)).startswith("0{")
        began = time.monotonic()
        with pytest.raises(ConnectionClosed):
            socket.recv(60)
        assert time.monotonic() - began > 20


@pytest.mark.parametrize("frame", ["9", "40/auto-calling,{", "x" * 40_000])
def test_connection_that_speaks_nonsense_is_closed(stack: LocalStack, frame: str) -> None:
    with connect(f"{stack.base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket") as socket:
        assert str(socket.recv(20)).startswith("0{")
        socket.send(frame)
        with pytest.raises(ConnectionClosed):
            socket.recv(20)


@pytest.mark.parametrize("query", ["", "&organizationId=other", "&since=yesterday"])
def test_plain_socket_is_refused(office: Office, stack: LocalStack, query: str) -> None:
    token = stack.token(office.organization) if query else stack.token(office.organization) + "x"
    with pytest.raises(InvalidStatus), connect(f"{stack.sockets}?token={token}{query}"):
        pass


def test_socket_that_comes_back_is_told_what_it_missed(program: Path, office: Office, stack: LocalStack) -> None:
    token = stack.token(office.organization)
    with connect(f"{stack.sockets}?token={token}") as socket:
        office.contact(1)
        seen = json.loads(socket.recv(30))
    missed = [office.contact(n)["id"] for n in (2, 3)]
    with connect(f"{stack.sockets}?token={token}&since={seen['seq']}") as socket:
        told = [json.loads(socket.recv(30)) for _ in missed]
        office.contact(4)
        later = json.loads(socket.recv(30))
    assert [each["data"]["id"] for each in told] == missed
    assert [each["seq"] for each in (*told, later)] == [seen["seq"] + n for n in (1, 2, 3)]
    with browser(program, stack, auth={"token": token, "since": seen["seq"]}) as heard:
        eventually(lambda: len(heard) == 4)
    assert names(heard) == ["connect", *["contact-update"] * 3]
    assert [each[2] for each in heard[1:]] == [each["seq"] for each in (*told, later)]


def test_number_the_feed_never_had_means_resync(office: Office, stack: LocalStack) -> None:
    with connect(f"{stack.sockets}?token={stack.token(office.organization)}&since=999") as socket:
        assert json.loads(socket.recv(30))["event"] == "resync"


def test_socket_of_one_campaign_hears_of_no_other(office: Office, stack: LocalStack) -> None:
    first, second = (office.campaign(contactIds=[office.contact(n)["id"]])["id"] for n in (1, 2))
    with connect(f"{stack.sockets}?token={stack.token(office.organization)}&campaignId={second}") as socket:
        for campaign in (first, second):
            office.post(f"/campaigns/{campaign}/start")
            office.comes_to(campaign, "COMPLETED")
        told: list[dict[str, Any]] = []
        while not told or told[-1]["event"] != "campaign-complete":
            told.append(json.loads(socket.recv(30)))
    assert {each["data"]["campaignId"] for each in told} == {second}


def test_socket_ends_soon_after_its_token(office: Office, stack: LocalStack) -> None:
    claims = {"organizationId": office.organization, "exp": int(time.time()) + 5}
    with connect(f"{stack.sockets}?token={jwt.encode(claims, stack.laptop.secret('jwt'))}") as socket:
        began = time.monotonic()
        with pytest.raises(ConnectionClosed):
            socket.recv(100)
    assert time.monotonic() - began > 4


def test_dropped_openings_delay_nobodys_open_packet(
    stack: LocalStack, record_property: Callable[[str, object], None]
) -> None:
    """Some are dropped before they are open, some right after; an honest client among them waits for none."""
    address = f"{stack.base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"
    waits = []
    for _ in range(3):
        for _ in range(30):
            with connect(address):
                pass
        began = time.monotonic()
        with connect(address) as honest:
            assert str(honest.recv(20)).startswith("0{")
        waits.append(time.monotonic() - began)
    record_property("open packets", f"after {', '.join(f'{wait:.2f}' for wait in waits)} s")


def test_frames_that_cannot_be_read_leave_no_traceback(office: Office, stack: LocalStack) -> None:
    token = stack.token(office.organization)
    with connect(f"{stack.sockets}?token={token}") as socket:
        for frame in ("[x", "{}", b"\0\1"):  # MiniStack reads frames itself, and chokes on a deep one
            socket.send(frame)
            assert json.loads(socket.recv(20))["event"] == "error"
    for frame in ("42/auto-calling,{}", "42/auto-calling," + "[" * 20_000, b"\0\1"):
        with connect(f"{stack.base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket") as socket:
            assert str(socket.recv(20)).startswith("0{")
            socket.send(frame)
            with pytest.raises(ConnectionClosed):
                socket.recv(20)
    with pytest.raises(InvalidStatus), connect(f"{stack.sockets}?token={token}&campaignId=none"):
        pass
