"""A bearer token becomes an Identity."""

import functools
from typing import Any

import msgspec

from chalicelib.aws.ssm import secret
from chalicelib.errors import Unauthorized
from chalicelib.settings import settings


class Identity(msgspec.Struct, frozen=True):
    """Who asks: the organization whose rows are visible, and the person (`sub`) for the record."""

    organization_id: str
    subject: str | None = None


def identify(token: str) -> Identity:
    """The identity a JWT vouches for. Raises Unauthorized with a reason that names no secret."""
    import jwt

    required = ["exp"] if settings().jwt_require_exp else []
    try:
        claims = jwt.decode(token, _key(token), [settings().jwt_algorithm], options={"require": required})
    except jwt.ExpiredSignatureError:
        raise Unauthorized("The token has expired.") from None
    except jwt.MissingRequiredClaimError as error:
        raise Unauthorized(f"The token has no {error.claim} claim.") from None
    except (jwt.InvalidTokenError, jwt.PyJWKClientError):
        raise Unauthorized("The token is not valid.") from None
    return Identity(_organization(claims), _subject(claims))


def _organization(claims: dict[str, Any]) -> str:
    claim = claims.get("organizationId")
    if isinstance(claim, bool) or not isinstance(claim, str | int) or not str(claim).strip():
        raise Unauthorized("The token has no organizationId claim.")
    if "#" in str(claim) or "/" in str(claim) or len(str(claim)) > 128:
        raise Unauthorized("The token's organizationId is not of its form: at most 128 characters without # and /.")
    return str(claim)


def _subject(claims: dict[str, Any]) -> str | None:
    subject = claims.get("sub")
    return None if subject is None else str(subject)


def _key(token: str) -> Any:
    if settings().jwt_jwks_url:
        return _jwks(settings().jwt_jwks_url).get_signing_key_from_jwt(token).key
    return secret(settings().jwt_secret_parameter)


@functools.cache
def _jwks(url: str) -> Any:
    import jwt

    return jwt.PyJWKClient(url, timeout=5)
