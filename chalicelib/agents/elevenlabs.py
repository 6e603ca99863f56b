"""ElevenLabs: phone calls by `POST /v1/convai/…/outbound-call`, results by webhook. Read from elevenlabs 2.78.0."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote, urlencode

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

RING_SECONDS = 30
SIGNATURE_AGE_SECONDS = 45 * 60
"""A webhook that was not taken comes again for 40 minutes, and nobody says that it is signed anew."""

VOICEMAIL_TOOL = "voicemail_detection"
"""What an agent uses to say that it talks to a machine."""

RESULTS = {
    "answered": End.TALKED,
    "voicemail": End.NO_ANSWER,
    "no_answer": End.NO_ANSWER,
    "busy": End.BUSY,
    "failed": End.FAILED,
}
"""`call_result`s, all that the SDK declares."""

ERRORS = {
    **dict.fromkeys(("busy", "line_busy", "call_rejected"), End.BUSY),
    **dict.fromkeys(("no-answer", "no_answer"), End.NO_ANSWER),
    "entitlement_exceeded": End.FULL,
    **dict.fromkeys(("client_disconnected", "guardrail_triggered", "max_duration_exceeded"), End.TALKED),
    **dict.fromkeys(("post_processing_error", "safety_violation", "workflow_end_failure"), End.TALKED),
    **dict.fromkeys(("agent_configuration_error", "blocked_by_user", "call_initialization_error"), End.FAILED),
    **dict.fromkeys(("dependency_error", "integration_error", "internal_error", "invalid_client_request"), End.FAILED),
    **dict.fromkeys(("llm_error", "permission_error", "speech_error", "system_error", "tool_error"), End.FAILED),
}
"""`failure_reason`s, carriers' words for them, and the error types that the SDK declares; `unknown` is explained apart.

The SDK says of error types only that there are, and not where: they are looked for beside `status` and in `metadata`.
"""

SIP = {**dict.fromkeys(("486", "600", "603"), End.BUSY), **dict.fromkeys(("408", "480", "487"), End.NO_ANSWER)}


class Account(accounts.Account, frozen=True, kw_only=True, rename="camel"):
    """`caller_numbers` are ids of phone numbers at ElevenLabs, `telephony` how those are connected."""

    telephony: Annotated[Literal["twilio", "sip-trunk", "exotel"], CLEARABLE] = "twilio"
    api_url: Annotated[Address, CLEARABLE] = "https://api.elevenlabs.io"

    domain: ClassVar[str] = "elevenlabs.io"


class ElevenLabsAgent(AccountHolder[Account]):
    """An agent at ElevenLabs. A call that never connected is reported without the attempt, and only once."""

    kind = Account
    takes_only_200 = True

    def place(self, order: CallOrder) -> Accepted | Declined:
        account = self.to_place()
        url = f"{account.api_url}/v1/convai/{account.telephony}/outbound-call"
        answer = wire.ask(url, _request(order, account), {"xi-api-key": account.api_key})
        if isinstance(answer, Declined):
            return answer
        conversation_id = identifier(answer.get("conversation_id"))
        if conversation_id or any(answer.get(name) for name in ("callSid", "sip_call_id")):
            return Accepted(conversation_id)
        if answer.get("success") is False:
            return wire.declined(wire.explained(answer) or "no reason given")
        raise OutcomeUnknown("the agent's answer names no call")

    def ask(self, inquiry: Inquiry) -> Ending | Whereabouts:
        """By its id, else by the attempt, which is the `user_id`: `GET /v1/convai/conversations[/{id}]`."""
        account = self.to_ask()
        headers, url = {"xi-api-key": account.api_key}, f"{account.api_url}/v1/convai/conversations"
        conversation_id = inquiry.conversation_id or _conversation_id(url, headers, inquiry)
        if conversation_id is None:
            return Whereabouts.NO_TRACE
        data = within(wire.found(wire.look(f"{url}/{quote(conversation_id, safe='')}", headers)))
        return _talked(data) if data.get("status") in ("done", "failed") else Whereabouts.UNDER_WAY

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> None:
        """Check an `ElevenLabs-Signature: t=<unix seconds>,v0=<hex>` of `<t>.<body>`."""
        match = re.fullmatch("t=([0-9]{1,12}),v0=([0-9a-f]{64})", headers.get("elevenlabs-signature", ""))
        if not match:
            raise Unauthorized("The webhook carries no valid ElevenLabs-Signature.")
        key = self.to_hear().webhook_secret
        signed = match[1].encode() + b"." + body
        signatures.check(signed, match[2], key, at=int(match[1]), now=now, age_seconds=SIGNATURE_AGE_SECONDS)

    def read(self, body: bytes) -> Webhook | None:
        message = members(body)
        data = within(message, "data")
        dynamic = within(data, "conversation_initiation_client_data", "dynamic_variables")
        match message.get("type"):
            case "post_call_transcription":
                ending = _talked(data)
            case "call_initiation_failure":
                ending = _never_connected(data)
            case _:
                return None
        return endings.webhook(dynamic.get("attempt") or data.get("user_id"), data.get("conversation_id"), ending)


def _request(order: CallOrder, account: Account) -> dict[str, Any]:
    told: dict[str, Any] = {"user_id": order.call_id, "dynamic_variables": variables.of(order)}
    if order.max_duration_seconds or account.max_duration_seconds:
        longest = {"max_duration_seconds": accounts.longest_talk_of(order, account)}
        told["conversation_config_override"] = {"conversation": longest}
    return {
        "agent_id": accounts.agent_of(order, account),
        "agent_phone_number_id": accounts.caller_of(order, account),
        "to_number": order.phone_number,
        "conversation_initiation_client_data": told,
        "telephony_call_config": {"ringing_timeout_secs": RING_SECONDS},
    }


def _conversation_id(url: str, headers: Mapping[str, str], inquiry: Inquiry) -> str | None:
    """The vendor's id of the conversation that was ordered for an attempt, if there is one."""
    answer = within(wire.found(wire.look(f"{url}?{urlencode({'user_id': inquiry.call_id})}", headers)))
    listed = answer.get("conversations")
    if not isinstance(listed, list):
        raise OutcomeUnknown("the agent's answer lists no conversations")
    return next((identifier(each.get("conversation_id")) for each in map(within, listed)), None)


def _talked(data: dict[str, Any]) -> Ending:
    metadata, analysis = within(data, "metadata"), within(data, "analysis")
    told = {
        "success": analysis.get("call_successful") == "success",
        "summary": analysis.get("transcript_summary"),
        "duration": metadata.get("call_duration_secs"),
        "cost": endings.dollars(metadata.get("cost_fiat")),
    }
    result = word(within(metadata, "phone_call").get("call_result"))
    error = word(data.get("error_type") or metadata.get("error_type"))
    end = End.NO_ANSWER if _met_voicemail(data.get("transcript")) else _end(result, error)
    if end is End.TALKED:
        end, result = (End.FAILED if data.get("status") == "failed" else end), word(metadata.get("termination_reason"))
    drawn = {name: within(each).get("value") for name, each in within(analysis, "data_collection_results").items()}
    return endings.read(result or error, end, told, drawn)


def _end(result: str, error: str) -> End | None:
    """What a `call_result` means, or an error type where that says nothing; None for one that nobody knows."""
    end = RESULTS.get(result) if result else End.TALKED
    return ERRORS.get(error, end) if not result or end is End.FAILED else end


def _met_voicemail(transcript: Any) -> bool:
    turns = transcript if isinstance(transcript, list) else []
    calls = [within(turn).get("tool_calls") for turn in turns]
    tools = [within(call).get("tool_name") for made in calls if isinstance(made, list) for call in made]
    return VOICEMAIL_TOOL in tools


def _never_connected(data: dict[str, Any]) -> Ending:
    reason, carrier = word(data.get("failure_reason")), within(data, "metadata", "body")
    end = ERRORS.get(reason) or SIP.get(word(carrier.get("sip_status_code")))
    return endings.read(reason, end or ERRORS.get(word(carrier.get("CallStatus"))) or End.FAILED, {})
