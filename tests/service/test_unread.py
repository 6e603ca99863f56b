"""Webhooks that cannot be read: refused, and kept for inspection without anything of whom they are about."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib import clock
from chalicelib.aws import s3
from chalicelib.dialing import unread
from chalicelib.dialing.unread import SLOTS, masked
from chalicelib.settings import settings
from tests.service.aws import WEBHOOK_SECRET, client
from tests.service.cloud import Cloud, Reply
from tests.service.test_agent_settings import OWN
from tests.service.test_vendors import Vendor, vendor
from tests.vendors import SECRET, signed

__all__ = ["vendor"]

PHONE, NAME = "+998935551122", "Zebiniso Qodirova"
NAMELESS: dict[str, dict[str, Any]] = {
    "http": {"success": True, "outcome": NAME, "callId": None},
    "retell": {"event": "call_analyzed", "call": {"to_number": PHONE, "transcript": NAME, "call_analysis": {}}},
    "vapi": {"message": {"type": "end-of-call-report", "customer": {"number": PHONE, "name": NAME}}},
    "elevenlabs": {"type": "post_call_transcription", "data": {"transcript": [{"message": NAME}], "user_id": [PHONE]}},
}
"""Reports that name no call."""


def kept() -> dict[str, dict[str, Any]]:
    bucket = client("s3")
    found = bucket.list_objects_v2(Bucket=settings().bucket, Prefix="unread/").get("Contents", [])
    return {
        each["Key"]: json.loads(bucket.get_object(Bucket=settings().bucket, Key=each["Key"])["Body"].read())
        for each in found
    }


def tell(cloud: Cloud, provider: str, body: bytes, *, key: str = "", organization: str = "") -> Reply:
    key = key or (WEBHOOK_SECRET if provider == "http" else SECRET)
    path = f"/agents/{provider}/webhook" + (f"/{organization}" if organization else "")
    headers = signed(provider, body, clock.now(), key=key)
    return cloud.post(path, body, organization=None, headers=headers)


@pytest.mark.parametrize("provider", NAMELESS)
def test_signed_webhook_that_cannot_be_read_is_refused_and_kept_masked(
    cloud: Cloud, vendor: Vendor, provider: str
) -> None:
    body = json.dumps(NAMELESS[provider]).encode()
    for _ in range(2):
        assert tell(cloud, provider, body).status == (200 if provider == "elevenlabs" else 400)
    [(key, file)] = kept().items()
    assert key.startswith(f"unread/{provider}/")
    assert file["bytes"] == len(body)
    assert not [each for each in (PHONE, NAME) if each in json.dumps(file, ensure_ascii=False)]
    assert file["built"].keys() == NAMELESS[provider].keys()
    assert [file["built"].get(name) for name in ("event", "type")] == [
        NAMELESS[provider].get(name) for name in ("event", "type")
    ]


def test_webhook_of_an_organizations_own_agent_is_kept_as_its_own(cloud: Cloud) -> None:
    own = {"url": "https://agent.invalid/calls", "webhookSecret": OWN}
    assert cloud.patch("/settings/agents/http", own).status == 200
    assert tell(cloud, "http", b"[]", key=OWN, organization="1").status == 400
    [key] = kept()
    assert key.startswith("unread/http/of/1/")


@pytest.mark.parametrize("provider", NAMELESS)
@pytest.mark.parametrize("organization", ["", "nobody"])
def test_what_nobody_signed_is_not_kept(cloud: Cloud, vendor: Vendor, provider: str, organization: str) -> None:
    reply = tell(cloud, provider, json.dumps(NAMELESS[provider]).encode(), key="no", organization=organization)
    assert (reply.status, kept()) == (401, {})


def test_webhook_that_can_be_read_is_not_kept(cloud: Cloud) -> None:
    body = json.dumps({"callId": "00000000-0000-7000-8000-000000000000", "success": True}).encode()
    assert tell(cloud, "http", body).status == 404
    assert kept() == {}


def test_files_are_limited(cloud: Cloud) -> None:
    for n in range(SLOTS * 3):
        unread.keep("http", json.dumps({"a" * (n % 40 + 1): [n] * (n // 40)}).encode(), "", now=clock.now())
    assert SLOTS // 2 < len(kept()) <= SLOTS


def test_sender_is_answered_when_the_bucket_is_not(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "put", lambda *_: 1 / 0)
    assert tell(cloud, "http", b"{}").status == 400


@pytest.mark.parametrize(
    ("body", "built"),
    [
        ({"a": 1, "b": 1.5, "c": True, "d": None}, {"a": "number", "b": "number", "c": "truth", "d": "null"}),
        ({"type": "a-word", "event": NAME, "status": PHONE}, {"type": "a-word", "event": "text", "status": "text"}),
        ({"a": [1, 2, 3, 4], "type": ["x", ""]}, {"a": [*["number"] * 3, "…"], "type": ["text", "empty"]}),
        ({PHONE: 1, NAME: 2, "p998935551122": 3}, {"…": "number"}),
    ],
)
def test_of_values_only_their_kind_is_kept(body: dict[str, Any], built: dict[str, Any]) -> None:
    assert masked(json.dumps(body).encode()) == built


def test_masked_webhook_is_small_however_large_it_was() -> None:
    inside: Any = "x"
    for n in range(60):
        inside = {f"name{n}": inside}
    wide: dict[str, Any] = {f"{'n' * 38}{chr(97 + n)}": {"m" * 40: "x" * 1_000} for n in range(26)}
    many = {chr(97 + n // 26) * 20 + chr(97 + n % 26): wide for n in range(100)}
    for body in (inside, many, {"a": [[[wide] * 9] * 9] * 9}):
        assert len(json.dumps(masked(json.dumps(body).encode()))) < 32_000
    assert masked(b"5" * 5_000) == "number"
    assert masked(b"[" * 100_000) == "no JSON"
