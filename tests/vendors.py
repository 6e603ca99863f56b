"""The vendors of agents as tests play them: accounts, what they answer to orders, and their signed webhooks.

Signatures are made as the vendors' libraries have it, not by the code under test.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from local import vendors

VENDORS = ("retell", "vapi", "elevenlabs")

SECRET = "the-vendors-secret"

CONVERSATION = "conversation-1"
"""The vendors' own id of a call."""


def account(provider: str, url: str) -> str:
    """What the account's SSM parameter holds; orders go to `url`."""
    return vendors.account(provider, url, "key-1", SECRET)


def acceptance(provider: str, conversation_id: str = CONVERSATION) -> dict[str, Any]:
    """A vendor's answer to an order that it accepts."""
    match provider:
        case "http":
            return {}
        case "retell":
            return {"call_id": conversation_id, "call_status": "registered"}
        case "vapi":
            return {"id": conversation_id, "status": "queued"}
        case _:
            return {"success": True, "message": "ok", "conversation_id": conversation_id, "callSid": "CA1"}


def signed(provider: str, body: bytes, at: datetime, *, key: str = SECRET) -> dict[str, str]:
    """The headers of a webhook signed at a moment."""
    made = vendors.DIALECTS[provider].signed(body, at.timestamp(), key)
    return {name.lower(): value for name, value in made.items()}


def reported(
    provider: str,
    call_id: str | None,
    *,
    reason: str,
    outcome: Any = None,
    success: bool = False,
    seconds: int = 42,
    conversation_id: str = CONVERSATION,
    **drawn: Any,
) -> dict[str, Any]:
    """A vendor's report of a conversation: `outcome` and `drawn` are what its analysis found."""
    found = ({} if outcome is None else {"outcome": outcome}) | drawn
    match provider:
        case "http":
            told = {"callId": call_id, "success": success, "summary": "They talked.", "duration": seconds}
            return told | {"status": outcome, "outcome": reason} | drawn
        case "retell":
            return _retell(call_id, reason, found, success, seconds, conversation_id)
        case "vapi":
            return _vapi(call_id, reason, found, success, seconds, conversation_id)
        case _:
            return _elevenlabs(call_id, reason, found, success, seconds, conversation_id)


def _retell(
    call_id: str | None, reason: str, found: dict[str, Any], success: bool, seconds: int, conversation_id: str
) -> dict[str, Any]:
    return {
        "event": "call_analyzed",
        "call": {
            "call_id": conversation_id,
            "call_status": "ended",
            "metadata": {"attempt": call_id},
            "duration_ms": seconds * 1000,
            "disconnection_reason": reason,
            "recording_url": "https://vendor.test/1.wav",
            "call_analysis": {
                "call_successful": success,
                "in_voicemail": False,
                "call_summary": "They talked.",
                "custom_analysis_data": found,
            },
        },
    }


def _vapi(
    call_id: str | None, reason: str, found: dict[str, Any], success: bool, seconds: int, conversation_id: str
) -> dict[str, Any]:
    return {
        "message": {
            "type": "end-of-call-report",
            "endedReason": reason,
            "startedAt": "2026-11-24T04:30:00.000Z",
            "endedAt": f"2026-11-24T04:{30 + seconds // 60}:{seconds % 60:02}.000Z",
            "customer": {"externalId": call_id},
            "call": {"id": conversation_id},
            "analysis": {"summary": "They talked.", "successEvaluation": str(success).lower()},
            "artifact": {
                "recordingUrl": "https://vendor.test/1.wav",
                "structuredOutputs": {"other": {"result": {"mood": "good"}}, "ours": {"result": found}},
            },
        }
    }


def _elevenlabs(
    call_id: str | None, reason: str, found: dict[str, Any], success: bool, seconds: int, conversation_id: str
) -> dict[str, Any]:
    return {
        "type": "post_call_transcription",
        "data": {
            "conversation_id": conversation_id,
            "user_id": call_id,
            "status": "done",
            "transcript": [{"role": "agent", "message": "Hello.", "tool_calls": []}],
            "metadata": {"call_duration_secs": seconds, "phone_call": {"call_result": reason}},
            "analysis": {
                "call_successful": "success" if success else "failure",
                "transcript_summary": "They talked.",
                "data_collection_results": {name: {"value": value} for name, value in found.items()},
            },
        },
    }


TALKED = {"http": "talked", "retell": "agent_hangup", "vapi": "customer-ended-call", "elevenlabs": "answered"}
NEVER_ANSWERED = {"retell": "dial_no_answer", "vapi": "customer-did-not-answer", "elevenlabs": "no_answer"}
BROKE = {"retell": "error_asr", "vapi": "pipeline-error-openai-llm-failed", "elevenlabs": "failed"}
"""Reasons for a call's end."""


def never_connected(reason: str = "busy", conversation_id: str = CONVERSATION, **body: Any) -> dict[str, Any]:
    """What ElevenLabs tells of a call that never connected."""
    data = {"conversation_id": conversation_id, "failure_reason": reason, "metadata": {"type": "sip", "body": body}}
    return {"type": "call_initiation_failure", "data": data}
