"""What a process keeps: settings, clients and secrets. A Lambda keeps them for its life, a test for its own."""

from aws_lambda_powertools.utilities.parameters import clear_caches

from chalicelib import queues, settings, store
from chalicelib.imports import store as imports
from chalicelib.realtime import poster


def clear() -> None:
    """Forget everything."""
    clear_caches()
    for kept in (settings.settings, store.connection, queues._sqs, imports._s3, poster._api):
        kept.cache_clear()
    for row in _rows(store.Row):
        row._connection = None


def _rows(base: type[store.Row]) -> list[type[store.Row]]:
    return [each for row in base.__subclasses__() for each in (row, *_rows(row))]
