"""How the `http` agent and the vendors' APIs speak: orders, answers, webhooks with their signatures, status queries.

Read from retell-sdk 6.2.13, vapi-server-sdk 3.0.0 and elevenlabs 2.78.0, whose models read all of it in the tests.
"""

from __future__ import annotations

import hmac
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

Json = dict[str, Any]

NEVER_CONNECTED = ("NO_ANSWER", "BUSY")


DOLLARS_PER_SECOND = 0.002


class Call(Struct, kw_only=True):
    """A call that a provider has taken. Moments are Unix seconds."""

    provider: str
    attempt: str
    """The attempt's id, as it was ordered."""

    id: str
    """The provider's own id."""

    order: Json
    began: float
    ends: float
    held: bool = False
    """Whether it lasts until it is told how it ends."""

    meets_machine: bool = False
    """Whether a machine answers where nobody does."""

    webhooks: int = 1
    """How often each of its webhooks comes."""

    told: Json | None = None
    """How it ended, as in a report of `http`; `voicemail` beside it where a machine answered."""

    @property
    def status(self) -> str:
        """How it ended; nothing while it lasts."""
        return str((self.told or {}).get("status", ""))

    @property
    def is_voicemail(self) -> bool:
        return bool((self.told or {}).get("voicemail"))

    @property
    def connected(self) -> bool:
        """Whether somebody, or a machine, picked up."""
        return self.is_voicemail or self.status not in NEVER_CONNECTED

    @property
    def seconds(self) -> float:
        """How long they talked."""
        given = (self.told or {}).get("duration")
        return float(self.ends - self.began if given is None else given)

    @property
    def dollars(self) -> float:
        """What it cost, where somebody picked up."""
        return round(self.seconds * DOLLARS_PER_SECOND, 6)

    @property
    def was_successful(self) -> bool:
        """The verdict that a vendor's own analysis comes to."""
        return self.status in ("SUCCESS", "PROMISE_TO_PAY")

    def found(self) -> Json:
        """What an analysis finds for us. A success is known by the verdict already: its outcome is in words."""
        told = self.told or {}
        known = {
            "outcome": told.get("outcome") if self.status == "SUCCESS" else self.status,
            "callback_at": told.get("callbackAt"),
            "promised_date": told.get("promisedDate"),
            "promised_amount": told.get("promisedAmount"),
            "do_not_call": told.get("doNotCall"),
        }
        return {name: value for name, value in known.items() if value is not None}

    def summary(self) -> str:
        return str((self.told or {}).get("summary") or "")

    def recording(self) -> str:
        return str((self.told or {}).get("recordingUrl") or f"https://recordings.invalid/{self.id}.wav")


class Dialect:
    """How one provider speaks. Paths are below its base address."""

    place: str
    """POST: an order."""

    one: str
    """GET: a call by its `id`."""

    many: tuple[str, str] | None = None
    """Method and path of a query for an attempt's calls."""

    repeats = False
    """Whether an order that comes again is the same order."""

    def is_authorized(self, headers: Mapping[str, str], key: str) -> bool:
        """Whether a request carries the key."""
        return headers.get("Authorization") == f"Bearer {key}"

    def ordered(self, order: Json) -> tuple[str, str, Mapping[str, Any]]:
        """An order's attempt and phone, and what it tells of the contact."""
        raise NotImplementedError

    def webhook(self, order: Json) -> str | None:
        """Where an order wants its results; None where the account says so."""

    def accepted(self, call: Call) -> tuple[int, Json]:
        """The answer to an order."""
        raise NotImplementedError

    def events(self, call: Call) -> list[Json]:
        """What webhooks tell of a call that has begun, or ended."""
        raise NotImplementedError

    def state(self, call: Call) -> tuple[int, Json]:
        """The answer to who asks for a call."""
        raise NotImplementedError

    def attempt(self, query: Mapping[str, str], body: Json) -> str | None:
        """Whose calls a query wants; None for all."""

    def page(self, calls: list[Call], query: Mapping[str, str]) -> Any:
        """The answer to a query, the newest call first."""

    def signed(self, body: bytes, at: float, secret: str) -> dict[str, str]:
        """The headers of a webhook that is sent at a moment."""
        raise NotImplementedError


class Http(Dialect):
    """The provider `http`, as `docs/guide.en.md` describes it."""

    place, one = "/calls", "/calls/{id}"
    repeats = True

    def ordered(self, order: Json) -> tuple[str, str, Mapping[str, Any]]:
        return order["callId"], order["phoneNumber"], order

    def webhook(self, order: Json) -> str | None:
        return str(order["callbackUrl"])

    def accepted(self, _: Call) -> tuple[int, Json]:
        return 202, {}

    def events(self, call: Call) -> list[Json]:
        return [self.report(call)] if call.told else []

    def report(self, call: Call) -> Json:
        """How a call ended, as webhook and as answer."""
        told = {k: v for k, v in (call.told or {}).items() if k != "voicemail"}
        cost = {"cost": {"amount": f"{call.dollars:f}", "currency": "USD"}} if call.connected else {}
        return {"callId": call.attempt, **cost, **told}

    def state(self, call: Call) -> tuple[int, Json]:
        return (200, self.report(call)) if call.told else (202, {})

    def signed(self, body: bytes, at: float, secret: str) -> dict[str, str]:
        return {"X-AutoCall-Signature": f"t={int(at)},v1={_hmac(f'{int(at)}.'.encode() + body, secret)}"}


class Retell(Dialect):
    place, one, many = "/v2/create-phone-call", "/v2/get-call/{id}", ("POST", "/v3/list-calls")
    repeats = True

    def ordered(self, order: Json) -> tuple[str, str, Mapping[str, Any]]:
        return order["metadata"]["attempt"], order["to_number"], order["retell_llm_dynamic_variables"]

    def webhook(self, order: Json) -> str | None:
        return str(order["agent_override"]["agent"]["webhook_url"])

    def accepted(self, call: Call) -> tuple[int, Json]:
        return 201, self._call(call) | {"call_status": "registered"}

    def events(self, call: Call) -> list[Json]:
        whole = self._call(call)
        if not call.told:
            return [{"event": "call_started", "call": whole}]
        ended = {"event": "call_ended", "call": {k: v for k, v in whole.items() if k != "call_analysis"}}
        return [ended, {"event": "call_analyzed", "call": whole}] if "call_analysis" in whole else [ended]

    def state(self, call: Call) -> tuple[int, Json]:
        return 200, self._call(call)

    def attempt(self, _: Mapping[str, str], body: Json) -> str | None:
        asked = body.get("filter_criteria", {}).get("metadata", [])
        return next((each["value"] for each in asked if each["key"] == "attempt" and each["op"] == "eq"), None)

    def page(self, calls: list[Call], _: Mapping[str, str]) -> Any:
        return {"items": [self._call(each) for each in calls], "has_more": False}

    def signed(self, body: bytes, at: float, secret: str) -> dict[str, str]:
        milliseconds = str(int(at * 1000))
        return {"X-Retell-Signature": f"v={milliseconds},d={_hmac(body + milliseconds.encode(), secret)}"}

    def _call(self, call: Call) -> Json:
        order = call.order
        whole = {
            "call_id": call.id,
            "call_type": "phone_call",
            "call_status": "ongoing",
            "agent_id": order.get("override_agent_id", "agent-1"),
            "agent_version": 1,
            "direction": "outbound",
            "from_number": order["from_number"],
            "to_number": order["to_number"],
            "metadata": order["metadata"],
            "retell_llm_dynamic_variables": order["retell_llm_dynamic_variables"],
            "start_timestamp": int(call.began * 1000),
        }
        if not call.told:
            return whole
        whole["disconnection_reason"] = self._reason(call)
        if not call.connected or call.status == "FAILED":
            return whole | {"call_status": "error" if call.connected else "not_connected"}
        return whole | {
            "call_status": "ended",
            "end_timestamp": int((call.began + call.seconds) * 1000),
            "duration_ms": int(call.seconds * 1000),
            "transcript": "Agent: Hello.\n",
            "recording_url": call.recording(),
            "call_cost": {
                "combined_cost": call.dollars * 100,
                "product_costs": [],
                "total_duration_seconds": int(call.seconds),
                "total_duration_unit_price": DOLLARS_PER_SECOND * 100,
            },
            "call_analysis": {
                "call_successful": call.was_successful,
                "in_voicemail": call.is_voicemail,
                "call_summary": call.summary(),
                "custom_analysis_data": call.found(),
            },
        }

    def _reason(self, call: Call) -> str:
        if call.is_voicemail:
            return "voicemail_reached"
        return {"NO_ANSWER": "dial_no_answer", "BUSY": "dial_busy", "FAILED": "error_unknown"}.get(
            call.status, "agent_hangup"
        )


REPORTED = ("endedReason", "analysis", "artifact", "startedAt", "endedAt", "cost")
"""What Vapi's report of a call has beside it."""


class Vapi(Dialect):
    place, one, many = "/call", "/call/{id}", ("GET", "/call")

    def ordered(self, order: Json) -> tuple[str, str, Mapping[str, Any]]:
        customer = order["customer"]
        return customer["externalId"], customer["number"], order["assistantOverrides"]["variableValues"]

    def webhook(self, order: Json) -> str | None:
        return str(order["assistantOverrides"]["server"]["url"])

    def accepted(self, call: Call) -> tuple[int, Json]:
        return 201, self._call(call) | {"status": "queued"}

    def events(self, call: Call) -> list[Json]:
        whole = self._call(call)
        about = {"call": whole, "customer": whole["customer"], "timestamp": int(call.began * 1000)}
        if not call.told:
            return [{"message": {"type": "status-update", "status": "in-progress", **about}}]
        report = {k: whole[k] for k in REPORTED if k in whole}
        return [{"message": {"type": "end-of-call-report", **report, **about}}]

    def state(self, call: Call) -> tuple[int, Json]:
        return 200, self._call(call)

    def page(self, calls: list[Call], query: Mapping[str, str]) -> Any:
        since, until = (query.get(name) for name in ("createdAtGe", "createdAtLe"))
        wanted = [
            self._call(call)
            for call in calls
            if query.get("phoneNumberId") in (None, call.order["phoneNumberId"])
            and (since is None or call.began >= datetime.fromisoformat(since).timestamp())
            and (until is None or call.began <= datetime.fromisoformat(until).timestamp())
        ]
        return wanted[: int(query.get("limit", 100))]

    def signed(self, body: bytes, at: float, secret: str) -> dict[str, str]:
        return {"X-Timestamp": str(int(at)), "X-Signature": _hmac(f"{int(at)}.".encode() + body, secret)}

    def _call(self, call: Call) -> Json:
        whole = {
            "id": call.id,
            "orgId": "simulated",
            "type": "outboundPhoneCall",
            "status": "in-progress",
            "assistantId": call.order["assistantId"],
            "phoneNumberId": call.order["phoneNumberId"],
            "customer": call.order["customer"],
            "createdAt": _iso(call.began),
            "updatedAt": _iso(call.ends if call.told else call.began),
        }
        if not call.told:
            return whole
        whole |= {"status": "ended", "endedReason": self._reason(call), "endedAt": _iso(call.began + call.seconds)}
        if not call.connected:
            return whole | {"analysis": {}, "artifact": {"transcript": "", "messages": []}}
        found = {"name": "result", "result": call.found()}
        return whole | {
            "startedAt": _iso(call.began),
            "cost": call.dollars,
            "analysis": {
                "summary": call.summary(),
                "successEvaluation": str(call.was_successful).lower(),
            },
            "artifact": {
                "transcript": "AI: Hello.\n",
                "recordingUrl": call.recording(),
                "structuredOutputs": {str(uuid.uuid5(uuid.NAMESPACE_OID, call.id)): found},
            },
        }

    def _reason(self, call: Call) -> str:
        if call.is_voicemail:
            return "voicemail"
        return {
            "NO_ANSWER": "customer-did-not-answer",
            "BUSY": "customer-busy",
            "FAILED": "pipeline-error-openai-llm-failed",
        }.get(call.status, "assistant-ended-call")


class ElevenLabs(Dialect):
    place, one = "/v1/convai/{telephony}/outbound-call", "/v1/convai/conversations/{id}"
    many = ("GET", "/v1/convai/conversations")

    def is_authorized(self, headers: Mapping[str, str], key: str) -> bool:
        return headers.get("xi-api-key") == key

    def ordered(self, order: Json) -> tuple[str, str, Mapping[str, Any]]:
        data = order["conversation_initiation_client_data"]
        return data["user_id"], order["to_number"], data["dynamic_variables"]

    def accepted(self, call: Call) -> tuple[int, Json]:
        return 200, {"success": True, "message": "ok", "conversation_id": call.id, "callSid": f"CA{call.id}"}

    def events(self, call: Call) -> list[Json]:
        if not call.told:
            return []
        now = {"event_timestamp": int(call.began + call.seconds)}
        if call.connected:
            return [{"type": "post_call_transcription", **now, "data": self._data(call)}]
        carrier = {"CallSid": f"CA{call.id}", "CallStatus": call.status.lower().replace("_", "-")}
        failure = {
            "agent_id": call.order["agent_id"],
            "conversation_id": call.id,
            "failure_reason": carrier["CallStatus"],
            "metadata": {"type": "twilio", "body": carrier},
        }
        return [{"type": "call_initiation_failure", **now, "data": failure}]

    def state(self, call: Call) -> tuple[int, Json]:
        return 200, self._data(call)

    def attempt(self, query: Mapping[str, str], _: Json) -> str | None:
        return query.get("user_id")

    def page(self, calls: list[Call], _: Mapping[str, str]) -> Any:
        return {"conversations": [self._summary(each) for each in calls], "has_more": False}

    def signed(self, body: bytes, at: float, secret: str) -> dict[str, str]:
        return {"ElevenLabs-Signature": f"t={int(at)},v0={_hmac(f'{int(at)}.'.encode() + body, secret)}"}

    def _status(self, call: Call) -> str:
        if not call.told:
            return "in-progress"
        return "failed" if not call.connected or call.status == "FAILED" else "done"

    def _data(self, call: Call) -> Json:
        order, audio = call.order, bool(call.told) and call.connected
        return {
            "agent_id": order["agent_id"],
            "conversation_id": call.id,
            "status": self._status(call),
            "user_id": call.attempt,
            **dict.fromkeys(("has_audio", "has_user_audio", "has_response_audio"), audio),
            "has_auxiliary_audio": False,
            "transcript": self._transcript(call),
            "metadata": self._metadata(call),
            "conversation_initiation_client_data": order["conversation_initiation_client_data"],
            **({"analysis": self._analysis(call)} if call.told and call.connected else {}),
        }

    def _transcript(self, call: Call) -> list[Json]:
        if not call.told or not call.connected:
            return []
        heard = {
            "type": "system",
            "request_id": "1",
            "tool_name": "voicemail_detection",
            "params_as_json": "{}",
            "tool_has_been_called": True,
        }
        calls = [heard] if call.is_voicemail else []
        return [{"role": "agent", "message": "Hello.", "time_in_call_secs": 0, "tool_calls": calls, "tool_results": []}]

    def _metadata(self, call: Call) -> Json:
        order, words = call.order, {"NO_ANSWER": "no_answer", "BUSY": "busy", "FAILED": "failed"}
        result = "voicemail" if call.is_voicemail else words.get(call.status, "answered")
        return {
            "start_time_unix_secs": int(call.began),
            "call_duration_secs": int(call.seconds) if call.told and call.connected else 0,
            "termination_reason": "Simulated" if call.told else "",
            **({"cost_fiat": call.dollars} if call.told and call.connected else {}),
            "phone_call": {
                "type": "twilio",
                "direction": "outbound",
                "phone_number_id": order["agent_phone_number_id"],
                "agent_number": "+12025550101",
                "external_number": order["to_number"],
                "call_sid": f"CA{call.id}",
                "stream_sid": f"MZ{call.id}",
                **({"call_result": result} if call.told else {}),
            },
        }

    def _analysis(self, call: Call) -> Json:
        found = call.found()
        return {
            "call_successful": "success" if call.was_successful else "failure",
            "transcript_summary": call.summary(),
            "data_collection_results": {
                name: {"data_collection_id": name, "value": value, "rationale": "simulated"}
                for name, value in found.items()
            },
        }

    def _summary(self, call: Call) -> Json:
        data = self._data(call)
        return {
            **{name: data[name] for name in ("agent_id", "conversation_id", "status")},
            "start_time_unix_secs": data["metadata"]["start_time_unix_secs"],
            "call_duration_secs": data["metadata"]["call_duration_secs"],
            "message_count": len(data["transcript"]),
            "call_successful": data.get("analysis", {}).get("call_successful", "unknown"),
        }


DIALECTS: dict[str, Dialect] = {"http": Http(), "retell": Retell(), "vapi": Vapi(), "elevenlabs": ElevenLabs()}


def account(provider: str, url: str, key: str, secret: str) -> str:
    """What the SSM parameter of an account holds whose vendor is at `url`."""
    more = {"vapi": {"credentialId": "credential-1"}}.get(provider, {})
    known = {"apiKey": key, "webhookSecret": secret, "agentId": "agent-1", "callerNumber": "+12025550101"}
    return json.dumps({**known, "apiUrl": url, **more})


def _hmac(message: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), message, "sha256").hexdigest()


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
