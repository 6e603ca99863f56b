"""Structured logs and alarms. Phones go in masked, tokens and secrets never."""

import functools
from typing import Any

from chalicelib.settings import settings


@functools.cache
def logger() -> Any:
    """The process's logger, an aws-lambda-powertools Logger."""
    from aws_lambda_powertools import Logger

    return Logger(service="autocall")


def alarm(metric: str, **details: Any) -> None:
    """Count something that must never happen: an error line, and a CloudWatch metric that the template alarms on."""
    from aws_lambda_powertools.metrics import MetricUnit, single_metric

    logger().error(metric, **details)
    with single_metric(name=metric, unit=MetricUnit.Count, value=1, namespace=settings().metrics_namespace) as one:
        one.add_dimension(name="service", value="autocall")
