"""With whose account a provider is used: the organization's own, or the deployment's.

The deployment's account with a vendor is one SSM parameter, `<AGENT_ACCOUNTS_PATH>/<provider>`, that holds JSON. An
organization's is what it has set of the provider, in its row of settings, and one parameter with its secrets,
`<ORGANIZATION_ACCOUNTS_PATH>/<digest of the organization>/<provider>`, which is read only where the row says that
there are some. Whatever is changed in a parameter by hand holds within five minutes; what is written by the API holds
at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec
from msgspec import Meta

from chalicelib.agents.contract import CallOrder, NotPlaced, OutcomeUnknown
from chalicelib.agents.settings import NOBODYS, Own, ProviderSettings, Secret
from chalicelib.agents.signatures import UNLIKE
from chalicelib.aws import ssm
from chalicelib.aws.ssm import SecretUnreadable
from chalicelib.bodies import CLEARABLE
from chalicelib.errors import Failure, Unauthorized, Unavailable
from chalicelib.settings import settings

Given = Annotated[str, Meta(pattern=r"^\S{1,500}\Z", description="text without spaces")]


class Unusable(Failure):
    """There is no account with the provider, or it lacks something; nothing of what it holds is said."""


class Account(ProviderSettings, frozen=True, kw_only=True, rename="camel"):
    """An account with a vendor."""

    api_key: Annotated[Secret, CLEARABLE]
    webhook_secret: Annotated[Secret, CLEARABLE]

    owned_by: ClassVar[str] = "apiKey"


AccountT = TypeVar("AccountT", bound=ProviderSettings)


class AccountHolder(Generic[AccountT]):
    """A provider that is used with an account. `own` is asked what the organization has set when that is needed."""

    kind: type[AccountT]
    waits_seconds: float | None = None
    takes_only_200 = False

    def __init__(self, own: Callable[[], Own] = lambda: NOBODYS) -> None:
        self.own = own

    @classmethod
    def provider(cls) -> str:
        """What the provider is called: as its module."""
        return cls.__module__.rpartition(".")[2]

    def to_place(self) -> AccountT:
        """The account to place a call with. Raises NotPlaced."""
        try:
            return self.account()
        except (SecretUnreadable, Unusable) as error:
            raise NotPlaced(str(error)) from error

    def to_ask(self) -> AccountT:
        """The account to ask after a call with. Raises OutcomeUnknown."""
        try:
            return self.account()
        except (SecretUnreadable, Unusable) as error:
            raise OutcomeUnknown(str(error)) from error

    def to_hear(self) -> AccountT:
        """The account whose webhooks are believed. Raises Unavailable: the vendor is to send them again.

        Raises Unauthorized at the address of an organization that has no account of its own.
        """
        own = self.own()
        if own.organization_id and not own.has(self.kind):
            raise Unauthorized(UNLIKE)
        try:
            return self.account()
        except (SecretUnreadable, Unusable) as error:
            raise Unavailable(str(error)) from error

    def account(self) -> AccountT:
        """The account. Raises SecretUnreadable, Unusable."""
        own = self.own()
        if own.has(self.kind):
            return self._read({**own.settings.values, **secrets(own, self.provider())}, "The organization's settings")
        name = f"{settings().agent_accounts_path}/{self.provider()}"
        members = _members(ssm.secret(name), f"The parameter {name}")
        if number := members.get("callerNumber"):
            members.setdefault("callerNumbers", [number])
        return self._read(members | own.shared(), f"The parameter {name}")

    def _read(self, members: dict[str, Any], whose: str) -> AccountT:
        try:
            return msgspec.convert(members, self.kind)
        except msgspec.ValidationError as error:
            raise Unusable(f"{whose} make no account with {self.provider()}: {error}") from None


def parameter(organization_id: str, provider: str) -> str:
    """Where an organization's secrets for a provider are: by a digest, as an organization may be called anything."""
    digest = hashlib.sha256(organization_id.encode()).hexdigest()
    return f"{settings().organization_accounts_path}/{digest}/{provider}"


def secrets(own: Own, provider: str) -> dict[str, Any]:
    """An organization's secrets for a provider; nothing is read where it has none.

    Raises SecretUnreadable, Unusable.
    """
    if not own.settings.secrets:
        return {}
    text = ssm.secret(parameter(own.organization_id, provider), version=own.settings.version)
    return _members(text, "The organization's secrets")


def _members(text: str, whose: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unusable(f"{whose} make no account: {error}") from None


def agent_of(order: CallOrder, account: ProviderSettings) -> str:
    """The vendor's id of the agent that a call names, or the account's. Raises NotPlaced where neither does."""
    chosen = order.agent_id or account.agent_id
    if not chosen:
        raise NotPlaced("no agent is chosen: set the campaign's agent.agentId, or agentId of the vendor's account")
    return chosen


def caller_of(order: CallOrder, account: ProviderSettings) -> str:
    """The number, or the vendor's id of it, that a contact is called from. Raises NotPlaced where there is none."""
    chosen = order.caller(account.caller_numbers or ())
    if not chosen:
        raise NotPlaced(
            "no caller's number is chosen: set the campaign's agent.callerNumbers, or callerNumbers of the vendor's"
            " account"
        )
    return chosen


def longest_talk_of(order: CallOrder, account: ProviderSettings) -> int:
    """Seconds a conversation may take: as the campaign says, or the account, and never longer than the call may."""
    most = order.longest_talk_seconds
    return most if order.max_duration_seconds else min(most, account.max_duration_seconds or most)
