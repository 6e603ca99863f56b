"""The vendors' own libraries, asked one question a line: JSON in, JSON out. Run by their environment's Python."""

from __future__ import annotations

import json
import sys
import typing
import warnings
from typing import Any

from pydantic import TypeAdapter


def order(sdk: str, url: str, key: str, call: dict[str, Any]) -> None:
    """Order a call with the vendor's client, in its own words."""
    {"retell": _retell, "vapi": _vapi, "elevenlabs": _elevenlabs}[sdk](url, key, call)


def _retell(url: str, key: str, call: dict[str, Any]) -> None:
    from retell import Retell

    Retell(api_key=key, base_url=url, max_retries=0).call.create_phone_call(
        from_number=call["caller"],
        to_number=call["phone"],
        override_agent_id=call["agent"],
        metadata={"attempt": call["attempt"]},
        retell_llm_dynamic_variables=call["variables"],
        idempotency_key=call["attempt"],
        honor_internal_dnc=True,
        agent_override={
            "agent": {
                "webhook_url": call["webhook"],
                "ring_duration_ms": 30_000,
                "max_call_duration_ms": call["longest"] * 1000,
                "enable_dnc_detection": True,
            }
        },
    )


def _vapi(url: str, key: str, call: dict[str, Any]) -> None:
    from vapi import AssistantOverrides, BackoffPlan, CreateCustomerDto, Server, Vapi

    again = BackoffPlan(type={}, max_retries=5, base_delay_seconds=5)
    again = again.model_copy(update={"type": "exponential"})  # documented as a word, and declared an object
    Vapi(token=key, base_url=url).calls.create(
        assistant_id=call["agent"],
        phone_number_id=call["caller"],
        customer=CreateCustomerDto(number=call["phone"], external_id=call["attempt"]),
        assistant_overrides=AssistantOverrides(
            variable_values=call["variables"],
            max_duration_seconds=call["longest"],
            server=Server(url=call["webhook"], credential_id=call["credential"], backoff_plan=again),
        ),
        request_options={"max_retries": 0},
    )


def _elevenlabs(url: str, key: str, call: dict[str, Any]) -> None:
    from elevenlabs import (
        ConversationConfigClientOverrideInput,
        ConversationConfigOverride,
        ConversationInitiationClientDataRequestInput,
        ElevenLabs,
        TelephonyCallConfigInput,
    )

    client = ElevenLabs(api_key=key, base_url=url).conversational_ai
    {"twilio": client.twilio, "sip-trunk": client.sip_trunk, "exotel": client.exotel}[call["telephony"]].outbound_call(
        agent_id=call["agent"],
        agent_phone_number_id=call["caller"],
        to_number=call["phone"],
        conversation_initiation_client_data=ConversationInitiationClientDataRequestInput(
            user_id=call["attempt"],
            dynamic_variables=call["variables"],
            conversation_config_override=ConversationConfigClientOverrideInput(
                conversation=ConversationConfigOverride(max_duration_seconds=call["longest"])
            ),
        ),
        telephony_call_config=TelephonyCallConfigInput(ringing_timeout_secs=30),
        request_options={"max_retries": 0},
    )


def ask(sdk: str, url: str, key: str, call_id: str, attempt: str) -> list[str]:
    """Ask for a call by its id and by its attempt; the ids of what was found."""
    if sdk == "retell":
        from retell import Retell

        calls = Retell(api_key=key, base_url=url, max_retries=0).call
        wanted = {"type": "string", "op": "eq", "key": "attempt", "value": attempt}
        return [
            calls.retrieve(call_id).call_id,
            *(each.call_id for each in calls.list(filter_criteria={"metadata": [wanted]}).items),
        ]
    if sdk == "vapi":
        from vapi import Vapi

        client = Vapi(token=key, base_url=url).calls
        found = [each for each in client.list() if each.customer and each.customer.external_id == attempt]
        return [client.get(call_id).id, *(each.id for each in found)]
    from elevenlabs import ElevenLabs

    conversations = ElevenLabs(api_key=key, base_url=url).conversational_ai.conversations
    listed = conversations.list(user_id=attempt).conversations
    return [conversations.get(call_id).conversation_id, *(each.conversation_id for each in listed)]


def read(sdk: str, what: str, body: Any) -> str:
    """Read an object as the library's model of it, strictly; what is wrong with it."""
    from elevenlabs import GetConversationResponseModel, GetConversationsPageResponseModel, TwilioOutboundCallResponse
    from retell.types import CallListResponse, PhoneCallResponse
    from vapi import Call, ServerMessageEndOfCallReport

    models: dict[tuple[str, str], Any] = {
        ("retell", "call"): PhoneCallResponse,
        ("retell", "calls"): CallListResponse,
        ("vapi", "call"): Call,
        ("vapi", "calls"): list[Call],
        ("vapi", "report"): ServerMessageEndOfCallReport,
        ("elevenlabs", "accepted"): TwilioOutboundCallResponse,
        ("elevenlabs", "call"): GetConversationResponseModel,
        ("elevenlabs", "calls"): GetConversationsPageResponseModel,
    }
    try:
        TypeAdapter(models[sdk, what]).validate_python(body)
    except ValueError as why:
        return str(why)
    return ""


def verify(sdk: str, body: str, signature: str, secret: str) -> bool:
    """Whether the library believes a webhook."""
    if sdk == "retell":
        from retell.lib.webhook_auth import verify

        return bool(verify(body, secret, signature))
    from elevenlabs import ElevenLabs
    from elevenlabs.errors import BadRequestError

    try:
        ElevenLabs(api_key="unused").webhooks.construct_event(body, signature, secret)
    except BadRequestError:
        return False
    return True


def sign(body: str, secret: str) -> str:
    """Retell's signature of a webhook; the other libraries make none."""
    from retell.lib.webhook_auth import symmetric

    return str(symmetric["sign"](body, secret))


def reasons(sdk: str) -> list[str]:
    """The ends of calls that a library declares."""
    from elevenlabs.types.call_result import CallResult
    from retell.types import PhoneCallResponse
    from vapi.types.call_ended_reason import CallEndedReason

    declared: Any = {
        "retell": PhoneCallResponse.model_fields["disconnection_reason"].annotation,
        "vapi": CallEndedReason,
        "elevenlabs": CallResult,
    }[sdk]
    return sorted(_words(declared))


def _words(declared: Any) -> set[str]:
    if typing.get_origin(declared) is typing.Literal:
        return set(typing.get_args(declared))
    return {word for inner in typing.get_args(declared) for word in _words(inner)}


QUESTIONS = {each.__name__: each for each in (order, ask, read, verify, sign, reasons)}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"answer": QUESTIONS[question.pop("ask")](**question)}
        except Exception as error:  # noqa: BLE001 (whoever asked is told)
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)  # noqa: T201
