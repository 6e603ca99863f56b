"""What a process keeps of its environment: a Lambda for its life, a test for its own. Clients are kept by all."""

from aws_lambda_powertools.utilities.parameters import clear_caches

from chalicelib import settings


def clear() -> None:
    """Forget the settings and secrets."""
    settings.settings.cache_clear()
    clear_caches()  # type: ignore[no-untyped-call]
