"""Structured logs. Phones go in masked, tokens and secrets never."""

import functools
from typing import Any


@functools.cache
def logger() -> Any:
    """The process's logger, an aws-lambda-powertools Logger."""
    from aws_lambda_powertools import Logger

    return Logger(service="autocall")
