"""Secrets live in SSM Parameter Store; a process keeps what it read for five minutes."""

import functools
from typing import Any

from chalicelib.aws import clients
from chalicelib.errors import Unavailable


class SecretUnreadable(Unavailable):
    """A secret of the deployment cannot be read."""


@functools.cache
def provider() -> Any:
    """The process's one way to SSM, which remembers what it read."""
    from aws_lambda_powertools.utilities.parameters import SSMProvider

    return SSMProvider(boto3_client=clients.client("ssm"))


def secret(parameter: str) -> str:
    """The decrypted value of an SSM parameter. Raises SecretUnreadable."""
    from aws_lambda_powertools.utilities.parameters import GetParameterError

    try:
        value: str = provider().get(parameter, decrypt=True, max_age=300)
    except GetParameterError as error:
        raise SecretUnreadable(f"The parameter {parameter} cannot be read.") from error
    return value
