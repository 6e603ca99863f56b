"""What the organization's browsers are told of a row's change. Pure: from the row before and after to events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, Struct
from msgspec.structs import replace

from chalicelib.calls.model import Call, CallState, CallStatus
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.contacts.model import Contact
from chalicelib.imports.model import Import

COMPLETED = "Campaign completed successfully"


class Event(Struct, frozen=True):
    """A named event for an organization's sockets; `contact_id` names the contact its data still lacks."""

    organization_id: str
    name: str
    data: Any
    contact_id: str | None = None
    campaign_id: str | None = None
    record: str | None = None
    """What it is known by, where not by the stream's record."""

    after: Sequence[str] = ()
    """The records of events that are told before it."""

    correlation_id: str = ""
    """The attempt it is about, if it is about one."""


def of_contact(new: Contact) -> list[Event]:
    """A contact that was made or changed."""
    return [Event(new.organization_id, "contact-update", new)]


def of_call(old: Call | None, new: Call) -> list[Event]:
    """A call that began, and how one ended that had: by a result, by none after all, or skipped."""
    if old is None or not new.is_told(old):
        return []
    if new.state is CallState.CALLING:
        return [_update(new, "calling", None, None, new.attempt_id)]
    if new.call_status is CallStatus.SKIPPED:
        return [_update(new, CallStatus.SKIPPED, new.skip_reason, None, new.attempt_id)]
    if new.attempts == old.attempts and new.state is not CallState.DONE:
        return [_update(new, new.call_status, new.release_reason, None, old.attempt_id)]
    last = new.attempts[-1]
    return [_update(new, last.call_status, last.outcome, last.summary, last.attempt_id)]


def _update(call: Call, status: str, outcome: str | None, summary: str | None, attempt_id: str | None) -> Event:
    data = {
        "campaignId": call.campaign_id,
        "contactId": call.contact_id,
        "status": status,
        "contact": None,
        "outcome": outcome,
        "summary": summary,
    }
    record = record_of(call.campaign_id, call.write)
    about = (call.contact_id, call.campaign_id, record)
    return Event(call.organization_id, "campaign-update", data, *about, correlation_id=attempt_id or "")


def record_of(campaign_id: str, write: str) -> str:
    """What the update of a write of a campaign's call is known by."""
    return f"call:{campaign_id}:{write}"


def of_campaign(old: Campaign | None, new: Campaign) -> list[Event]:
    """A campaign whose counters or status, or the reason of it, changed, and one that completed."""
    if old is None or old.progress() == new.progress():
        return []
    events = [Event(new.organization_id, "campaign-progress", new.progress(), campaign_id=new.campaign_id)]
    if new.status is CampaignStatus.COMPLETED and old.status is not CampaignStatus.COMPLETED:
        data = {"campaignId": new.campaign_id, "message": COMPLETED}
        after = tuple(record_of(new.campaign_id, write) for write in new.last_writes)
        events.append(Event(new.organization_id, "campaign-complete", data, campaign_id=new.campaign_id, after=after))
    return events


def of_import(new: Import) -> list[Event]:
    """An import that was made or came further."""
    return [Event(new.organization_id, "import-progress", replace(new.view(), errors=UNSET))]


def condensed(named: Sequence[tuple[str, Event]]) -> list[tuple[str, Event]]:
    """Of several `campaign-progress` of one campaign, and of several `import-progress` of one import, only the last.

    It goes by the record of the first: when a part of the batch comes again, what its beginning tells is known, and its
    end is what sockets hear last.
    """
    first: dict[tuple[str, str], str] = {}
    last: dict[tuple[str, str], int] = {}
    for n, (record, event) in enumerate(named):
        about = _progress_of(event) or ("record", record)
        first.setdefault(about, record)
        last[about] = n
    return [(first[about], named[n][1]) for about, n in sorted(last.items(), key=lambda each: each[1])]


def _progress_of(event: Event) -> tuple[str, str] | None:
    if event.name == "campaign-progress":
        return event.name, event.data.campaign_id
    if event.name == "import-progress":
        return event.name, event.data.id
    return None
