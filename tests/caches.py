"""What a process keeps of its environment: a Lambda for its life, a test for its own. Clients are kept by all."""

from aws_lambda_powertools.utilities.parameters.constants import DEFAULT_PROVIDERS

from chalicelib import settings


def clear() -> None:
    """Forget the settings and secrets."""
    settings.settings.cache_clear()
    for provider in DEFAULT_PROVIDERS.values():
        provider.clear_cache()
