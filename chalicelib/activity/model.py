"""What is kept of who did what: ids and names of fields, nothing of a contact."""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec import Struct

from chalicelib.clock import Moment
from chalicelib.ids import Id


class Action(StrEnum):
    """What somebody did; before the dot, to what."""

    CONTACT_CREATED = "contact.created"
    CONTACT_CHANGED = "contact.changed"
    CONTACT_DELETED = "contact.deleted"
    CONTACT_ERASED = "contact.erased"
    IMPORT_CREATED = "import.created"
    IMPORT_UNDONE = "import.undone"
    CAMPAIGN_CREATED = "campaign.created"
    CAMPAIGN_CHANGED = "campaign.changed"
    CAMPAIGN_STARTED = "campaign.started"
    CAMPAIGN_STOPPED = "campaign.stopped"
    CAMPAIGN_DELETED = "campaign.deleted"
    CAMPAIGN_AUDITED = "campaign.audited"
    CAMPAIGN_EXPORTED = "campaign.exported"
    CONTACTS_ADDED = "campaign.contacts-added"
    CONTACT_REMOVED = "campaign.contact-removed"
    CALLS_REDIALED = "campaign.redialed"
    CALL_TESTED = "campaign.call-tested"
    CALL_CANCELLED = "campaign.call-cancelled"
    SETTINGS_CHANGED = "settings.changed"
    CALLING_PAUSED = "settings.calling-paused"
    CALLING_RESUMED = "settings.calling-resumed"
    AGENT_CHANGED = "settings.agent-changed"


class Activity(Struct, frozen=True, kw_only=True, rename="camel"):
    """Who did what, when, and to which contact, campaign or import; `fields` are those that it named."""

    activity_id: Id = msgspec.field(name="id")
    at: Moment
    actor: str | None = None
    """The token's `sub`; None when it has none."""

    action: Action
    contact_id: Id | None = None
    campaign_id: Id | None = None
    import_id: Id | None = None
    operation: str
    """The request's `operationId` in the OpenAPI document."""

    fields: list[str] = []
    request_id: str = ""
    """By which the log's lines of the request are found."""


class ActivityFilter(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose activity is listed, and which."""

    actor: str | None = None
    action: Action | None = None
