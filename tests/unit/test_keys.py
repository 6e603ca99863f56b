"""How long a provider's keys are kept, and how often it is asked for them."""

from __future__ import annotations

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.auth.keys import (
    FRESH_SECONDS,
    PAUSE_SECONDS,
    RETRY_SECONDS,
    STALE_SECONDS,
    KeySet,
    NoKeys,
    fetch,
    suitable,
)


class Provider:
    """A provider in time: which ids its keys have, whether it answers, when it was asked."""

    def __init__(self) -> None:
        self.now = 0.0
        self.kids = ["a"]
        self.away = False
        self.asked: list[float] = []
        self.set = KeySet("ES256", self._published, seconds=lambda: self.now)

    def _published(self) -> bytes:
        self.asked.append(self.now)
        if self.away:
            raise NoKeys
        return json.dumps({"keys": [jwk(kid) for kid in self.kids]}).encode()

    def knows(self, kid: str, at: float) -> bool:
        self.now = at
        return self.set.key(kid) is not None


KEY = generate_private_key(SECP256R1())


def jwk(kid: str) -> dict[str, str]:
    shown: dict[str, str] = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    return {name: shown[name] for name in ("kty", "crv", "x", "y")} | {"kid": kid}


def test_keys_are_kept_for_a_while_and_read_again_then() -> None:
    provider = Provider()
    for at in (0, 1, FRESH_SECONDS - 1, FRESH_SECONDS, FRESH_SECONDS + 1):
        assert provider.knows("a", at)
    assert provider.asked == [0, FRESH_SECONDS]


def test_key_that_was_withdrawn_is_forgotten() -> None:
    provider = Provider()
    assert provider.knows("a", 0)
    provider.kids = ["b"]
    assert not provider.knows("a", FRESH_SECONDS)
    assert provider.knows("b", FRESH_SECONDS + 1)


def test_new_key_is_found_before_the_old_ones_are_read_again() -> None:
    provider = Provider()
    assert provider.knows("a", 0)
    provider.kids = ["a", "b"]
    assert provider.knows("b", PAUSE_SECONDS)


def test_unknown_ids_ask_the_provider_twice_a_minute_at_most() -> None:
    provider = Provider()
    for second in range(300):
        assert not provider.knows(f"made up {second}", second)
        assert provider.knows("a", second)
    assert len(provider.asked) == 300 / PAUSE_SECONDS


def test_known_keys_outlast_an_hour_of_silence_and_unknown_ones_wait() -> None:
    provider = Provider()
    assert provider.knows("a", 0)
    provider.away = True
    assert provider.knows("a", FRESH_SECONDS)
    with pytest.raises(NoKeys):
        provider.knows("b", PAUSE_SECONDS * 20)
    assert provider.knows("a", STALE_SECONDS - 1)
    with pytest.raises(NoKeys):
        provider.knows("a", STALE_SECONDS)
    provider.away = False
    assert provider.knows("a", STALE_SECONDS + RETRY_SECONDS)


def test_provider_that_is_away_is_asked_again_in_a_moment() -> None:
    provider = Provider()
    provider.away = True
    for second in range(20):
        with pytest.raises(NoKeys):
            provider.knows("a", second)
    assert provider.asked == [0, 5, 10, 15]


TEXT = st.text("AQaq-_=.", max_size=6) | st.sampled_from(["RSA", "EC", "P-256", "verify"])
MEMBER = st.none() | TEXT | st.integers() | st.lists(TEXT, max_size=2)


@given(
    members=st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "n", "e", "alg", "use", "key_ops", "kid", "k", "d"]), MEMBER
    )
)
def test_any_member_of_a_key_leaves_a_key_or_none(members: dict[str, object]) -> None:
    for base in ({}, jwk("a"), {"kty": "RSA", "n": "AQAB", "e": "AQAB"}):
        for algorithm in ("RS256", "ES256"):
            assert len(suitable(json.dumps({"keys": [base | members, None, 7]}).encode(), algorithm)) <= 1


@given(body=st.binary())
def test_what_is_no_set_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(NoKeys):
        suitable(body, "RS256")


def test_address_that_nobody_serves_has_no_keys() -> None:
    for address in (
        "http://127.0.0.1:1/jwks",
        "https://127.0.0.1:1/jwks",
        "https://no-such-host.invalid/",
        "https://[",
    ):
        with pytest.raises(NoKeys):
            fetch(address)
