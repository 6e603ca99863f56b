"""Connection state recovery: a client that comes back names the id it was given and the offset of its last event.

The id says whose events it is told and where it began, so that nothing has to be kept for it. Protocol:
https://socket.io/docs/v4/connection-state-recovery
"""

from __future__ import annotations

import hashlib
import re
import secrets

from chalicelib.realtime.model import Format

CLOCK = re.compile(r"\d+\.\d+")


def format_of(query: dict[str, str]) -> Format:
    """What a Socket.IO client is told. A handler in Python has as many arguments as it names, and gets no offset.

    python-engineio sends its clock with a dot as `t`; other clients, of which only those in JavaScript recover, none.
    """
    return Format.SOCKET_IO if CLOCK.fullmatch(query.get("t", "")) else Format.SOCKET_IO_RECOVERING


def new_id(organization_id: str, campaign_id: str | None, seq: int) -> str:
    """A new id of a client that is told what comes after a number; no other has been the same."""
    return f"{_whose(organization_id, campaign_id)}.{seq}.{secrets.token_hex(4)}"


def place(given: object, offset: object, organization_id: str, campaign_id: str | None) -> int | None:
    """The number of the last event a client that comes back was told; None when the id is not of these events."""
    if not isinstance(given, str):
        return None
    whose, _, rest = given.partition(".")
    began = _number(rest.partition(".")[0])
    if whose != _whose(organization_id, campaign_id) or began is None:
        return None
    return began if offset is None else _number(offset)


def _whose(organization_id: str, campaign_id: str | None) -> str:
    return hashlib.sha256(f"{organization_id}\0{campaign_id or ''}".encode()).hexdigest()[:16]


def _number(given: object) -> int | None:
    return int(given) if isinstance(given, str) and re.fullmatch(r"[0-9]{1,15}", given) else None
