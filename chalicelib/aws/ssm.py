"""Secrets live in SSM Parameter Store; a process keeps what it read for five minutes."""

from chalicelib.errors import Failure


class SecretUnreadable(Failure):
    """A secret of the deployment cannot be read."""


def secret(parameter: str) -> str:
    """The decrypted value of an SSM parameter. Raises SecretUnreadable."""
    from aws_lambda_powertools.utilities import parameters

    try:
        return parameters.get_parameter(parameter, decrypt=True, max_age=300)
    except parameters.GetParameterError as error:
        raise SecretUnreadable(f"The parameter {parameter} cannot be read.") from error
