"""Removing what is left of a campaign that was deleted: its calls, its results, its audit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from chalicelib.calls import store as calls
from chalicelib.campaigns import messages, results, store
from chalicelib.campaigns.messages import Remove

AT_ONCE = 200


def remove(order: Remove, *, now: Callable[[], datetime], until: datetime) -> None:
    """Remove a slice of a deleted campaign's rows, and queue the rest when the time is up."""
    while calls.remove_some(order.campaign_id, AT_ONCE):
        if now() >= until:
            messages.work(order)
            return
    results.forget(order.organization_id, order.campaign_id)
    store.forget(order.organization_id, order.campaign_id)
