"""The wire format of Socket.IO, and the plain one."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.realtime import plain, socketio
from chalicelib.realtime.model import Logged, Told
from chalicelib.realtime.socketio import Close, Connect, Disconnect, Ignored, Malformed, Ping, Pong

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def logged(name: str, data: Any, seq: int) -> Logged:
    return Logged(seq, Told(record="r", name=name, data=msgspec.Raw(msgspec.json.encode(data))))


@given(name=st.text(min_size=1), data=JSON, seq=st.integers(1, 10**15))
def test_event_carries_name_data_and_number(name: str, data: Any, seq: int) -> None:
    packet = socketio.event(logged(name, data, seq))
    assert packet.startswith("42/auto-calling,")
    assert json.loads(packet.removeprefix("42/auto-calling,")) == [name, data, seq]
    assert json.loads(plain.event(logged(name, data, seq))) == {"event": name, "data": data, "seq": seq}


@given(auth=st.dictionaries(st.text(), JSON, max_size=4), query=st.sampled_from(["", "?a=b"]))
def test_connect_is_read_as_it_was_written(auth: dict[str, Any], query: str) -> None:
    assert socketio.decode(f"40/auto-calling{query},{json.dumps(auth)}") == Connect("/auto-calling", auth)


@given(frame=st.text())
def test_any_frame_is_a_packet_or_malformed(frame: str) -> None:
    try:
        socketio.decode(frame)
    except Malformed:
        return


@pytest.mark.parametrize(
    ("frame", "packet"),
    [
        ("40", Connect("/", {})),
        ('40{"token":"x"}', Connect("/", {"token": "x"})),
        ("40/auto-calling", Connect("/auto-calling", {})),
        ("40/auto-calling,", Connect("/auto-calling", {})),
        ("41/auto-calling,", Disconnect("/auto-calling")),
        ("1", Close()),
        ("2", Ping("")),
        ("2probe", Ping("probe")),
        ("3", Pong()),
        ('42/auto-calling,["x"]', Ignored()),
        ('42["x"]', Ignored()),
        ('42/auto-calling,17["x",{"a":[]}]', Ignored()),
        ("43/auto-calling,1[]", Ignored()),
        ("6", Ignored()),
    ],
)
def test_packet_of_the_protocol(frame: str, packet: object) -> None:
    assert socketio.decode(frame) == packet


DEEP = "[" * 20_000


@pytest.mark.parametrize(
    "frame",
    [
        *("", "0", "7", "x", "4", "47", "40[1]", "40/auto-calling,{", '40/auto-calling,"x"'),
        *(
            "42/auto-calling,{}",
            "42/auto-calling,",
            "42/auto-calling",
            "42[]",
            "42abc",
            '42/auto-calling,x["x"]',
            "43{}",
        ),
        *('451-/auto-calling,["x",{"_placeholder":true,"num":0}]', "461-[]", "bAQID"),
        *(f"42/auto-calling,{DEEP}", f'40/auto-calling,{{"token":{DEEP}', f"42{DEEP}", DEEP, '40{"token":"\ud800"}'),
    ],
)
def test_frame_that_is_no_packet(frame: str) -> None:
    with pytest.raises(Malformed):
        socketio.decode(frame)


def test_open_packet_tells_how_often_a_ping_comes() -> None:
    packet = socketio.opened("abc")
    assert json.loads(packet.removeprefix("0")) == {
        "sid": "abc",
        "upgrades": [],
        "pingInterval": 240_000,
        "pingTimeout": 180_000,
        "maxPayload": 131_072,
    }


@pytest.mark.parametrize(
    ("namespace", "packet"), [("/", '44{"message":"no"}'), ("/other", '44/other,{"message":"no"}')]
)
def test_refusal_names_its_namespace(namespace: str, packet: str) -> None:
    assert socketio.refused(namespace, "no") == packet
