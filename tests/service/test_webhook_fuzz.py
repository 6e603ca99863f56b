"""Webhooks of vendors, mutated: signed ones never break us, those whose signature is of another body change nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib import clock
from tests.service.aws import WEBHOOK_SECRET
from tests.service.cloud import Cloud
from tests.service.test_vendors import ACCEPTED, Vendor, dialed, vendor
from tests.vendors import SECRET, TALKED, VENDORS, never_connected, reported, signed

__all__ = ["vendor"]

STRANGE: list[Any] = [
    None,
    True,
    -1,
    1e308,
    10**400,
    "",
    "\x00",
    "\ud800",
    "2026-99-99T00:00:00",
    [],
    [[]],
    {},
    {"": {}},
    "9" * 5000,
]
"""What stands in a member's place."""

BODIES = 60

Kind = Callable[[str, Vendor], dict[str, Any]]


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every object or list of a message with each of its keys."""
    keys = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from places(node[key])


def mutated(message: dict[str, Any], chance: random.Random) -> bytes:
    """A message with some members replaced or removed, sometimes cut off or with a byte changed."""
    changed = json.loads(json.dumps(message))
    for _ in range(chance.randint(1, 3)):
        known = list(places(changed))
        if not known:
            break
        where, key = chance.choice(known)
        if chance.random() < 0.2:
            del where[key]
        else:
            where[key] = json.loads(json.dumps(chance.choice(STRANGE)))
    body = bytearray(json.dumps(changed).encode())
    if chance.random() < 0.2:
        body[chance.randrange(len(body))] = chance.randrange(256)
    return bytes(body[: chance.randrange(1, len(body))]) if chance.random() < 0.1 else bytes(body)


def report(provider: str, vendor: Vendor) -> dict[str, Any]:
    """The report of a call under way."""
    drawn: dict[str, Any] = {"callback_at": "soon", "doNotCall": False}
    return reported(provider, vendor.attempt, reason=TALKED[provider], outcome="SUCCESS", **drawn)


def failure(_: str, vendor: Vendor) -> dict[str, Any]:
    """That a call under way never connected."""
    return never_connected("unknown", vendor.conversation, sip_status_code=486)


KINDS = [*((provider, report) for provider in ("http", *VENDORS)), ("elevenlabs", failure)]
SECRETS = {"http": WEBHOOK_SECRET}


def told(cloud: Cloud, provider: str, body: bytes, signed_body: bytes) -> int:
    """The status of the answer to a webhook with another one's signature, or its own."""
    headers = signed(provider, signed_body, clock.now(), key=SECRETS.get(provider, SECRET))
    return cloud.post(f"/agents/{provider}/webhook", body, organization=None, headers=headers).status


@pytest.mark.parametrize(("provider", "kind"), KINDS)
def test_signed_webhook_is_never_answered_by_an_error_of_ours(
    cloud: Cloud, vendor: Vendor, provider: str, kind: Kind
) -> None:
    dialed(cloud, vendor, provider)
    message, statuses = kind(provider, vendor), set()
    for seed in range(BODIES):
        body = mutated(message, random.Random(seed))
        status = told(cloud, provider, body, body)
        assert status in ({200} if provider == "elevenlabs" else {ACCEPTED[provider], 400, 404}), (seed, body)
        statuses.add(status)
    assert ACCEPTED[provider] in statuses
    cloud.pace_all()


@pytest.mark.parametrize(("provider", "kind"), KINDS)
def test_webhook_under_the_signature_of_another_body_changes_nothing(
    cloud: Cloud, vendor: Vendor, provider: str, kind: Kind
) -> None:
    campaign_id, contact_id = dialed(cloud, vendor, provider)
    message = kind(provider, vendor)
    whole = json.dumps(message).encode()
    for seed in range(BODIES):
        body = mutated(message, random.Random(seed))
        if body != whole:
            assert told(cloud, provider, body, whole) == 401, (seed, body)
    cloud.pace_all()
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"
    assert told(cloud, provider, whole, whole) == ACCEPTED[provider]
    cloud.pace_all()
    assert cloud.call(campaign_id, contact_id)["callStatus"] in {"SUCCESS", "BUSY"}


def test_failure_that_nobody_signed_is_not_kept_for_the_call_to_come(cloud: Cloud, vendor: Vendor) -> None:
    whole = json.dumps(never_connected("busy", "conversation-1")).encode()
    assert told(cloud, "elevenlabs", whole, whole + b" ") == 401
    campaign_id, contact_id = dialed(cloud, vendor, "elevenlabs")
    cloud.pace_all()
    assert (vendor.conversation, cloud.call(campaign_id, contact_id)["callStatus"]) == ("conversation-1", "CALLING")
