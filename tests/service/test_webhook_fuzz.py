"""Webhooks of vendors, mutated: signed ones never break us, those whose signature is of another body change nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib import clock
from tests.service.cloud import Cloud
from tests.service.test_vendors import ACCEPTED, Vendor, dialed, vendor
from tests.vendors import TALKED, VENDORS, reported, signed

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


@pytest.mark.parametrize("provider", VENDORS)
def test_signed_webhook_is_never_answered_by_an_error_of_ours(cloud: Cloud, vendor: Vendor, provider: str) -> None:
    dialed(cloud, vendor, provider)
    message = reported(provider, vendor.attempt, reason=TALKED[provider], outcome="SUCCESS", callback_at="soon")
    statuses = set()
    for seed in range(BODIES):
        body = mutated(message, random.Random(seed))
        headers = signed(provider, body, clock.now())
        status = cloud.post(f"/agents/{provider}/webhook", body, organization=None, headers=headers).status
        assert status in ({200} if provider == "elevenlabs" else {ACCEPTED[provider], 400, 404}), (seed, body)
        statuses.add(status)
    assert ACCEPTED[provider] in statuses
    cloud.pace_all()


@pytest.mark.parametrize("provider", VENDORS)
def test_webhook_under_the_signature_of_another_body_changes_nothing(
    cloud: Cloud, vendor: Vendor, provider: str
) -> None:
    campaign_id, contact_id = dialed(cloud, vendor, provider)
    message = reported(provider, vendor.attempt, reason=TALKED[provider], outcome="SUCCESS")
    whole = json.dumps(message).encode()
    headers = signed(provider, whole, clock.now())
    for seed in range(BODIES):
        body = mutated(message, random.Random(seed))
        if body != whole:
            reply = cloud.post(f"/agents/{provider}/webhook", body, organization=None, headers=headers)
            assert reply.status == 401, (seed, body)
    cloud.pace_all()
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"
