"""The driver: load the state, do what follows, append what happened. A crash anywhere is boring."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from coordinator.rounds.machine import (
    Abandoned,
    Event,
    Phase,
    Planned,
    RoundState,
    advance,
    dump_event,
    load_event,
    replay,
)
from coordinator.rounds.steps import Parts, Steps
from fieldvote.errors import InternalError, UnavailableError
from fieldvote.records import DeviceId, HelloRequest, encode
from fieldvote.rng import stream

STREAM = "rounds"

Cohort = Callable[[int, Sequence[DeviceId]], Sequence[DeviceId]]
"""Round number and reachable training devices to the ones that are surveyed."""


class Updates(Protocol):
    """Brings the campaign's task to devices that run another, beside the rounds."""

    def bring(self, devices: Collection[DeviceId]) -> None:
        """Begin with these devices; return at once."""

    def held(self) -> Collection[DeviceId]:
        """Return the devices that are not to be asked who they are at the moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a campaign stands, for whoever watches."""

    state: RoundState
    event: Event


class Scheduler:
    """Turns the rounds of one campaign."""

    def __init__(
        self,
        parts: Parts,
        *,
        cohort: Cohort | None = None,
        watch: Callable[[Progress], None] = lambda _: None,
        updates: Updates | None = None,
    ) -> None:
        """Load the campaign's state from its store.

        Args:
            parts: What the rounds work with.
            cohort: Who is surveyed in a round; by default a random share of who is there.
            watch: Told of every event once it is durable.
            updates: What becomes of devices that run another task; by default nothing.
        """
        self._updates = updates
        self._parts = parts
        self._cohort = cohort or self._sample
        self._watch = watch
        self._events = [load_event(*row) for row in parts.store.events(STREAM)]
        self._pending: list[Event] = []
        self._steps = Steps(parts, self._record)
        self._state = replay(self._events)

    @property
    def state(self) -> RoundState:
        """Where the current round stands."""
        return self._state

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything that happened, oldest first."""
        return tuple(self._events)

    def greet(self, quorum: int = 1) -> int:
        """Ask devices that are not known yet to introduce themselves. Return how many are known.

        Raises:
            UnavailableError: fewer training devices than the quorum are there.
        """
        store, transport = self._parts.store, self._parts.transport
        known = set(store.devices()) | set(self._updates.held() if self._updates else ())
        strangers = [device for device in transport.devices() if device not in known]
        if strangers:
            request = encode(HelloRequest(campaign=self._parts.settings.name))
            replies = transport.exchange(
                dict.fromkeys(strangers, request), deadline_s=self._parts.settings.deadline_s
            )
            astray: list[DeviceId] = []
            with store.transaction():
                self._parts.inbox.hello(replies, self._parts.task.digest, astray=astray.append)
            if self._updates:
                self._updates.bring(astray)
        training = self._training()
        if len(training) < quorum:
            raise UnavailableError(
                f"{len(training)} training devices are there, {quorum} are needed: start more"
            )
        return len(training)

    def run_round(self) -> RoundState:
        """Finish the round that was begun, or turn a new one.

        Raises:
            UnavailableError: nobody answered; call again later, the round goes on where it stands.
        """
        if self._state.phase in (Phase.NONE, Phase.DONE, Phase.ABANDONED):
            self._plan()
        while self._state.phase is not Phase.DONE:
            before = self._state
            self._pending = []
            self._steps.take(before)
            self._settle()
            if self._state is before:
                raise InternalError(f"round {before.number} does not leave '{before.phase.value}'")
        return self._state

    def abandon(self, reason: str) -> None:
        """Give the current round up; its labels stay."""
        self._append(Abandoned(round=self._state.number, reason=reason))

    def _plan(self) -> None:
        """Begin a round: who is surveyed, and how many labels it may buy."""
        number = self._state.number + 1
        training = self._training()
        if not training:
            # a round planned for nobody could never be surveyed
            raise UnavailableError("no training device can be reached; start more, then call again")
        first = not any(device.teaches for device in self._parts.store.devices().values())
        devices = training if first else list(self._cohort(number, training))
        per_device = 1 if first else self._parts.settings.labels_per_device
        self._append(
            Planned(
                round=number,
                devices=tuple(int(device) for device in devices),
                budget=per_device * len(devices),
                first=first,
            )
        )

    def _training(self) -> list[DeviceId]:
        """Return the known training devices that can be reached, in ascending order."""
        known = self._parts.store.devices()
        here = self._parts.transport.devices()
        return [device for device in here if device in known and not known[device].evaluates]

    def _sample(self, number: int, training: Sequence[DeviceId]) -> list[DeviceId]:
        """Return a random share of the training devices, at least one."""
        settings = self._parts.settings
        count = max(1, round(settings.surveyed_share * len(training)))
        rng = stream(settings.seed, "cohort", number)
        return sorted(training[place] for place in rng.permutation(len(training))[:count])

    def _record(self, event: Event) -> None:
        """Append an event inside the transaction a step holds."""
        version = len(self._events) + len(self._pending)
        self._parts.store.append(STREAM, version, *dump_event(event))
        self._pending.append(event)

    def _append(self, event: Event) -> None:
        """Append an event in a transaction of its own."""
        self._pending = []
        with self._parts.store.transaction():
            self._record(event)
        self._settle()

    def _settle(self) -> None:
        """Move the state by the events that are durable now, and tell whoever watches."""
        for event in self._pending:
            self._events.append(event)
            self._state = advance(self._state, event)
            self._watch(Progress(state=self._state, event=event))
        self._pending = []
