"""What must hold at every step, whatever fails."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from chalicelib.agents.contract import CallOrder
from chalicelib.agents.limits import Share, Usage
from chalicelib.agents.store import LIMITS, UsageRow
from chalicelib.calls import store as calls
from chalicelib.calls.model import Attempt, Call, CallState, CallStatus, Result
from chalicelib.campaigns import hours
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.audit import COUNTERS
from chalicelib.campaigns.model import Campaign, CampaignStatus, counter_of
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact
from chalicelib.dialing.policy import GIVEN_UP, NO_RESULT
from chalicelib.settings import settings

if TYPE_CHECKING:
    from tests.simulation.dynamodb import Item
    from tests.simulation.world import World


class Broken(BaseException):
    """An invariant does not hold. No Exception, so that no handler takes it for a failure of its own."""


NOT_RUNNING = "the campaign was not running"
PAUSED = "all calling was paused"

CAP_SECONDS = 30
"""How long a call may be on its way to the agent after the campaign was read last: no cap lowered since stops it."""

ASKING_SECONDS = 6
"""How long a call may be on its way to the agent after its row was read last."""


class Permission(Struct):
    """Whether an attempt could be dialed when its CALLING was written: what forbade it, or nothing."""

    campaign_id: str
    forbidden: str = ""


class Invariants:
    """Watches every write and every dialing of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dialed_attempts: Counter[str] = Counter()
        self.permissions: dict[str, Permission] = {}
        self.recount: dict[str, Counter[str]] = defaultdict(Counter)
        self.counters: dict[str, Campaign] = {}
        self.buried: dict[str, Campaign] = {}
        self.highest_cap: dict[str, int] = {}
        self.caps: dict[str, list[tuple[float, int]]] = defaultdict(list)
        self.withdrawn: set[tuple[str, str]] = set()
        self.reported: dict[str, Result] = {}
        """What the agent told of attempts and was heard: a webhook was answered, a dialer lived to pass it on."""

        self.given_up: dict[str, float] = {}
        """Attempts nobody waits for although their conversations go on, and since when."""

        self.lost: set[str] = set()
        """Attempts one of whose dialers died."""

        self.asked: set[str] = set()
        """Attempts of which the agent was asked, whatever it made of that."""

        self.paused = False
        """Whether the organization lets nobody be called."""

        self.limits: dict[str, int] = {}
        """Of the organization's accounts: calls at a time, by provider."""

        self.usages: dict[str, Usage] = {}
        self.in_accounts: Counter[tuple[str, str]] = Counter()
        """Calls in flight that count in an account, by provider and campaign."""

        self.checks = 0
        world.database.watchers.append(self.written)

    def written(self, table: str, old: Item | None, new: Item | None) -> None:
        """A row was written."""
        if table == settings().attempts_table and new and new["attemptId"]["S"].startswith("withdrawn#"):
            _, campaign_id, contact_id = new["attemptId"]["S"].split("#")
            self.withdrawn.add((campaign_id, contact_id))
        if table == settings().settings_table and new and new["name"]["S"].startswith(LIMITS):
            self._usage_written(new)
        elif table == settings().settings_table and new:
            self._settings_written(new)
        if table == settings().calls_table:
            self._call_written(calls.of_image(old) if old else None, calls.of_image(new) if new else None)
        elif table == settings().campaigns_table and (row := new or old):
            owner, campaign_id = row["organizationId"]["S"], row["campaignId"]["S"]
            if campaigns.is_live(row):
                self._campaign_written(campaigns.of_image(new) if new else None, campaign_id)
            elif owner.endswith(campaigns.DELETED):
                self.buried.pop(campaign_id, None)
                if new:
                    self.buried[campaign_id] = campaigns.of_image(new)

    def _settings_written(self, new: Item) -> None:
        """Let go on between an attempt's claim and its dialing, an organization goes on with it."""
        self.paused = new.get("callingPaused", {}).get("BOOL", False)
        if not self.paused:
            for permission in self.permissions.values():
                permission.forbidden = "" if permission.forbidden == PAUSED else permission.forbidden

    def _usage_written(self, new: Item) -> None:
        provider = new["name"]["S"].removeprefix(LIMITS)
        usage = UsageRow.from_raw_data(new).value(Usage)
        known, self.usages[provider] = self.usages.get(provider, Usage()), usage
        if known.in_flight < usage.in_flight > self.limits[provider]:
            raise Broken(f"{usage.in_flight} calls of {provider}, whose account bears {self.limits[provider]}")

    def _call_written(self, old: Call | None, new: Call | None) -> None:
        for call, change in ((old, -1), (new, 1)):
            if call:
                self.recount[call.campaign_id][counter_of(call)] += change
            if call and call.counted:
                self.in_accounts[call.counted, call.campaign_id] += change
        if new and not new.leaving and (old is None or old.leaving):
            self.withdrawn.discard((new.campaign_id, new.contact_id))
        if old and new and old.state is CallState.CALLING and new.attempts and new.attempts[-1].outcome == GIVEN_UP:
            self.given_up[new.attempts[-1].attempt_id] = self.world.seconds
        if new and new.state is CallState.CALLING and (old is None or old.state is not CallState.CALLING):
            assert new.attempt_id is not None
            self.permissions[new.attempt_id] = self._permission(new)
        if old and old.state is CallState.DONE and new and new.state is CallState.CALLING:
            raise Broken("a call that ended is under way without waiting again")
        if old and new and old.state is CallState.CALLING and new.state is CallState.DONE:
            self._check_asked(new)

    def _check_asked(self, call: Call) -> None:
        """No attempt is spent of which nobody was asked, unless its dialer died or its news waits for a pacer."""
        last = call.attempts[-1] if call.attempts else None
        if last is None or last.attempt_id in self.lost or last.attempt_id in self.asked:
            return
        if (last.outcome or "").startswith(NO_RESULT) and last.attempt_id not in self.world.untold():
            raise Broken(f"an attempt has failed of which nobody was asked: {call}")

    def _permission(self, call: Call) -> Permission:
        campaign = self.counters.get(call.campaign_id)
        if campaign is None or campaign.status is not CampaignStatus.RUNNING:
            return Permission(call.campaign_id, NOT_RUNNING)
        if self.paused:
            return Permission(call.campaign_id, PAUSED)
        if (call.campaign_id, call.contact_id) in self.withdrawn:
            return Permission(call.campaign_id, "the contact was taken out")
        now = self.world.now()
        assert call.phone is not None
        if not self._open(campaign, call, now):
            return Permission(call.campaign_id, "outside the hours")
        gate = self.world.database.tables[settings().phone_numbers_table].items.get((call.organization_id, call.phone))
        if gate is None or gate.get("contactId", {}).get("S") != call.contact_id or gate["status"]["S"] != "ACTIVE":
            return Permission(call.campaign_id, "the contact must not be called")
        return Permission(call.campaign_id)

    def _open(self, campaign: Campaign, call: Call, now: datetime) -> bool:
        rows = self.world.database.tables[settings().contacts_table].items
        contact = contacts.of_image(rows[call.organization_id, call.contact_id])
        zone = hours.zone(campaign.calling_hours, contact, now)
        return hours.opening(campaign.calling_hours, now, zone, settings().fallback_timezone) == now

    def _campaign_written(self, new: Campaign | None, campaign_id: str) -> None:
        if new is None:
            self.counters.pop(campaign_id, None)
            return
        known = self.counters.get(campaign_id)
        self.counters[campaign_id] = new
        if new.status is CampaignStatus.RUNNING and (known is None or known.status is not new.status):
            self._started(campaign_id)
        self.caps[campaign_id].append((self.world.seconds, new.max_concurrent_calls))
        self.highest_cap[campaign_id] = max(self.highest_cap.get(campaign_id, 0), new.max_concurrent_calls)
        if new.in_flight > self.highest_cap[campaign_id]:
            raise Broken(f"{new.in_flight} in flight, the cap is {new.max_concurrent_calls}")
        if min(new.counted(status) for status in CallStatus) < 0:
            raise Broken("a counter is below zero")
        if new.status is CampaignStatus.RUNNING and (new.waiting or new.in_flight) and not new.wake_at:
            raise Broken("nobody will wake the campaign")

    def _started(self, campaign_id: str) -> None:
        """Started again between an attempt's claim and its dialing, a campaign goes on with it."""
        for permission in self.permissions.values():
            if permission.campaign_id == campaign_id and permission.forbidden == NOT_RUNNING:
                permission.forbidden = ""

    def wakeful(self) -> list[Campaign]:
        """Every campaign there is, those deleted whose calls are not removed yet included."""
        return [*self.counters.values(), *self.buried.values()]

    def check(self) -> None:
        """What holds between two transactions: counters equal a recount, one call per phone, calls within the cap."""
        self.checks += 1
        for campaign_id, campaign in self.counters.items():
            counted = {name: getattr(campaign, name) for name in COUNTERS}
            recounted = {name: self.recount[campaign_id][name] for name in COUNTERS}
            if counted != recounted:
                raise Broken(f"counters {counted} are not the recount {recounted}")
            for provider, usage in self.usages.items():
                share = usage.campaigns.get(campaign_id, Share()).in_flight
                if share != self.in_accounts[provider, campaign_id]:
                    raise Broken(f"{share} calls of {provider}, recounted {self.in_accounts[provider, campaign_id]}")

    def dialed(self, order: CallOrder) -> None:
        """The agent began a call."""
        self.dialed_attempts[order.call_id] += 1
        if self.dialed_attempts[order.call_id] > 1:
            raise Broken("an attempt was dialed twice")
        permission = self.permissions.get(order.call_id)
        if permission is None or permission.forbidden:
            raise Broken(f"dialed although {permission.forbidden if permission else 'never claimed'}")
        if self.world.seconds > self.given_up.get(order.call_id, self.world.seconds) + ASKING_SECONDS:
            raise Broken("dialed although it was cancelled")
        live = self.world.line.live()
        if any(each.phone == order.phone_number for each in live):
            raise Broken("a phone has two calls")
        live = [each for each in live if each.call_id not in self.given_up]
        cap = self._cap(order.campaign_id)
        if order.call_id not in self.given_up and sum(each.campaign_id == order.campaign_id for each in live) >= cap:
            raise Broken("more calls than the cap")

    def _cap(self, campaign_id: str) -> int:
        """The highest cap that a dialer can have read which dials now."""
        earlier = [cap for seconds, cap in self.caps[campaign_id] if seconds < self.world.seconds - CAP_SECONDS]
        lately = [cap for seconds, cap in self.caps[campaign_id] if seconds >= self.world.seconds - CAP_SECONDS]
        return max([*earlier[-1:], *lately], default=0)

    def heard(self, attempt_id: str, result: Result) -> None:
        """What the agent told of an attempt has been taken."""
        self.reported.setdefault(attempt_id, result)

    def check_reports(self) -> None:
        """What the agent reported and was heard is what is booked, in the calls and with the contacts."""
        latest: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
        for call in self._calls():
            for attempt in call.attempts:
                told = self.reported.get(attempt.attempt_id)
                if told and (attempt.presumed or attempt.call_status is not told.call_status):
                    raise Broken(f"reported {told.call_status}, booked {attempt}")
                if told and attempt.provider != self.world.line.placed_by[attempt.attempt_id]:
                    raise Broken(f"an attempt is another provider's: {attempt}")
                latest[call.organization_id, call.contact_id].append(attempt)
        for key, attempts in latest.items():
            row = self.world.database.tables[settings().contacts_table].items.get(key)
            if row:
                self._check_contact(contacts.of_image(row), attempts)

    def _check_contact(self, contact: Contact, attempts: list[Attempt]) -> None:
        """A contact shows the attempt that ended last; one of a deleted campaign may be later than all there are."""
        last = max(attempt.ended_at for attempt in attempts)
        outcomes = {attempt.outcome for attempt in attempts if attempt.ended_at == last}
        if (contact.last_called_at or "") < last:
            raise Broken(f"the contact does not show its last attempt: {contact}")
        if contact.last_called_at == last and contact.last_conversation_outcome not in outcomes:
            raise Broken(f"the contact shows {contact.last_conversation_outcome}, not one of {outcomes}")

    def _calls(self) -> Iterator[Call]:
        """The calls of the campaigns there are."""
        for row in self.world.database.tables[settings().calls_table].items.values():
            if row["campaignId"]["S"] in self.counters:
                yield calls.of_image(row)
