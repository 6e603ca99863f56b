"""The keys an identity provider publishes as a JWK Set (RFC 7517): fetched, judged one by one, and kept for a while."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from chalicelib.errors import Unavailable
from chalicelib.log import logger

FRESH_SECONDS = 300
"""How long keys are used without asking again."""

STALE_SECONDS = 3600
"""How long they are used while the provider does not answer."""

PAUSE_SECONDS = 30
"""Between two looks for keys nobody has heard of: whoever makes up ids of keys does not reach the provider."""

RETRY_SECONDS = 5
"""Between two tries while the provider does not answer."""

CONNECT_SECONDS, READ_SECONDS = 2, 3
MOST_BYTES = 512 * 1024


class NoKeys(Unavailable):
    """The identity provider's keys cannot be read at the moment: try again."""


class Kind(Struct, frozen=True):
    """The keys an algorithm takes."""

    kty: str
    crv: str | None
    least_bits: int


KINDS = {"RS256": Kind("RSA", None, 2048), "ES256": Kind("EC", "P-256", 256)}


class _Set(Struct):
    keys: list[Any]


class KeySet:
    """A provider's keys by their ids. `seconds` is a clock that only goes forward."""

    def __init__(
        self, algorithm: str, fetch: Callable[[], bytes], *, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._algorithm = algorithm
        self._fetch = fetch
        self._seconds = seconds
        self._keys: dict[str | None, Any] = {}
        self._read_at = self._tried_at = float("-inf")
        self._failed = False

    def key(self, kid: str | None) -> Any | None:
        """The key of an id, or None when the provider has no such key. Raises NoKeys when it cannot be asked."""
        now = self._seconds()
        if self._is_due(kid, now):
            self._refresh(now)
        if kid in self._keys and now - self._read_at < STALE_SECONDS:
            return self._keys[kid]
        if self._failed:
            raise NoKeys
        return None

    def _is_due(self, kid: str | None, now: float) -> bool:
        if kid in self._keys and now - self._read_at < FRESH_SECONDS:
            return False
        return now - self._tried_at >= (RETRY_SECONDS if self._failed else PAUSE_SECONDS)

    def _refresh(self, now: float) -> None:
        self._tried_at = now
        try:
            self._keys = suitable(self._fetch(), self._algorithm)
        except NoKeys as why:
            logger().warning("identity provider's keys not read", reason=repr(why.__cause__ or why))
            self._failed = True
        else:
            self._read_at, self._failed = now, False


def suitable(body: bytes, algorithm: str) -> dict[str | None, Any]:
    """Public keys by their ids, those of a JWK Set that may verify the algorithm. Raises NoKeys for what is no set."""
    try:
        published = msgspec.json.decode(body, type=_Set).keys
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NoKeys from error
    found: dict[str | None, Any] = {}
    for jwk in published:
        if isinstance(jwk, dict) and _is_for(jwk, KINDS[algorithm], algorithm):
            key = _public(jwk, algorithm)
            if key is not None and key.key_size >= KINDS[algorithm].least_bits:
                found.setdefault(jwk.get("kid"), key)
    return found


def _is_for(jwk: dict[str, Any], kind: Kind, algorithm: str) -> bool:
    """Whether a JWK says of itself that it verifies the algorithm's signatures; one that shows its secret does not."""
    operations = jwk.get("key_ops", ["verify"])
    return (
        (jwk.get("kty"), jwk.get("crv")) == (kind.kty, kind.crv)
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and isinstance(jwk.get("kid"), str | None)
        and "d" not in jwk
    )


def _public(jwk: dict[str, Any], algorithm: str) -> Any | None:
    import jwt

    try:
        return jwt.PyJWK(jwk, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None


def fetch(url: str) -> bytes:
    """What is published at an address, which leads nowhere else. Raises NoKeys."""
    import urllib3

    try:
        answer = _pool().request("GET", url, redirect=False, preload_content=False)
        with contextlib.closing(answer):
            body: bytes = answer.read(MOST_BYTES + 1)
    except urllib3.exceptions.HTTPError as error:
        raise NoKeys from error
    if answer.status != 200 or len(body) > MOST_BYTES:
        raise NoKeys from ValueError(f"status {answer.status}, {len(body)} bytes")
    return body


@functools.cache
def _pool() -> Any:
    import urllib3

    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    return urllib3.PoolManager(timeout=timeout, retries=False, headers={"Accept": "application/json"})
