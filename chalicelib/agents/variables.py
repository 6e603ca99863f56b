"""What an agent is told of a contact, as vendors take it: texts by name, to stand in a prompt as `{{name}}`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from chalicelib.agents.contract import CallOrder


def of(order: CallOrder) -> dict[str, str]:
    """The variables of a call. What nobody knows is the empty text, so that no placeholder is ever read out.

    Of one name, ours counts first, then the contact's `customData`, where it says something, then the campaign's own.
    """
    own = {
        "firstName": order.first_name,
        "lastName": order.last_name,
        "name": f"{order.first_name} {order.last_name}".strip(),
        "phone": order.phone_number,
        "notes": order.notes or "",
        "timezone": order.timezone or "",
        "campaignName": order.campaign_name,
        "campaignType": order.campaign_type,
        "organizationId": order.organization_id,
        "attempt": order.call_id,
    }
    kept = dict(_flat(order.custom_data))
    known = {name: text for name, text in kept.items() if text}
    return {**kept, **order.variables, **known, **own}


def _flat(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Members with their texts; those of an object inside by both names, `address_city`."""
    for name, value in data.items():
        whole = re.sub(r"[\W_]+", "_", f"{above}{name}").strip("_")
        if isinstance(value, dict):
            yield from _flat(value, f"{whole}_")
        elif whole:
            yield whole, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()
