"""Two who write at once: a campaign of one person at some point of the call, and all who may change something there.

The first runs until just before one of its calls to AWS; then the second runs from beginning to end; then the first
goes on. Whatever was sent meanwhile is delivered afterwards, and the campaign is called to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from chalicelib import clock, ids
from chalicelib.agents.contract import Accepted, CallOrder, Declined, Whereabouts
from chalicelib.aws import sqs
from chalicelib.calls import store as calls
from chalicelib.calls.model import Call, CallState, CallStatus, Result, Retry
from chalicelib.campaigns import control, enrolment
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.messages import Redial, Wake, tell_pacer
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.campaigns.settings import AgentChoice
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import ContactStatus
from chalicelib.dialing import dialer, pacer
from chalicelib.dialing.messages import Ended, Event, Released
from chalicelib.dialing.telling import ended
from chalicelib.errors import Failure
from chalicelib.organizations import store as organizations
from chalicelib.organizations.model import AgentSettings
from chalicelib.privacy import erasing
from chalicelib.settings import settings
from tests.simulation.agent import PhoneLine
from tests.simulation.dynamodb import Item
from tests.simulation.faults import STALE_SECONDS, Faults
from tests.simulation.invariants import Broken
from tests.simulation.world import ORGANIZATION, START, Process, World

PHONE, NEW_PHONE, *OTHERS = (f"+99890123450{n}" for n in range(5))
TIMEOUT_SECONDS = 120
CALLBACK_SECONDS = 900
"""Of a callback, from the beginning of the world."""

HANDLERS = ("pacer", "dialer", "webhook", "redial")
"""Writers whose message comes again when they fail; the others are people, who are to get an answer."""

REDIALED = (CallStatus.BUSY, CallStatus.FAILED)


class Answered(Struct):
    """When a writer was done, which attempts had passed the gate by then, and what refused it, if something did."""

    seconds: float
    gone: set[str]
    refusal: str = ""


class Line(PhoneLine):
    """Takes the first call and lets it be reported later; talks at once in all others."""

    def __init__(self, world: World, report: Callable[[], None]) -> None:
        super().__init__(world)
        self.report = report
        self.seconds = (5.0, 5.0)
        self.dials: list[tuple[float, CallOrder]] = []

    def _kind(self) -> str:
        return "silent" if len(self.dials) == 1 else "prompt"

    def _ring(self, order: CallOrder) -> Any:
        self.dials.append((self.world.seconds, order))
        return super()._ring(order)

    def place(self, order: CallOrder) -> Result | Accepted | Declined:
        if self.dials:
            return super().place(order)
        super().place(order)
        self.report()
        return Accepted()

    def _told(self, call_id: str) -> Whereabouts:
        return Whereabouts.UNDER_WAY

    def _result(self) -> Result:
        return Result(call_status=CallStatus.SUCCESS, outcome="said at once")


class Scene:
    """A person's call at a point, while nobody moves and reads that are not consistent show rows of a while ago.

    It is `waiting`, also in a campaign that was `stopped` or is `crowded` with more people than slots, `queued` and
    counted in an account that has limits, `calling`, `silent` (calling, and its agent is to be asked), `ending`
    (calling, and what the agent will report is final), `presumed` to have failed, or so while the campaign goes on and
    what the agent will report is that a callback is `owed`.
    """

    def __init__(self, point: str) -> None:
        self.point = point
        self.world = World(0, Faults(stale=1.0))
        self.world.database.behind = lambda: STALE_SECONDS if self.world.current else 0.0
        self.world.line = self.line = Line(self.world, self._report)
        self.world._take = self._take  # type: ignore[method-assign]
        self.world.database.watchers.append(self._written)
        self.holding = True
        self.held: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, list[Answered]] = {}
        self.completed = False
        """Whether the campaign ever was."""

    def _take(self, queue: str, entry: dict[str, Any]) -> None:
        """Messages wait until both writers are done."""
        if self.holding:
            self.held.append((queue, entry))
        else:
            World._take(self.world, queue, entry)

    def _written(self, table: str, old: Item | None, new: Item | None) -> None:
        if table == settings().campaigns_table and new:
            self.completed |= new.get("status", {}).get("S") == CampaignStatus.COMPLETED
            self._check_cap(old or {}, new)
        if table == settings().campaigns_table and old and new is None:
            self._check_deletion(old)
        if table == settings().calls_table and old and new:
            self._check_call(calls.of_image(old), calls.of_image(new))

    def _check_deletion(self, old: Item) -> None:
        if campaigns.is_live(old) and campaigns.of_image(old).in_flight:
            raise Broken("a campaign was deleted with calls under way")

    def _check_cap(self, old: Item, new: Item) -> None:
        before, after = (int(each.get("inFlight", {"N": "0"})["N"]) for each in (old, new))
        if before < after > int(new["maxConcurrentCalls"]["N"]):
            raise Broken(f"{after} calls are claimed where {new['maxConcurrentCalls']} may be")

    def _check_call(self, old: Call, new: Call) -> None:
        if old.state is CallState.DONE and new.state is CallState.WAITING and old.call_status not in REDIALED:
            raise Broken(f"a redial took a call that is {old.call_status}")
        if new.lease < old.lease:
            raise Broken("what is said of an earlier claim undid a later one")

    def set(self) -> Scene:
        """Go to the point."""
        if self.point == "queued":
            self._limit_account()
        self.contact_id, *self.others = (self.world.add_contact(phone) for phone in (PHONE, *OTHERS))
        crowd = self.others[: {"crowded": 2, "owed": 1}.get(self.point, 0)]
        campaign = self._campaign(cap=2 if crowd else 1)
        self.campaign_id = campaign.campaign_id
        campaigns.add(campaign)
        self._enrol([self.contact_id, *crowd])
        self._start()
        if self.point == "stopped":
            self.stop()
        if self.point in ("waiting", "crowded", "stopped"):
            return self
        self._pace(self._wake())
        self.order = self._sent(settings().dial_queue)[0]
        self.attempt_id = calls.find(self.campaign_id, self.contact_id).attempt_id or ""
        if self.point == "queued":
            return self
        self.dialer()
        if self.point in ("calling", "ending"):
            return self
        if self.point == "silent":
            self.world.seconds += TIMEOUT_SECONDS - 3 * STALE_SECONDS
            return self
        self.world.seconds += TIMEOUT_SECONDS + 60
        self._pace(self._wake())
        return self

    def _limit_account(self) -> None:
        """From now on calls count in the organization's account with the provider."""
        self.world.invariants.limits["simulated"] = 1
        own, bears = organizations.find(ORGANIZATION), AgentSettings({"maxConcurrentCalls": 1})
        organizations.set_agent(ORGANIZATION, "simulated", own, bears, done=False)

    def _campaign(self, cap: int) -> Campaign:
        at = clock.stamp(self.world.now())
        return Campaign(
            organization_id=ORGANIZATION,
            campaign_id=ids.new_id(),
            name="Two writers",
            max_concurrent_calls=cap,
            retry=Retry(max_attempts=2, delay_minutes=[1], on=[CallStatus.BUSY]),
            call_timeout_seconds=TIMEOUT_SECONDS,
            agent=AgentChoice("http" if self.point == "silent" else "simulated"),
            created_at=at,
            updated_at=at,
        )

    def _sent(self, queue: str) -> list[str]:
        return [entry["MessageBody"] for to, entry in self.held if to == queue]

    # the writers

    def pacer(self) -> None:
        """Books what its mailbox holds at this point, or claims who is next."""
        events: dict[str, Callable[[], Any]] = {
            "queued": self._released,
            **dict.fromkeys(("calling", "ending", "presumed", "owed"), self._ended),
        }
        self._pace(events.get(self.point, self._wake)())

    def _pace(self, event: Any) -> None:
        record = {"messageId": "1", "body": sqs.encode(event), "attributes": {"ApproximateReceiveCount": "1"}}
        if pacer.handle([record], now=self.world.now):
            raise RuntimeError("the pacer wants its message again")

    def _wake(self) -> Wake:
        return Wake(organization_id=ORGANIZATION, campaign_id=self.campaign_id)

    def _ended(self) -> Ended:
        return ended(calls.attempt(self.attempt_id), self.result(), now=self.world.now())

    def _released(self) -> Released:
        call = calls.find(self.campaign_id, self.contact_id)
        return Released(
            organization_id=ORGANIZATION,
            campaign_id=self.campaign_id,
            contact_id=self.contact_id,
            attempt_id=self.attempt_id,
            lease=call.lease,
            state=CallState.QUEUED,
            reason="the phone is in another call",
        )

    def result(self) -> Result:
        """What the agent reports of the first call."""
        if self.point == "owed":
            at = clock.stamp(clock.later(CALLBACK_SECONDS, than=START))
            return Result(call_status=CallStatus.CALLBACK_REQUESTED, outcome="reported", callback_at=at)
        final = self.point in ("ending", "presumed")
        return Result(call_status=CallStatus.PROMISE_TO_PAY if final else CallStatus.BUSY, outcome="reported")

    def dialer(self) -> None:
        dialer.handle([self.order], agent=lambda *_: self.line, now=self.world.now)

    def webhook(self) -> None:
        tell_pacer([self._ended()])

    def withdraw(self) -> None:
        enrolment.withdraw(ORGANIZATION, self.campaign_id, self.contact_id, now=self.world.now())

    def redial(self) -> None:
        order = Redial(
            organization_id=ORGANIZATION,
            campaign_id=self.campaign_id,
            statuses=list(REDIALED),
            before=clock.stamp(self.world.now()),
        )
        enrolment.redial(order, now=self.world.now, until=clock.later(60, than=self.world.now()))

    def enrol(self) -> None:
        self._enrol([self.contact_id, *self.others])

    def _enrol(self, people: list[str]) -> None:
        now = self.world.now()
        enrolment.enrol(ORGANIZATION, self.campaign_id, people, at=clock.stamp(now), now=now)

    def cancel(self) -> None:
        enrolment.give_up(ORGANIZATION, self.campaign_id, self.contact_id)

    def bar_contact(self) -> None:
        self._edit({"status": ContactStatus.DO_NOT_CALL})

    def move_contact(self) -> None:
        self._edit({"phone": NEW_PHONE})

    def _edit(self, changes: dict[str, Any]) -> None:
        contacts.change(ORGANIZATION, self.contact_id, changes, at=clock.stamp(self.world.now()))

    def delete_contact(self) -> None:
        contacts.remove(ORGANIZATION, self.contact_id)

    def erase(self) -> None:
        erasing.begin(ORGANIZATION, self.contact_id)

    def lower_cap(self) -> None:
        campaign = campaigns.find(ORGANIZATION, self.campaign_id)
        campaigns.change(campaign, {"max_concurrent_calls": 1}, at=self.world.now())

    def start(self) -> None:
        self._start()

    def stop(self) -> None:
        control.stop(ORGANIZATION, self.campaign_id, now=self.world.now())

    def delete_campaign(self) -> None:
        campaigns.remove(campaigns.find(ORGANIZATION, self.campaign_id), at=self.world.now())

    # several at once

    def cancel_and_book(self) -> None:
        self.cancel()
        for body in self._sent(settings().campaign_events_queue):
            self._pace(sqs.decode(body, Event))

    def cancel_redial_and_dial(self) -> None:
        """The new call's dialer goes on beside the first, if that is one."""
        self.cancel_and_book()
        self.redial()
        self._start()
        self._pace(self._wake())
        order = self._sent(settings().dial_queue)[-1]
        dial = partial(dialer.handle, [order], agent=lambda *_: self.line, now=self.world.now)
        self.world.at(0, partial(self.world.start, "another dialer", dial))

    def redial_and_dial(self) -> None:
        self.redial()
        self._start()
        self._pace(self._wake())
        self.order = self._sent(settings().dial_queue)[-1]
        self.dialer()

    def start_claim_and_stop(self) -> None:
        self._start()
        self._pace(self._wake())
        self.stop()

    def book_and_delete_contact(self) -> None:
        self.pacer()
        self.delete_contact()

    def _start(self) -> None:
        control.start(ORGANIZATION, self.campaign_id, now=self.world.now())

    # the play

    def run(self, first: str, second: str | None, before: int | None) -> int:
        """Run the first, and the second before one of its calls; how many calls the first made."""
        world, made = self.world, []

        def before_call(process: Process, number: int) -> None:
            if process.name == f"first {first}":
                made.append(number)
                if number == before:
                    assert second is not None
                    world.give_way(f"second {second}", partial(self._write, second))

        world.before_call = before_call
        world.at(2 * STALE_SECONDS, lambda: world.start(f"first {first}", partial(self._write, first)))
        world.run(60)
        return len(made)

    def _write(self, writer: str) -> None:
        """One writer's doing; a person's is to be answered, a handler's message comes again."""
        refusal = ""
        try:
            getattr(self, writer)()
        except Failure as failure:
            refusal = type(failure).__name__
        except Exception as failure:
            if writer not in HANDLERS:
                raise Broken(f"{writer} is answered by {failure!r}") from failure
            refusal = type(failure).__name__
        answered = Answered(self.world.seconds, set(self.world.invariants.permissions), refusal)
        self.answers.setdefault(writer, []).append(answered)

    def settle(self) -> None:
        """Deliver what was sent, report what the first call came to, and call the campaign to its end."""
        world = self.world
        self.holding = False
        for queue, entry in self.held:
            World._take(world, queue, entry)
        if self.line.dials:
            self._report()
        world.at(1, world.tick_every_minute)
        world.run(600)
        world.at(1, lambda: world.start("operator", self._start_again))
        world.run(2 * 3600, until=lambda: self._over())
        world.run(60 + (2 * erasing.LAST_LOOK_SECONDS if "erase" in self.answers else 0))

    def _report(self) -> None:
        """The agent reports the first call, once messages are delivered."""
        if not self.holding:
            self.attempt_id = self.line.dials[0][1].call_id
            self.world.at(10, lambda: self.world.start("webhook", self.webhook))

    def _start_again(self) -> None:
        """A person presses start where somebody stopped, or where a campaign that had ended has work again."""
        if self.point == "stopped" or self.done("stop") or self.completed:
            try:
                self._start()
            except Failure:
                return

    def _over(self) -> bool:
        campaign = self.world.invariants.counters.get(self.campaign_id)
        if campaign is None:
            return not self.rows() and not self.world.invariants.buried
        return campaign.status is CampaignStatus.COMPLETED and not campaign.in_flight and not campaign.waiting

    # what can be seen

    def rows(self) -> list[Item]:
        """The campaign's calls."""
        return list(self.world.database.tables[settings().calls_table].items.values())

    def done(self, writer: str) -> list[Answered]:
        """A writer's doings that were not refused."""
        return [each for each in self.answers.get(writer, ()) if not each.refusal]

    def dialed_after(self, moment: Answered) -> list[str]:
        """Attempts to reach the person that began after a moment and had not passed the gate by then."""
        return [
            order.call_id
            for seconds, order in self.line.dials
            if order.contact_id == self.contact_id and seconds > moment.seconds and order.call_id not in moment.gone
        ]


WRITERS: dict[str, Callable[[Scene], None]] = {
    writer.__name__: writer
    for writer in (
        Scene.pacer,
        Scene.dialer,
        Scene.webhook,
        Scene.withdraw,
        Scene.redial,
        Scene.enrol,
        Scene.cancel,
        Scene.bar_contact,
        Scene.move_contact,
        Scene.delete_contact,
        Scene.erase,
        Scene.lower_cap,
        Scene.start,
        Scene.stop,
        Scene.delete_campaign,
    )
}

CAN_WRITE = {
    "waiting": WRITERS.keys() - {"dialer", "webhook", "redial", "cancel", "lower_cap", "start"},
    "stopped": {"pacer", "withdraw", "enrol", "delete_contact", "erase", "start", "delete_campaign"},
    "crowded": {"pacer", "withdraw", "enrol", "bar_contact", "delete_contact", "erase", "lower_cap", "stop"},
    "queued": WRITERS.keys() - {"webhook", "redial", "cancel", "start"},
    "calling": WRITERS.keys() - {"redial", "lower_cap", "start"},
    "silent": WRITERS.keys() - {"redial", "lower_cap", "dialer", "start"},
    "ending": WRITERS.keys() - {"redial", "dialer", "lower_cap", "start"},
    "presumed": WRITERS.keys() - {"dialer", "cancel", "stop", "lower_cap", "start"},
    "owed": WRITERS.keys() - {"dialer", "cancel", "lower_cap", "start", "move_contact"},
}
"""Point → who has something to do there."""

SEVERAL = (
    ("presumed", "redial", "redial_and_dial"),
    ("stopped", "delete_campaign", "start_claim_and_stop"),
    ("ending", "pacer", "book_and_delete_contact"),
    ("queued", "dialer", "cancel_and_book"),
    ("queued", "dialer", "cancel_redial_and_dial"),
    ("calling", "pacer", "cancel_and_book"),
    ("ending", "pacer", "cancel_and_book"),
)
"""What it takes more than one second writer to break: a point, a first writer, and the others together."""
