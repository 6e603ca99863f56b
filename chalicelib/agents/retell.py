"""Retell: phone calls by `POST /v2/create-phone-call`, results by webhook. Read from retell-sdk 6.2.13."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

from chalicelib.agents import accounts, endings, signatures, variables, wire
from chalicelib.agents.accounts import AccountHolder
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
from chalicelib.agents.reports import identifier, members
from chalicelib.agents.settings import Address
from chalicelib.bodies import CLEARABLE
from chalicelib.errors import Unauthorized

RING_MILLISECONDS = 30_000
SIGNATURE_AGE_SECONDS = 300
NEVER_CONNECTED = ("not_connected", "error")
"""Statuses of calls that nobody analyzes: `call_ended` is the last word on them."""

ENDS = {
    **dict.fromkeys(("dial_busy", "user_declined"), End.BUSY),
    **dict.fromkeys(("dial_no_answer", "voicemail_reached", "ivr_reached"), End.NO_ANSWER),
    "user_requested_callback": End.CALLBACK,
    "user_requested_dnc": End.UNWANTED,
    **dict.fromkeys(("concurrency_limit_reached", "no_concurrency_fallback"), End.FULL),
    **dict.fromkeys(("no_valid_payment", "credit_exhausted", "budget_reached"), End.UNPAID),
    **dict.fromkeys(("user_hangup", "agent_hangup", "inactivity", "max_duration_reached"), End.TALKED),
    **dict.fromkeys(("call_transfer", "transfer_bridged", "transfer_cancelled"), End.TALKED),
    **dict.fromkeys(("manual_stopped", "call_take_over"), End.TALKED),
    **dict.fromkeys(("dial_failed", "invalid_destination", "registered_call_timeout"), End.FAILED),
    **dict.fromkeys(("telephony_provider_permission_denied", "telephony_provider_unavailable"), End.FAILED),
    **dict.fromkeys(("sip_routing_error", "marked_as_spam", "network_blocked", "scam_detected"), End.FAILED),
    **dict.fromkeys(("error_llm_websocket_open", "error_llm_websocket_lost_connection"), End.FAILED),
    **dict.fromkeys(("error_llm_websocket_runtime", "error_llm_websocket_corrupt_payload"), End.FAILED),
    **dict.fromkeys(("error_no_audio_received", "error_asr", "error_retell"), End.FAILED),
    **dict.fromkeys(("error_unknown", "error_user_not_joined"), End.FAILED),
}
"""`disconnection_reason`s, all that the SDK declares."""


class Account(accounts.Account, frozen=True, kw_only=True, rename="camel"):
    """`webhook_secret` is the API key that Retell marks as the webhooks' one; `caller_numbers` are E.164."""

    api_url: Annotated[Address, CLEARABLE] = "https://api.retellai.com"

    domain: ClassVar[str] = "retellai.com"


class RetellAgent(AccountHolder[Account]):
    """An agent at Retell."""

    kind = Account

    def place(self, order: CallOrder) -> Accepted | Declined:
        account = self.to_place()
        headers = {"Authorization": f"Bearer {account.api_key}"}
        url = f"{account.api_url}/v2/create-phone-call"
        return wire.place(url, _request(order, account), headers, named="call_id")

    def ask(self, inquiry: Inquiry) -> Ending | Whereabouts:
        """By its id, else by the attempt in the metadata: `GET /v2/get-call/{id}`, `POST /v3/list-calls`."""
        account = self.to_ask()
        headers = {"Authorization": f"Bearer {account.api_key}"}
        call_id = inquiry.conversation_id or _call_id(account, headers, inquiry)
        if call_id is None:
            return Whereabouts.NO_TRACE
        call = within(wire.found(wire.look(f"{account.api_url}/v2/get-call/{quote(call_id, safe='')}", headers)))
        return _ending(call) if _is_over(call) else Whereabouts.UNDER_WAY

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> None:
        """Check an `X-Retell-Signature: v=<unix milliseconds>,d=<hex>` of the body and the moment."""
        match = re.fullmatch(r"v=([0-9]{1,15}),d=([0-9a-f]{64})", headers.get("x-retell-signature", ""))
        if not match:
            raise Unauthorized("The webhook carries no valid X-Retell-Signature.")
        key = self.to_hear().webhook_secret
        at = int(match[1]) / 1000
        signatures.check(body + match[1].encode(), match[2], key, at=at, now=now, age_seconds=SIGNATURE_AGE_SECONDS)

    def read(self, body: bytes) -> Webhook | None:
        message = members(body)
        event, call = message.get("event"), within(message, "call")
        analyzed = event == "call_analyzed"
        if not analyzed and not (event == "call_ended" and call.get("call_status") in NEVER_CONNECTED):
            return None
        return endings.webhook(within(call, "metadata").get("attempt"), call.get("call_id"), _ending(call))


def _request(order: CallOrder, account: Account) -> dict[str, Any]:
    return {
        "from_number": accounts.caller_of(order, account),
        "to_number": order.phone_number,
        "override_agent_id": accounts.agent_of(order, account),
        "metadata": {"attempt": order.call_id},
        "retell_llm_dynamic_variables": variables.of(order),
        "idempotency_key": order.call_id,
        "honor_internal_dnc": True,
        "agent_override": {
            "agent": {
                "webhook_url": order.callback_url,
                "ring_duration_ms": RING_MILLISECONDS,
                "max_call_duration_ms": accounts.longest_talk_of(order, account) * 1000,
                "enable_dnc_detection": True,
            }
        },
    }


def _call_id(account: Account, headers: Mapping[str, str], inquiry: Inquiry) -> str | None:
    """Retell's id of the call that was ordered for an attempt, if there is one."""
    of_attempt = {"type": "string", "op": "eq", "key": "attempt", "value": inquiry.call_id}
    wanted = {"filter_criteria": {"metadata": [of_attempt]}, "limit": 1}
    answer = within(wire.found(wire.look(f"{account.api_url}/v3/list-calls", headers, wanted)))
    items = answer.get("items")
    if not isinstance(items, list):
        raise OutcomeUnknown("the agent's answer lists no calls")
    return next((identifier(each.get("call_id")) for each in map(within, items)), None)


def _is_over(call: dict[str, Any]) -> bool:
    analyzed = call.get("call_status") == "ended" and bool(call.get("call_analysis"))
    return analyzed or call.get("call_status") in NEVER_CONNECTED


def _ending(call: dict[str, Any]) -> Ending:
    analysis, reason = within(call, "call_analysis"), call.get("disconnection_reason")
    milliseconds = call.get("duration_ms")
    told = {
        "success": analysis.get("call_successful"),
        "summary": analysis.get("call_summary"),
        "duration": milliseconds / 1000 if isinstance(milliseconds, int | float) else None,
        "recordingUrl": call.get("recording_url"),
        "cost": endings.dollars(within(call, "call_cost").get("combined_cost"), parts=100),
    }
    end = End.NO_ANSWER if analysis.get("in_voicemail") is True else ENDS.get(word(reason))
    return endings.read(reason, end, told, analysis.get("custom_analysis_data"))
