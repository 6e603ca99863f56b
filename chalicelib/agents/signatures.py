"""Signatures of webhooks: an HMAC of the raw body with the moment it was made at."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime

from chalicelib.errors import Unauthorized

UNLIKE = "The webhook's signature does not match."
"""Also what is said where there is no secret: nobody learns who has one."""


def hmac_sha256(message: bytes, key: str) -> str:
    """HMAC-SHA256 in hexadecimal."""
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


def check(message: bytes, signature: str, key: str, *, at: float, now: datetime, age_seconds: int) -> None:
    """Check the signature of a message made `at` some Unix seconds: right, and no further than that from now.

    Raises Unauthorized.
    """
    if not hmac.compare_digest(hmac_sha256(message, key).encode(), signature.encode()):
        raise Unauthorized(UNLIKE)
    if abs(now.timestamp() - at) > age_seconds:
        raise Unauthorized("The webhook's signature is too old.")
