"""A deployment's accounts with vendors: one SSM parameter each, `<AGENT_ACCOUNTS_PATH>/<provider>`, that holds JSON.

Whatever a vendor wants of us is in it: changed there, it holds within five minutes, without a deployment.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from chalicelib.agents.contract import CallOrder, NotPlaced
from chalicelib.aws.ssm import SecretUnreadable, secret
from chalicelib.errors import Failure, Unavailable
from chalicelib.settings import settings

Given = Annotated[str, Meta(pattern=r"^\S+$")]


class Unusable(Failure):
    """There is no account with the vendor, or it lacks something; nothing of what it holds is said."""


class Account(Struct, frozen=True, kw_only=True, rename="camel"):
    """An account with a vendor: its keys, and the agent and the callers' numbers of calls that name none."""

    api_key: Given
    webhook_secret: Given
    agent_id: Given | None = None
    caller_number: Given | None = None
    caller_numbers: list[Given] = []


AccountT = TypeVar("AccountT", bound=Account)


def to_place(provider: str, kind: type[AccountT]) -> AccountT:
    """The account to place a call with. Raises NotPlaced."""
    try:
        return _read(provider, kind)
    except (SecretUnreadable, Unusable) as error:
        raise NotPlaced(str(error)) from error


def to_hear(provider: str, kind: type[AccountT]) -> AccountT:
    """The account whose webhooks are believed. Raises Unavailable: the vendor is to send them again."""
    try:
        return _read(provider, kind)
    except (SecretUnreadable, Unusable) as error:
        raise Unavailable(str(error)) from error


def agent_of(order: CallOrder, account: Account) -> str:
    """The vendor's id of the agent that a call names, or the account's. Raises NotPlaced where neither does."""
    chosen = order.agent_id or account.agent_id
    if not chosen:
        raise NotPlaced("no agent is chosen: set the campaign's agent.agentId, or agentId of the vendor's account")
    return chosen


def caller_of(order: CallOrder, account: Account) -> str:
    """The number, or the vendor's id of it, that a contact is called from. Raises NotPlaced where there is none."""
    known = account.caller_numbers or ([account.caller_number] if account.caller_number else [])
    chosen = order.caller(known)
    if not chosen:
        raise NotPlaced(
            "no caller's number is chosen: set the campaign's agent.callerNumbers, or callerNumbers of the vendor's"
            " account"
        )
    return chosen


def _read(provider: str, kind: type[AccountT]) -> AccountT:
    parameter = f"{settings().agent_accounts_path}/{provider}"
    try:
        return msgspec.json.decode(secret(parameter), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unusable(f"The parameter {parameter} is no account: {error}") from None
