"""Structured logs, and the metrics in them. Phones go in masked, tokens and secrets never.

Every line says in `correlationId` what it is part of: the request that began it, or the attempt that a call is.
Messages carry it on (`sqs.Message`).
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from chalicelib import ids
from chalicelib.settings import settings

METRICS = {
    "CallsStarted": "Count",
    "CallsEnded": "Count",
    "CallsAnswered": "Count",
    "CapOccupancy": "Percent",
    "AgentLatency": "Milliseconds",
    "AgentErrors": "Count",
    "AgentFull": "Count",
    "AgentDown": "Count",
    "ResultToBrowserLag": "Milliseconds",
    "ImportRows": "Count",
    "ImportRowsFailed": "Count",
    "CounterDifference": "Count",
}
"""Each metric with its unit. CloudWatch has them of the service, and where a line says so by what it is about too."""

SERVICE = "autocall"


class _Work:
    """What this process is doing: one thing at a time, and its threads the same one."""

    correlation_id = ""


@functools.cache
def logger() -> Any:
    """The process's logger, an aws-lambda-powertools Logger."""
    from aws_lambda_powertools import Logger

    made = Logger(service=SERVICE)
    made.addFilter(_name)
    return made


def _name(record: logging.LogRecord) -> bool:
    if _Work.correlation_id:
        record.correlationId = _Work.correlation_id
    return True


def correlation_id() -> str:
    """What is being done; empty where nobody has said."""
    return _Work.correlation_id


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """What is logged and sent meanwhile is part of this; of something new where it is empty."""
    before, _Work.correlation_id = _Work.correlation_id, correlation_id or ids.new_id()
    try:
        yield
    finally:
        _Work.correlation_id = before


def measure(message: str, metrics: Mapping[str, float], by: Mapping[str, str] | None = None, **details: Any) -> None:
    """Log a line of which CloudWatch makes metrics, in all and `by` some of what it is about: of few values each.

    Its form: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    logger().info(message, **_embedded(metrics, by or {}), **details, stacklevel=3)


def alarm(metric: str, **details: Any) -> None:
    """Count something that must never happen: an error line, and a metric that the template alarms on."""
    logger().error(metric, **_embedded({metric: 1}, {}), **details, stacklevel=3)


def _embedded(metrics: Mapping[str, float], by: Mapping[str, str]) -> dict[str, Any]:
    told = {
        "Namespace": settings().metrics_namespace,
        "Dimensions": [["service"], ["service", *by]] if by else [["service"]],
        "Metrics": [{"Name": name, "Unit": METRICS.get(name, "Count")} for name in metrics],
    }
    return {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [told]}, **metrics, **by}
