"""What a process keeps of its environment: a Lambda for its life, a test for its own. Clients are kept by all."""

from chalicelib import auth, log, settings
from chalicelib.aws import ssm


def clear() -> None:
    """Forget the settings, secrets and published keys, and what threads left as being done."""
    settings.settings.cache_clear()
    log._Work.correlation_id = ""
    auth._published.cache_clear()
    if ssm.provider.cache_info().currsize:
        ssm.provider().clear_cache()
    ssm._last().clear()
