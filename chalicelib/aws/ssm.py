"""Secrets live in SSM Parameter Store; a process keeps what it read for five minutes."""

import functools
from collections.abc import Callable
from typing import Any

from chalicelib.aws import clients
from chalicelib.errors import Unavailable
from chalicelib.log import logger

KEPT_SECONDS = 300
AWAY_SECONDS = 30
"""How soon SSM is asked again that gave no answer: its forty reads a second are everybody's."""

GONE = ("ParameterNotFound", "AccessDeniedException")
"""Answers that say that a secret is not there for us. After any other the last value is as good as it was."""


class SecretUnreadable(Unavailable):
    """A secret of the deployment cannot be read."""


class SecretUnwritable(Unavailable):
    """Secrets cannot be kept at the moment: try again."""


@functools.cache
def provider() -> Any:
    """The process's one way to SSM, which remembers what it read."""
    from aws_lambda_powertools.utilities.parameters import SSMProvider

    return SSMProvider(boto3_client=clients.client("ssm"))


@functools.cache
def _last() -> dict[str, tuple[int, str]]:
    """The last value of each secret that was read, and of which version it was at least."""
    return {}


def secret(parameter: str, *, version: int = 0) -> str:
    """The decrypted value of an SSM parameter; while SSM does not answer, the last one. Raises SecretUnreadable.

    `version` is how often it was written, as far as is known: what was read before the last time is read again.
    """
    from aws_lambda_powertools.utilities.parameters import GetParameterError

    of, last = _last().get(parameter, (version, None))
    try:
        value: str = provider().get(parameter, decrypt=True, max_age=KEPT_SECONDS, force_fetch=of < version)
    except GetParameterError as error:
        if last is None or _code(error) in GONE:
            raise SecretUnreadable(f"The parameter {parameter} cannot be read.") from error
        logger().warning("a secret's last value is used", parameter=parameter, reason=_code(error))
        _last()[parameter] = max(of, version), last
        provider().add_to_cache(provider()._build_cache_key(name=parameter), last, AWAY_SECONDS)
        return last
    _last()[parameter] = max(of, version), value
    return value


def _code(error: Exception) -> str:
    return clients.code(error.__context__) if isinstance(error.__context__, Exception) else ""


def put(parameter: str, value: str) -> None:
    """Keep a secret. Raises SecretUnwritable."""
    _write(lambda ssm: ssm.put_parameter(Name=parameter, Value=value, Type="SecureString", Overwrite=True))


def remove(parameter: str) -> None:
    """Forget a secret, if there is one. Raises SecretUnwritable."""
    _write(lambda ssm: ssm.delete_parameter(Name=parameter))


def read(parameter: str) -> str | None:
    """The value of a secret as it is right now; None when there is none. Raises SecretUnwritable."""
    answer = _write(lambda ssm: ssm.get_parameter(Name=parameter, WithDecryption=True))
    return answer["Parameter"]["Value"] if answer else None


def _write(ask: Callable[[Any], Any]) -> Any:
    """What SSM answers; None where there is no such secret."""
    try:
        return ask(provider().client)
    except clients.REFUSALS as refusal:
        if clients.code(refusal) == "ParameterNotFound":
            return None
        logger().error("a secret is not written", reason=clients.code(refusal))
        raise SecretUnwritable from refusal
