"""Vapi: phone calls by `POST /call`, results by its server's messages. Read from vapi-server-sdk 3.0.0."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar
from urllib.parse import quote, urlencode

from msgspec.structs import replace

from chalicelib import clock
from chalicelib.agents import accounts, endings, signatures, variables, wire
from chalicelib.agents.accounts import AccountHolder, Given
from chalicelib.agents.contract import (
    Accepted,
    CallOrder,
    Declined,
    Ending,
    Inquiry,
    OutcomeUnknown,
    Webhook,
    Whereabouts,
)
from chalicelib.agents.endings import End, within, word
from chalicelib.agents.reports import FIRST_MILLISECONDS, members
from chalicelib.agents.settings import Address
from chalicelib.bodies import CLEARABLE
from chalicelib.errors import Unauthorized
from chalicelib.settings import settings

SIGNATURE_AGE_SECONDS = 300

SLACK_SECONDS = 60
"""By how much a moment of the vendor's may be off."""

LISTED = 1000
"""Calls of one answer, the most that the vendor lists."""

AGAIN = {"type": "exponential", "maxRetries": 5, "baseDelaySeconds": 5}
"""How a webhook that was not taken is sent again: within the age of its signature, should that stay the same."""

ENDS = {
    "customer-busy": End.BUSY,
    **dict.fromkeys(("customer-did-not-answer", "voicemail"), End.NO_ANSWER),
    "call.in-progress.error-providerfault-outbound-sip-408-*": End.NO_ANSWER,
    "call.in-progress.error-providerfault-outbound-sip-480-*": End.NO_ANSWER,
    "call.start.error-subscription-concurrency-limit-reached": End.FULL,
    "call.start.error-vapi-number-outbound-daily-limit": End.FULL,
    "call.start.error-subscription-*": End.UNPAID,
    "call.start.error-vapifault-*": End.AWAY,
    **dict.fromkeys(("assistant-ended-call*", "assistant-said-*", "assistant-forwarded-call"), End.TALKED),
    **dict.fromkeys(("customer-ended-call*", "exceeded-max-duration", "silence-timed-out"), End.TALKED),
    **dict.fromkeys(("manually-canceled", "vonage-completed", "vonage-disconnected"), End.TALKED),
    **dict.fromkeys(("call.ending.*", "call.forwarding.*", "call.in-progress.*-completed-call"), End.TALKED),
    "call.in-progress.error-transfer-failed": End.TALKED,
    "call.in-progress.error-warm-transfer-*": End.TALKED,
    **dict.fromkeys(("call.start.*", "call.ringing.*", "call-start-*", "call.in-progress.error-*"), End.FAILED),
    **dict.fromkeys(("pipeline-*", "assistant-*", "twilio-*", "vonage-*", "sip-*"), End.FAILED),
    **dict.fromkeys(("phone-call-provider-*", "worker-shutdown", "*-deleted"), End.FAILED),
    "customer-did-not-give-*": End.FAILED,
}
"""`endedReason`s, all that the SDK declares; the first that fits is meant."""


class Account(accounts.Account, frozen=True, kw_only=True, rename="camel"):
    """`caller_numbers` are ids of phone numbers at Vapi, `credential_id` is that of the HMAC credential of webhooks."""

    credential_id: Annotated[Given, CLEARABLE]
    api_url: Annotated[Address, CLEARABLE] = "https://api.vapi.ai"

    domain: ClassVar[str] = "vapi.ai"


class VapiAgent(AccountHolder[Account]):
    """An assistant at Vapi."""

    kind = Account

    def place(self, order: CallOrder) -> Accepted | Declined:
        account = self.to_place()
        headers = {"Authorization": f"Bearer {account.api_key}"}
        answer = wire.place(f"{account.api_url}/call", _request(order, account), headers, named="id")
        return replace(answer, asked_by_it=True) if isinstance(answer, Accepted) else answer

    def ask(self, inquiry: Inquiry) -> Ending | Whereabouts:
        """By its id, else by the attempt among the calls of its number and minutes: `GET /call/{id}`, `GET /call`."""
        account = self.to_ask()
        headers = {"Authorization": f"Bearer {account.api_key}"}
        call = _call_of(account, headers, inquiry)
        if call is None:
            return Whereabouts.NO_TRACE
        return _ending(call) if call.get("status") == "ended" else Whereabouts.UNDER_WAY

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> None:
        """Check an `X-Signature` of `<X-Timestamp>.<body>`, as an HMAC credential makes it by default.

        Whether the moment is in seconds or milliseconds is written nowhere: both are understood.
        """
        timestamp, signature = headers.get("x-timestamp", ""), headers.get("x-signature", "")
        if not re.fullmatch("[0-9]{1,15}", timestamp) or not re.fullmatch("[0-9a-f]{64}", signature):
            raise Unauthorized("The webhook carries no valid X-Signature.")
        key = self.to_hear().webhook_secret
        at = int(timestamp) / (1000 if int(timestamp) >= FIRST_MILLISECONDS else 1)
        signed = timestamp.encode() + b"." + body
        signatures.check(signed, signature, key, at=at, now=now, age_seconds=SIGNATURE_AGE_SECONDS)

    def read(self, body: bytes) -> Webhook | None:
        message = within(members(body), "message")
        if message.get("type") != "end-of-call-report":
            return None
        call = within(message, "call")
        customer = within(message, "customer") or within(call, "customer")
        return endings.webhook(customer.get("externalId"), call.get("id"), _ending(message))


def _request(order: CallOrder, account: Account) -> dict[str, Any]:
    return {
        "assistantId": accounts.agent_of(order, account),
        "phoneNumberId": accounts.caller_of(order, account),
        "customer": {"number": order.phone_number, "externalId": order.call_id},
        "assistantOverrides": {
            "variableValues": variables.of(order),
            "maxDurationSeconds": accounts.longest_talk_of(order, account),
            "server": {"url": order.callback_url, "credentialId": account.credential_id, "backoffPlan": AGAIN},
        },
    }


def _call_of(account: Account, headers: Mapping[str, str], inquiry: Inquiry) -> dict[str, Any] | None:
    """The call that was ordered for an attempt, if there is one."""
    if inquiry.conversation_id:
        address = f"{account.api_url}/call/{quote(inquiry.conversation_id, safe='')}"
        return within(wire.found(wire.look(address, headers)))
    ordered_within = -SLACK_SECONDS, settings().agent_timeout_seconds + SLACK_SECONDS
    since, until = (clock.stamp(clock.later(seconds, than=inquiry.ordered_at)) for seconds in ordered_within)
    wanted = {"createdAtGe": since, "createdAtLe": until, "limit": LISTED}
    calls = wire.found(wire.look(f"{account.api_url}/call?{urlencode(wanted)}", headers))
    if not isinstance(calls, list):
        raise OutcomeUnknown("the agent's answer lists no calls")
    found = (call for call in map(within, calls) if within(call, "customer").get("externalId") == inquiry.call_id)
    call = next(found, None)
    if call is None and len(calls) >= LISTED:
        raise OutcomeUnknown("the agent has more calls of those minutes than it lists")
    return call


def end_of(reason: Any) -> End | None:
    """What an `endedReason` means; None for one nobody knows."""
    return next((end for form, end in ENDS.items() if fnmatchcase(word(reason), form)), None)


def _ending(message: dict[str, Any]) -> Ending:
    analysis, artifact = within(message, "analysis"), within(message, "artifact")
    reason = message.get("endedReason")
    told = {
        "success": analysis.get("successEvaluation") in (True, "true"),
        "summary": analysis.get("summary"),
        "duration": _seconds(message.get("startedAt"), message.get("endedAt")),
        "recordingUrl": artifact.get("recordingUrl") or artifact.get("presignedMonoUrl"),
        "cost": endings.dollars(message.get("cost")),
    }
    return endings.read(reason, end_of(reason), told, _drawn(artifact) or within(analysis, "structuredData"))


def _drawn(artifact: dict[str, Any]) -> dict[str, Any]:
    """The structured output that says an outcome."""
    outputs = within(artifact, "structuredOutputs").values()
    return next((result for each in outputs if "outcome" in (result := within(each, "result"))), {})


def _seconds(began: Any, ended: Any) -> float | None:
    try:
        return (clock.moment(ended) - clock.moment(began)).total_seconds()
    except (TypeError, ValueError):
        return None
