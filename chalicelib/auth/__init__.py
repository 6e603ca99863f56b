"""A bearer token becomes an Identity."""

from __future__ import annotations

import functools
from enum import StrEnum
from typing import Any

import msgspec

from chalicelib.auth import keys
from chalicelib.aws.ssm import SecretUnreadable, secret
from chalicelib.errors import Forbidden, Unauthorized, Unavailable
from chalicelib.log import logger
from chalicelib.settings import settings

LONGEST_NAME = 128
"""Characters of an organization's id."""

LONGEST_SUBJECT = 255
"""Characters of `sub`, https://openid.net/specs/openid-connect-core-1_0.html#IDToken"""

REFUSALS = {
    "ExpiredSignatureError": "The token has expired.",
    "InvalidAudienceError": "The token is meant for another audience.",
    "InvalidIssuerError": "The token comes from another issuer.",
}
"""What a token is told by the name of PyJWT's error; all others are told that it is not valid."""


class Role(StrEnum):
    """What a person may do; each may do also what those before it may."""

    VIEWER = "viewer"
    """Reads."""

    OPERATOR = "operator"
    """Edits contacts, imports, runs campaigns, and stops all calling."""

    MANAGER = "manager"
    """Erases, lifts DO_NOT_CALL, exports, changes settings."""

    def may(self, needed: Role) -> bool:
        """Whether whoever has this role may do what another is needed for."""
        roles = list(Role)
        return roles.index(self) >= roles.index(needed)


class Identity(msgspec.Struct, frozen=True):
    """Who asks: the organization whose rows are visible, and the person (`sub`) for the record."""

    organization_id: str
    subject: str | None = None
    expires_at: int | None = None
    """When the token expires, in Unix seconds."""

    role: Role = Role.MANAGER
    """Of a deployment that tells no roles, everybody's is the highest."""


def identify(token: str) -> Identity:
    """The identity a JWT vouches for.

    Raises Unauthorized with a reason that names no secret, Forbidden for one that names no role where roles are told,
    and Unavailable when the keys that tokens are checked with cannot be read.
    """
    import jwt

    try:
        claims = jwt.decode(token, _key(token), [settings().jwt_algorithm], **_checks())
    except jwt.MissingRequiredClaimError as error:
        raise Unauthorized(f"The token has no {error.claim} claim.") from None
    except (jwt.InvalidTokenError, ValueError) as error:
        raise Unauthorized(REFUSALS.get(type(error).__name__, "The token is not valid.")) from None
    expires_at = int(claims["exp"]) if "exp" in claims else None
    return Identity(_organization(claims), _subject(claims), expires_at, _role(claims))


def _checks() -> dict[str, Any]:
    """What is checked beside the signature. Any `sub` and `jti` will do: some providers number users and tokens."""
    given = settings()
    audiences = [each.strip() for each in given.jwt_audience.split(",") if each.strip()]
    return {
        "audience": audiences or None,
        "issuer": given.jwt_issuer or None,
        "leeway": given.jwt_leeway_seconds,
        "options": {
            "require": ["exp"] if given.jwt_require_exp else [],
            "verify_aud": bool(audiences),
            "verify_sub": False,
            "verify_jti": False,
        },
    }


def _organization(claims: dict[str, Any]) -> str:
    """Text or a whole number, of a form that is the same in a path, an object's key, a log line and a row."""
    name = settings().jwt_organization_claim
    claim = claims.get(name)
    if isinstance(claim, bool) or not isinstance(claim, str | int) or not str(claim).strip():
        raise Unauthorized(f"The token has no {name} claim.")
    text = str(claim)
    sound = text.isprintable() and text == text.strip() and text not in (".", "..")
    if not sound or "#" in text or "/" in text or len(text) > LONGEST_NAME:
        raise Unauthorized(
            f"The token's {name} is not of its form: at most {LONGEST_NAME} printable characters, no # and /, no space "
            "at either end, not . or .. alone."
        )
    return text


def _subject(claims: dict[str, Any]) -> str | None:
    subject = claims.get("sub")
    if subject is None:
        return None
    if isinstance(subject, bool) or not isinstance(subject, str | int):
        raise Unauthorized("The token's sub is neither text nor a whole number.")
    if len(str(subject)) > LONGEST_SUBJECT or not str(subject).isprintable():
        raise Unauthorized(f"The token's sub is not of its form: at most {LONGEST_SUBJECT} printable characters.")
    return str(subject)


def _role(claims: dict[str, Any]) -> Role:
    """The role a claim names, or the highest where it lists several, as providers do with a person's groups."""
    name = settings().jwt_role_claim
    if not name:
        return Role.MANAGER
    claim = claims.get(name)
    named = [role for role in Role if role in (claim if isinstance(claim, list) else [claim])]
    if not named:
        raise Forbidden(f"The token's {name} claim names no role: expected one of {', '.join(Role)}.")
    return named[-1]


def _key(token: str) -> Any:
    """What a token's signature is checked with. Raises Unavailable, and PyJWT's errors when there is no such key."""
    import jwt

    algorithm = settings().jwt_algorithm
    header = jwt.get_unverified_header(token)
    if header.get("alg") != algorithm:
        raise jwt.InvalidAlgorithmError
    key = _secret() if algorithm == "HS256" else _published(settings().jwt_jwks_url, algorithm).key(header.get("kid"))
    if key is None:
        raise jwt.InvalidSignatureError
    return key


def _secret() -> str:
    try:
        return secret(settings().jwt_secret_parameter)
    except SecretUnreadable as error:
        logger().error("the tokens' key cannot be read", reason=str(error))
        raise Unavailable("Tokens cannot be checked at the moment: try again.") from error


@functools.cache
def _published(url: str, algorithm: str) -> keys.KeySet:
    """The process's one memory of a provider's keys."""
    return keys.KeySet(algorithm, functools.partial(keys.fetch, url))
