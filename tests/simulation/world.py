"""A world for the real handlers: virtual time, queues that duplicate, delay and reorder, an agent that misbehaves, and
a scheduler that switches between handlers at every call they make to AWS or the agent, and kills some of them there.

Everything random comes from one seed, so that a failing run can be run again. Handlers run as greenlets; botocore hands
each request over before it would be sent (`before-call`), which is where time passes and a handler may die.
"""

from __future__ import annotations

import heapq
import json
import random
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import greenlet
from msgspec import Struct

from chalicelib import clock, ids, worker
from chalicelib.aws import dynamodb, s3, sqs, ssm
from chalicelib.campaigns import control
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact
from chalicelib.dialing import dialer, pacer
from chalicelib.dialing.messages import Event, Released, order
from chalicelib.dialing.policy import queue_lease
from chalicelib.settings import settings
from tests.simulation import queues
from tests.simulation.agent import PhoneLine, Provider
from tests.simulation.dynamodb import DynamoDB, Refused
from tests.simulation.faults import OUTAGE_SECONDS, STALE_SECONDS, Faults
from tests.simulation.invariants import Broken, Invariants

ORGANIZATION = "1"
START = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)


class Killed(greenlet.GreenletExit):
    """The process died."""


RECEIVES = 5
"""How often a queue delivers a message at most."""


class Message(Struct):
    """A message in a queue."""

    body: str
    group: str | None = None
    receives: int = 0
    failures: int = 0
    """How often a handler lived to fail at it."""


class Process:
    """A handler under way; `number` counts the processes of its name."""

    def __init__(
        self,
        name: str,
        number: int,
        run: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.name = name
        self.number = number
        self.calls = 0
        self.done = done
        self.failed = failed
        self.greenlet = greenlet.greenlet(run)


KillPlan = Callable[[Process, int, str], bool]
"""Whether a process dies `before` or `after` a call it makes, counted from 0."""


class World:
    """See the module."""

    def __init__(self, seed: int, faults: Faults, *, kill: KillPlan | None = None, dialers: int = 20) -> None:
        self.random = random.Random(seed)
        self.faults = faults
        self.kill = kill
        self.seconds = 0.0
        self.dialers = dialers
        self.main = greenlet.getcurrent()
        self.current: Process | None = None
        self.agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.counter = 0
        self.database = DynamoDB(
            lambda: self.seconds,
            lambda: self.random.uniform(0, self.faults.index_lag),
            behind=lambda: (
                self.random.uniform(0, STALE_SECONDS) if self.current and self.chance(self.faults.stale) else 0.0
            ),
            processed=lambda entries: (
                self.random.randint(1, entries) if self.current and self.chance(self.faults.unprocessed) else entries
            ),
            history=STALE_SECONDS if faults.stale else 0.0,
        )
        self.line = PhoneLine(self)
        self.invariants = Invariants(self)
        self.groups: dict[str, list[Message]] = defaultdict(list)
        self.locked: set[str] = set()
        self.dial_messages: list[Message] = []
        self.late: list[Message] = []
        self.out_until: defaultdict[str, float] = defaultdict(float)
        self.dead_letters: list[Callable[[], None]] = []
        self.dialing = 0
        self.tenants = queues.Tenants()
        self.ordered: Callable[[str], None] = lambda body: None
        """Told of each dial message that is sent."""

        self.before_call: Callable[[Process, int], None] = lambda process, number: None
        """Told when a process is about to make a call, counted from 0; it may let others go first (`give_way`)."""

        self.tally: Counter[str] = Counter()
        self.held_up: set[str] = set()
        """Groups whose messages were handled last by a pacer that was killed."""

    # time

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def at(self, delay: float, do: Callable[[], None]) -> None:
        """Do something `delay` seconds from now."""
        self.counter += 1
        heapq.heappush(self.agenda, (self.seconds + delay, self.counter, do))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, at most so many seconds, until `until` holds."""
        end = self.seconds + seconds
        while self.agenda and self.agenda[0][0] <= end and not until():
            self.seconds, _, do = heapq.heappop(self.agenda)
            do()
        if not until():
            self.seconds = max(self.seconds, min(end, self.agenda[0][0] if self.agenda else end))

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    def sleep(self, seconds: float) -> None:
        """What `time.sleep` is in this world."""
        if self.current is None:
            self.seconds += seconds
        else:
            self._pass(seconds)

    def new_id(self) -> str:
        """What `ids.new_id` is in this world."""
        milliseconds = int(self.now().timestamp() * 1000)
        return str(
            uuid.UUID(int=milliseconds << 80 | 7 << 76 | self.random.getrandbits(76) & ~(0b11 << 62) | 0b10 << 62)
        )

    # processes

    def start(
        self,
        name: str,
        run: Callable[[], Any],
        done: Callable[[Any], None] = lambda result: None,
        failed: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        """Run a handler as a process of its own."""
        self.tally[name] += 1
        process = Process(name, self.tally[name], run, done, failed)
        self._switch(process, None)

    def _switch(self, process: Process, error: BaseException | None) -> None:
        self.current = process
        try:
            result = process.greenlet.throw(error) if error else process.greenlet.switch()
        except Exception as failure:  # noqa: BLE001 (as Lambda does)
            self.current = None
            self.tally["failed"] += 1
            process.failed(failure)
            return
        self.current = None
        if not process.greenlet.dead:
            return
        if isinstance(result, greenlet.GreenletExit):
            self.tally["killed"] += 1
            process.failed(result)
        else:
            process.done(result)

    def _pass(self, seconds: float) -> None:
        """Let others go on for a while."""
        process = self.current
        assert process is not None
        self.at(seconds, lambda: self._switch(process, None))
        self.main.switch()

    def give_way(self, name: str, run: Callable[[], Any]) -> None:
        """Let another process run from its beginning to its end while the present one waits."""
        process = self.current
        assert process is not None

        def go_on(_: object) -> None:
            self.at(0, lambda: self._switch(process, None))

        self.at(0, lambda: self.start(name, run, go_on, go_on))
        self.main.switch()

    def boundary(self, perform: Callable[[], Any]) -> Any:
        """A call to the outside: time passes, the process may die before or after it."""
        process = self.current
        if process is None:
            return perform()
        number, process.calls = process.calls, process.calls + 1
        low, high = self.faults.latency
        self._pass(self.random.uniform(1, 5) if self.chance(self.faults.slow) else self.random.uniform(low, high))
        self.before_call(process, number)
        self._perhaps_die(process, number, "before")
        try:
            return perform()
        finally:
            self._perhaps_die(process, number, "after")

    def _perhaps_die(self, process: Process, number: int, when: str) -> None:
        planned = self.kill(process, number, when) if self.kill else self.chance(self.faults.kill / 2)
        if planned:
            raise Killed

    # AWS

    @contextmanager
    def installed(self) -> Iterator[World]:
        """Answer the project's AWS clients, and be the time, as long as the context lasts."""
        clients = (dynamodb.connection().client, sqs.client(), s3._s3(), ssm.provider().client)
        emitters = [client.meta.events for client in clients]
        sleep, monotonic, new_id, chance = time.sleep, time.monotonic, ids.new_id, random.getstate()
        for emitter in emitters:
            emitter.register("before-call", self._answer, unique_id="simulation")
        time.sleep, time.monotonic, ids.new_id = self.sleep, lambda: self.seconds, self.new_id  # type: ignore[assignment]
        random.seed(self.random.random())
        try:
            yield self
        finally:
            time.sleep, time.monotonic, ids.new_id = sleep, monotonic, new_id
            random.setstate(chance)
            for emitter in emitters:
                emitter.unregister("before-call", self._answer, unique_id="simulation")

    def _answer(self, model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        service = model.service_model.service_name
        request = {} if service == "s3" else json.loads(params["body"])
        try:
            parsed = self.boundary(lambda: self._serve(service, model.name, request))
        except Refused as refused:
            return SimpleNamespace(status_code=400), refused.answer | {"ResponseMetadata": {}}
        if service != "ssm" and self.current and self.chance(self.faults.unanswered):
            return SimpleNamespace(status_code=500), {"Error": {"Code": "InternalFailure"}, "ResponseMetadata": {}}
        return SimpleNamespace(status_code=200), parsed | {"ResponseMetadata": {}}

    def _serve(self, service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if service == "s3":
            assert operation in ("DeleteObject", "ListObjectsV2"), "the bucket holds nothing here"
            return {}
        if service == "ssm":
            return {"Parameter": {"Name": request["Name"], "Value": "a secret"}}
        if service == "sqs":
            return self._send(request)
        if self.current:
            self._perhaps_refuse(operation, request)
        answer = self.database(operation, request)
        self.invariants.check()
        return answer

    def _perhaps_refuse(self, operation: str, request: dict[str, Any]) -> None:
        """DynamoDB is busy: with another transaction, or with everything."""
        if operation == "TransactWriteItems":
            for fault, code in (
                (self.faults.conflict, "TransactionConflict"),
                (self.faults.throttle, "ThrottlingError"),
            ):
                if self.chance(fault):
                    reasons = [{"Code": "None"} for _ in request["TransactItems"]]
                    reasons[self.random.randrange(len(reasons))] = {"Code": code}
                    raise Refused("TransactionCanceledException", CancellationReasons=reasons)
        elif self.chance(self.faults.throttle):
            raise Refused(self.random.choice(["ProvisionedThroughputExceededException", "ThrottlingException"]))

    def _send(self, request: dict[str, Any]) -> dict[str, Any]:
        queue, entries = request["QueueUrl"], request["Entries"]
        queues.check_batch(entries)
        if self.current and (self.chance(self.faults.refuse) or self._is_out(queue)):
            raise Refused("ServiceUnavailable")
        failed = {entry["Id"]: failure for entry in entries if (failure := self._failure(queue, entry))}
        for entry in entries:
            if entry["Id"] not in failed:
                self._take(queue, entry)
        return {
            "Successful": [{"Id": entry["Id"]} for entry in entries if entry["Id"] not in failed],
            "Failed": list(failed.values()),
        }

    def _failure(self, queue: str, entry: dict[str, Any]) -> dict[str, Any] | None:
        """Why SQS does not take a message."""
        if code := queues.fault(queue, entry):
            return {"Id": entry["Id"], "Code": code, "SenderFault": True}
        if self.current and self.chance(self.faults.refuse):
            return {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False}
        return None

    def _is_out(self, queue: str) -> bool:
        if self.chance(self.faults.outage):
            self.out_until[queue] = self.seconds + self.random.uniform(0, OUTAGE_SECONDS)
        return self.seconds < self.out_until[queue]

    def _take(self, queue: str, entry: dict[str, Any]) -> None:
        message = Message(entry["MessageBody"], entry.get("MessageGroupId"))
        delay = entry.get("DelaySeconds", 0)
        if queue == settings().campaign_events_queue:
            self._post_event(message)
        elif queue == settings().dial_queue:
            self.ordered(message.body)
            for _ in range(self._copies()):
                self._post_dial_later(Message(message.body, message.group), delay)
        else:
            for _ in range(max(self._copies(), 1)):
                self.at(delay + self._delay(), partial(self._work, Message(message.body)))

    def _post_dial_later(self, message: Message, delay: float) -> None:
        lease = queue_lease(settings().agent_timeout_seconds)
        if not self.chance(self.faults.late):
            self.at(delay + self._delay(), partial(self._post_dial, message))
        elif self.random.random() < 0.5:
            self.at(delay + self.random.uniform(0, lease), partial(self._post_dial, message))
        else:
            self.at(delay + lease, partial(self.late.append, message))

    def _gives_up(self, message: Message, post: Callable[[Message], None], *, killed: bool) -> bool:
        """Whether a message becomes a dead letter, to be posted again one day; when its handlers were killed each time.

        Raises Broken when they failed alive.
        """
        message.failures += not killed
        if message.failures >= RECEIVES:
            raise Broken(f"a message became a dead letter: {message.body}")
        if message.receives < RECEIVES:
            return False
        self.dead_letters.append(partial(post, Message(message.body, message.group)))
        return True

    def redrive(self) -> int:
        """Post the dead letters again, as an operator does when what killed their handlers is over; how many."""
        letters, self.dead_letters = self.dead_letters, []
        for post in letters:
            self.at(self._delay(), post)
        return len(letters)

    def _copies(self) -> int:
        return 0 if self.chance(self.faults.lose) else 2 if self.chance(self.faults.duplicate) else 1

    def _delay(self) -> float:
        return self.random.uniform(*self.faults.delay)

    # the campaigns' mailboxes: FIFO per group, one batch of a group at a time, batches mix groups

    def _post_event(self, message: Message) -> None:
        assert message.group is not None
        copies = 1 if '"wake"' not in message.body else self._copies()
        for _ in range(copies):
            self.groups[message.group].append(Message(message.body, message.group))
        self.at(self._delay(), self._pace)

    def _pace(self) -> None:
        ready = [group for group, messages in self.groups.items() if messages and group not in self.locked]
        if not ready:
            return
        self.random.shuffle(ready)
        batch: list[Message] = []
        for group in ready[: self.random.choice([1, 1, 2, 3])]:
            room = 10 - len(batch)
            batch += self.groups[group][:room]
            if room:
                self.locked.add(group)
        again = range(self.random.randrange(len(batch))) if self.chance(self.faults.duplicate) else range(0)
        records = [
            {
                "messageId": str(n),
                "body": message.body,
                "attributes": {"ApproximateReceiveCount": str(message.receives + 1)},
            }
            for n, message in enumerate(batch)
        ]
        while self.late:
            self.at(self.random.uniform(0, 0.3), partial(self._post_dial, self.late.pop()))
        self.start(
            "pacer",
            lambda: pacer.handle(records, now=self.now),
            lambda failed: self._paced(batch, set(map(int, failed)), again),
            partial(self._unpaced, batch),
        )

    def untold(self) -> set[str]:
        """Attempts that were given back, of which the news waits in a mailbox since its pacers were killed."""
        waiting = [message.body for group in self.held_up for message in self.groups[group]]
        events = [sqs.decode(body, Event) for body in waiting]
        return {event.attempt_id for event in events if isinstance(event, Released)}

    def _unpaced(self, batch: list[Message], error: BaseException) -> None:
        if isinstance(error, Killed):
            self.held_up |= {message.group for message in batch if message.group}
        self.at(120, lambda: self._paced(batch, set(range(len(batch))), killed=isinstance(error, Killed)))

    def _paced(self, batch: list[Message], failed: set[int], again: range = range(0), *, killed: bool = False) -> None:
        """Unlock the batch's groups; messages that failed, by their place in it, or come `again` stay in the queue."""
        self.tally["failed"] += len(failed)
        for n, message in enumerate(batch):
            assert message.group is not None
            message.receives += 1
            self.locked.discard(message.group)
            if not killed:
                self.held_up.discard(message.group)
            if n in failed:
                gone = self._gives_up(message, self._post_event, killed=killed)
            else:
                gone = n not in again or message.receives >= RECEIVES
            if gone:
                self.groups[message.group] = [each for each in self.groups[message.group] if each is not message]
        self.at(1.0 if failed or again else 0.01, self._pace)

    # the dial queue: standard, one message per dialer

    def _post_dial(self, message: Message) -> None:
        self.dial_messages.append(message)
        self._dial()

    def _dial(self) -> None:
        while self.dial_messages and self.dialing < self.dialers:
            turn = self.tenants.turn([message.group for message in self.dial_messages])
            message = self.dial_messages.pop(self.random.choice(turn) if self.faults.delay[1] > 1 else turn[0])
            message.receives += 1
            self.dialing += 1
            self.tenants.begin(message.group)
            self.start(
                "dialer",
                partial(dialer.handle, [message.body], agent=self._agent, now=self.now),
                partial(self._heard, message, self.seconds, self.tally["dialer"] + 1),
                partial(self._undialed, message, self.seconds),
            )

    def _agent(self, provider: str, _: object) -> Provider:
        return Provider(provider, self.line)

    def _heard(self, message: Message, since: float, number: int, _: object) -> None:
        """A dialer that came to its end has passed on what the agent answered it."""
        if answer := self.line.prompt.get(number):
            self.invariants.heard(*answer)
        self._dialed(message, since)

    def _dialed(self, message: Message, since: float) -> None:
        self.dialing -= 1
        self.tenants.end(message.group, self.seconds - since)
        self.at(0.0, self._dial)

    def _undialed(self, message: Message, since: float, error: BaseException) -> None:
        self._dialed(message, since)
        self.invariants.lost.add(order(message.body).attempt_id)
        if not self._gives_up(message, self._post_dial, killed=isinstance(error, Killed)):
            self.at(900, lambda: self._post_dial(message))

    # the operator, the worker and the clock

    def add_contact(self, phone: str, **fields: Any) -> str:
        """Add a person to the organization's contacts; their id."""
        given = {"first_name": "Ali", **fields}
        at = clock.stamp(self.now())
        contact = Contact(
            organization_id=ORGANIZATION, contact_id=ids.new_id(), phone=phone, created_at=at, updated_at=at, **given
        )
        return contacts.add(contact).contact_id

    def _work(self, message: Message) -> None:
        message.receives += 1
        self.start(
            "worker",
            lambda: worker.handle([message.body], now=self.now),
            failed=partial(self._unworked, message),
        )

    def _unworked(self, message: Message, error: BaseException) -> None:
        if not self._gives_up(message, self._work, killed=isinstance(error, Killed)):
            self.at(300, lambda: self._work(message))

    def tick_every_minute(self) -> None:
        """Start the clock; a tick that would find nobody to wake is left out."""
        if any(
            campaign.wake_at and campaign.wake_at <= clock.minute(self.now()) for campaign in self.invariants.wakeful()
        ):
            self.start("clock", lambda: control.wake_due(now=self.now()))
        self.at(60, self.tick_every_minute)
