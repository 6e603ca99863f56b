"""What the handlers read of their environment, in a world without AWS."""

from __future__ import annotations

from tests.simulation.dynamodb import DynamoDB


def variables() -> dict[str, str]:
    """Names of tables and queues, credentials nobody checks, silence."""
    return {
        **DynamoDB().names(),
        "CAMPAIGN_EVENTS_QUEUE": "https://sqs.test/campaign-events.fifo",
        "DIAL_QUEUE": "https://sqs.test/dial-queue",
        "JOBS_QUEUE": "https://sqs.test/jobs",
        "IMPORTS_QUEUE": "https://sqs.test/imports",
        "LIVE_EVENTS_QUEUE": "https://sqs.test/live-events.fifo",
        "BUCKET": "bucket",
        "BARRED_PHONES_KEY_PARAMETER": "/autocall/barred-phones-key",
        "SOCKET_ENDPOINT": "https://sockets.test/api",
        "POWERTOOLS_LOG_LEVEL": "CRITICAL",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
