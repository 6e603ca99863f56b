"""Which tokens are taken and which refused, one row each; keys that cannot be read are not the fault of who asks."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.service.aws import JWT_SECRET, client
from tests.service.cloud import Cloud, Reply
from tests.service.identity import Key, claims, configure, ec_key, rsa_key, serving, shown, signed

NOW = int(time.time())
DEEP = "[" * 20_000

OURS = "2026"


def ask(cloud: Cloud, bearer: str) -> Reply:
    """The answer to a request with a token."""
    return cloud.get("/contacts", organization=None, headers={"Authorization": f"Bearer {bearer}"})


def by_secret(payload: dict[str, Any] | bytes, key: str = JWT_SECRET, algorithm: str = "HS256", **header: Any) -> str:
    return signed(key, payload, algorithm, **header)


def segments(header: str, payload: str = "{}", signature: str = "x") -> str:
    """A token that nobody signed."""
    return ".".join(
        base64.urlsafe_b64encode(each.encode()).rstrip(b"=").decode() for each in (header, payload, signature)
    )


SOUND: list[tuple[str, dict[str, Any]]] = [
    ("plain", {}),
    ("organization is a number", {"organizationId": 7}),
    ("organization is a negative number", {"organizationId": -7}),
    ("organization is zero", {"organizationId": 0}),
    ("organization of letters of any script", {"organizationId": "Қарздор-1"}),
    ("organization with a space inside", {"organizationId": "Bank of Tashkent"}),
    ("organization with dots", {"organizationId": "a..b"}),
    ("organization of the longest form", {"organizationId": "x" * 128}),
    ("organization is an address", {"organizationId": "ali@bank.example"}),
    ("no subject", {"sub": None}),
    ("subject is a number", {"sub": 4711}),
    ("subject of the longest form", {"sub": "x" * 255}),
    ("audience nobody asked about", {"aud": "anything"}),
    ("several audiences", {"aud": ["one", "another"]}),
    ("issuer nobody asked about", {"iss": "https://login.example/"}),
    ("id is a number", {"jti": 5}),
    ("expires after a fraction of a second", {"exp": NOW + 7200.5}),
    ("expires at the end of time", {"exp": 10**15}),
    ("expiry written as text", {"exp": str(NOW + 7200)}),
    ("not valid before this moment", {"nbf": NOW}),
    ("begins in a moment", {"nbf": NOW + 5}),
    ("issued in a moment", {"iat": NOW + 5}),
    ("claims nobody knows", {"roles": ["admin"], "nested": {"organizationId": "2"}}),
]

NOT_VALID = "The token is not valid."
NO_FORM = "The token's organizationId is not of its form"
NO_ORGANIZATION = "The token has no organizationId claim."

FAULTY: list[tuple[str, str, str]] = [
    *((f"organization is {name}", by_secret(claims(organizationId=given)), NO_ORGANIZATION) for name, given in (
        ("absent", None), ("a flag", True), ("empty", ""), ("blank", " "), ("a fraction", 1.5), ("a list", ["1"]),
        ("an object", {"id": "1"}),
    )),
    *((f"organization {name}", by_secret(claims(organizationId=given)), NO_FORM) for name, given in (
        ("is a dot", "."), ("is two dots", ".."), ("has a slash", "1/2"), ("climbs", "../1"),
        ("has a reserved sign", "1#log"),
        ("has a line break", "1\n"), ("has a line break inside", "1\r\n2"), ("has a null", "1\0"),
        ("has a tab", "a\tb"),
        ("has a DEL", "a\x7f"), ("has a C1 control", "a\x85b"), ("is written backwards", "a\u202eb"),
        ("has an invisible sign", "a\u200b"),
        ("has half a letter", "a\ud800"), ("has a no-break space", "a\u00a0b"), ("begins with a space", " 1"),
        ("ends with a space", "1 "), ("is too long", "x" * 129), ("is too long a number", 10**128),
    )),
    *((f"subject is {name}", by_secret(claims(sub=given)), "The token's sub") for name, given in (
        ("a flag", True), ("a list", ["ali"]), ("an object", {}), ("a fraction", 1.5), ("too long", "x" * 256),
        ("two lines", "a\nb"),
    )),
    ("expired", by_secret(claims(exp=NOW - 60)), "The token has expired."),
    ("expired long ago", by_secret(claims(exp=1)), "The token has expired."),
    ("expires before time began", by_secret(claims(exp=-1)), "The token has expired."),
    ("without expiry", by_secret(claims(exp=None)), "The token has no exp claim."),
    *((f"{name} is {given!r}", by_secret(claims(**{name: given})), NOT_VALID) for name, given in (
        ("exp", "tomorrow"), ("exp", [1]), ("exp", {}), ("exp", float("inf")), ("nbf", "now"), ("nbf", [NOW]),
        ("iat", "x"), ("iat", {}),
    )),
    ("exp is nothing", by_secret(b'{"organizationId":"1","exp":null}'), "The token has no exp claim."),
    ("not yet valid", by_secret(claims(nbf=NOW + 7200)), NOT_VALID),
    ("issued in the future", by_secret(claims(iat=NOW + 7200)), NOT_VALID),
    ("another secret", by_secret(claims(), "x" * 64), NOT_VALID),
    ("HS384", by_secret(claims(), JWT_SECRET * 2, "HS384"), NOT_VALID),
    ("HS512", by_secret(claims(), JWT_SECRET * 2, "HS512"), NOT_VALID),
    ("RS256 where a secret signs", signed(rsa_key("ours"), claims(), "RS256"), NOT_VALID),
    *((f"algorithm {given!r}", segments(json.dumps({"alg": given}), json.dumps(claims())), NOT_VALID) for given in (
        "none", "None", "", "hs256", None, 7, ["HS256"],
    )),
    ("no algorithm", segments("{}"), NOT_VALID),
    ("unsigned", by_secret(claims()).rpartition(".")[0] + ".", NOT_VALID),
    ("cut", by_secret(claims())[:-4], NOT_VALID),
    ("changed", by_secret(claims()).replace(".", ".e", 1), NOT_VALID),
    ("an extension that must be understood", by_secret(claims(), crit=["exp"]), NOT_VALID),
    ("an empty list of those", by_secret(claims(), crit=[]), NOT_VALID),
    ("a payload apart", by_secret(claims(), b64=False, crit=["b64"]), NOT_VALID),
    ("key id is a number", by_secret(claims(), kid=7), NOT_VALID),
    ("no word", "nonsense", NOT_VALID),
    ("two segments", "e30.e30", NOT_VALID),
    ("four segments", "e30.e30.e30.e30", NOT_VALID),
    ("five segments, encrypted", "e30.e30.e30.e30.e30", NOT_VALID),
    ("no base64", "!.!.!", NOT_VALID),
    ("header is a list", segments("[]"), NOT_VALID),
    ("header is deep", segments(DEEP), NOT_VALID),
    ("header is deep inside", segments('{"alg":"HS256","x":' + DEEP), NOT_VALID),
    ("payload is a list", by_secret(b"[]"), NOT_VALID),
    ("payload is text", by_secret(b'"organizationId"'), NOT_VALID),
    ("payload is empty", by_secret(b""), NOT_VALID),
    ("payload is deep", by_secret(DEEP.encode()), NOT_VALID),
    ("payload is no UTF-8", by_secret(b'{"organizationId":"\xff"}'), NOT_VALID),
    ("a number without end", by_secret(b'{"organizationId":' + b"9" * 5000 + b"}"), NOT_VALID),
]  # fmt: skip


def test_table_is_long_enough(record_property: Callable[[str, object], None]) -> None:
    record_property("tokens", f"{len(SOUND)} are taken, {len(FAULTY)} are refused; and {len(KEYS)} keys")
    assert len(SOUND) + len(FAULTY) >= 60
    names = Counter([name for name, *_ in SOUND] + [name for name, *_ in FAULTY])
    assert names.most_common(1)[0][1] == 1


def test_sound_token_is_taken(cloud: Cloud, subtests: pytest.Subtests) -> None:
    just_expired = ("just expired", {"exp": int(time.time()) - 5})
    for name, more in [*SOUND, just_expired]:
        with subtests.test(name):
            assert ask(cloud, by_secret(claims(**more))).status == 200


def test_faulty_token_is_refused_with_a_reason(cloud: Cloud, subtests: pytest.Subtests) -> None:
    for name, bearer, reason in FAULTY:
        with subtests.test(name):
            reply = ask(cloud, bearer)
            assert reply.problem == (401, "unauthorized")
            assert reply.headers["WWW-Authenticate"] == "Bearer"
            assert reply.body["detail"].startswith(reason)
            assert JWT_SECRET not in json.dumps(reply.body)


def test_subject_that_is_a_number_owns_its_idempotency_keys(cloud: Cloud) -> None:
    body = {"firstName": "Ali", "phone": "+998901234567"}
    headers = {"Authorization": f"Bearer {by_secret(claims(sub=4711))}", "Idempotency-Key": "k"}
    first, again = (cloud.post("/contacts", body, organization=None, headers=headers) for _ in range(2))
    assert (first.status, again.body) == (201, first.body)


AUDIENCE = "https://autocall.example"
ISSUER = "https://login.example/"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"aud": AUDIENCE, "iss": ISSUER}, None),
        ({"aud": ["x", AUDIENCE], "iss": ISSUER}, None),
        ({"aud": "console", "iss": ISSUER}, None),
        ({"aud": "x", "iss": ISSUER}, "The token is meant for another audience."),
        ({"aud": [], "iss": ISSUER}, "The token has no aud claim."),
        ({"aud": 7, "iss": ISSUER}, "The token is meant for another audience."),
        ({"aud": AUDIENCE + "/", "iss": ISSUER}, "The token is meant for another audience."),
        ({"iss": ISSUER}, "The token has no aud claim."),
        ({"aud": AUDIENCE}, "The token has no iss claim."),
        ({"aud": AUDIENCE, "iss": ISSUER.rstrip("/")}, "The token comes from another issuer."),
        ({"aud": AUDIENCE, "iss": 7}, "The token comes from another issuer."),
        ({"aud": AUDIENCE, "iss": [ISSUER]}, "The token comes from another issuer."),
    ],
)
def test_audience_and_issuer_count_when_they_are_set(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], reason: str | None
) -> None:
    configure(monkeypatch, JWT_AUDIENCE=f"{AUDIENCE}, console", JWT_ISSUER=ISSUER)
    reply = ask(cloud, by_secret(claims(**more)))
    assert (reply.status, reply.body.get("detail")) == ((200, None) if reason is None else (401, reason))


def test_clocks_may_differ_by_the_leeway(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    late = by_secret(claims(exp=int(time.time()) - 100))
    assert ask(cloud, late).status == 401
    configure(monkeypatch, JWT_LEEWAY_SECONDS="200")
    assert ask(cloud, late).status == 200
    configure(monkeypatch, JWT_LEEWAY_SECONDS="0")
    assert ask(cloud, by_secret(claims(exp=int(time.time()) - 1))).status == 401


def test_another_claim_may_name_the_organization(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, JWT_ORGANIZATION_CLAIM="https://autocall.example/org")
    assert ask(cloud, by_secret(claims(organizationId=None) | {"https://autocall.example/org": "1"})).status == 200
    refused = ask(cloud, by_secret(claims()))
    assert (refused.status, refused.body["detail"]) == (401, "The token has no https://autocall.example/org claim.")


def test_secret_that_cannot_be_read_is_nobodys_fault_who_asks(cloud: Cloud) -> None:
    client("ssm").delete_parameter(Name="/autocall/jwt-secret")
    reply = ask(cloud, by_secret(claims()))
    assert reply.problem == (503, "unavailable")
    assert int(reply.headers["Retry-After"]) > 0
    assert "jwt-secret" not in json.dumps(reply.body)


RSA, WEAK, CURVE = rsa_key("ours"), rsa_key("weak", 1024), ec_key("ours")
K1, P384 = ec_key("k1", ec.SECP256K1), ec_key("384", ec.SECP384R1)

KEYS: list[tuple[str, str, Key, dict[str, Any], int]] = [
    ("says nothing of itself", "RS256", RSA, {}, 200),
    ("says all of itself", "RS256", RSA, {"alg": "RS256", "use": "sig", "key_ops": ["verify"]}, 200),
    ("several operations", "RS256", RSA, {"key_ops": ["sign", "verify"]}, 200),
    ("for encryption", "RS256", RSA, {"use": "enc"}, 401),
    ("of another algorithm", "RS256", RSA, {"alg": "RS512"}, 401),
    ("of an algorithm of encryption", "RS256", RSA, {"alg": "RSA-OAEP"}, 401),
    ("may not verify", "RS256", RSA, {"key_ops": ["encrypt"]}, 401),
    ("operations are no list", "RS256", RSA, {"key_ops": "verify"}, 401),
    ("shows its secret", "RS256", RSA, {"d": "AQAB"}, 401),
    ("of another kind", "RS256", RSA, {"kty": "EC"}, 401),
    ("kind in lower case", "RS256", RSA, {"kty": "rsa"}, 401),
    ("no modulus", "RS256", RSA, {"n": None}, 401),
    ("modulus is a number", "RS256", RSA, {"n": 5}, 401),
    ("modulus is no base64", "RS256", RSA, {"n": "!"}, 401),
    ("no exponent", "RS256", RSA, {"e": None}, 401),
    ("1,024 bits", "RS256", WEAK, {}, 401),
    ("id is a number", "RS256", RSA, {"kid": 2026}, 401),
    ("id is a list", "RS256", RSA, {"kid": ["2026"]}, 401),
    ("another id", "RS256", RSA, {"kid": "2025"}, 401),
    ("a curve's", "ES256", CURVE, {"alg": "ES256", "use": "sig"}, 200),
    ("a curve's for RS256", "ES256", CURVE, {"alg": "RS256"}, 401),
    ("of the wrong curve", "ES256", P384, {"crv": "P-256"}, 401),
    ("of a curve for coins", "ES256", K1, {}, 401),
    ("off the curve", "ES256", CURVE, {"x": "AQAB"}, 401),
]


@pytest.mark.parametrize(("name", "algorithm", "key", "members", "status"), KEYS, ids=[each[0] for each in KEYS])
def test_key_is_one_if_it_suits_the_algorithm(
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    algorithm: str,
    key: Key,
    members: dict[str, Any],
    status: int,
) -> None:
    signer = key if key not in (K1, P384) else CURVE
    with serving(shown(key, **members)) as provider:
        configure(monkeypatch, JWT_ALGORITHM=algorithm, JWT_JWKS_URL=provider.url)
        assert ask(cloud, signed(signer, claims(), algorithm, kid=OURS)).status == status


@pytest.fixture
def cloud_with_provider(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Cloud, Any]]:
    """A deployment whose tokens a provider signs."""
    with serving(shown(RSA)) as provider:
        configure(monkeypatch, JWT_ALGORITHM="RS256", JWT_JWKS_URL=provider.url)
        yield cloud, provider


@pytest.mark.parametrize(
    ("status", "body", "location"),
    [
        (500, b"", ""),
        (404, b"", ""),
        (204, b"", ""),
        (200, b"", ""),
        (200, b"<html>", ""),
        (200, b"[]", ""),
        (200, b'{"error":"maintenance"}', ""),
        (200, b'{"keys":{}}', ""),
        (200, b'{"keys":' + DEEP.encode(), ""),
        (200, b'{"keys":[]}' + b" " * 600_000, ""),
        (302, b"", "http://169.254.169.254/latest/meta-data/"),
    ],
)
def test_set_that_cannot_be_read_is_nobodys_fault_who_asks(
    cloud_with_provider: tuple[Cloud, Any], status: int, body: bytes, location: str
) -> None:
    cloud, provider = cloud_with_provider
    provider.status, provider.body, provider.location = status, body, location
    for _ in range(3):
        reply = ask(cloud, signed(RSA, claims(), "RS256", kid=OURS))
        assert reply.problem == (503, "unavailable")
        assert int(reply.headers["Retry-After"]) > 0
    assert provider.asked == 1


def test_provider_that_is_away_is_nobodys_fault_who_asks(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as provider:
        away = provider.url
    configure(monkeypatch, JWT_ALGORITHM="RS256", JWT_JWKS_URL=away)
    assert ask(cloud, signed(RSA, claims(), "RS256", kid=OURS)).problem == (503, "unavailable")
    assert ask(cloud, "nonsense").status == 401


def test_made_up_ids_of_keys_do_not_reach_the_provider(cloud_with_provider: tuple[Cloud, Any]) -> None:
    cloud, provider = cloud_with_provider
    for n in range(50):
        assert ask(cloud, signed(RSA, claims(), "RS256", kid=f"made up {n}")).status == 401
    assert ask(cloud, signed(RSA, claims(), "RS256", kid=OURS)).status == 200
    assert provider.asked == 1


def test_public_key_is_no_secret(cloud_with_provider: tuple[Cloud, Any]) -> None:
    cloud, provider = cloud_with_provider
    for faulty in (
        by_secret(claims(), kid=OURS),
        signed(rsa_key("stranger"), claims(), "RS256", kid=OURS),
        signed(RSA, claims(), "PS256", kid=OURS),
        signed(RSA, claims(), "RS512", kid=OURS),
        segments(json.dumps({"alg": "none", "kid": OURS}), json.dumps(claims())),
        segments(json.dumps({"alg": "RS256", "jku": provider.url, "jwk": shown(RSA)}), json.dumps(claims())),
    ):
        assert ask(cloud, faulty).status == 401


def test_key_without_an_id_is_for_tokens_without_one(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(shown(RSA, kid=None)) as provider:
        configure(monkeypatch, JWT_ALGORITHM="RS256", JWT_JWKS_URL=provider.url)
        assert ask(cloud, signed(RSA, claims(), "RS256")).status == 200
        assert ask(cloud, signed(RSA, claims(), "RS256", kid=OURS)).status == 401
