"""The driver: load the state, decide, act, append what happened. A crash anywhere is boring."""

from collections.abc import Callable, Mapping

from coordinator.models.asking import INQUIRY
from coordinator.releases.driver import Releases
from coordinator.rounds.campaign import (
    STREAM,
    CampaignState,
    advance_campaign,
    keep_snapshot,
    load_state,
)
from coordinator.rounds.commands import COMMAND, Command, check
from coordinator.rounds.events import (
    Abandoned,
    Closed,
    Event,
    Extended,
    Paused,
    Quarantined,
    Resumed,
    Stopped,
    dump_event,
    load_event,
)
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.inquiry import Inquiries
from coordinator.rounds.late import Late
from coordinator.rounds.machine import Phase, RoundState
from coordinator.rounds.machine import served as is_served
from coordinator.rounds.parts import Parts
from coordinator.rounds.parts import Progress as Progress  # what whoever watches is told
from coordinator.rounds.phases import work_of
from coordinator.rounds.planning import NO_LIMIT, Cohort, Planner, Updates, give_back
from coordinator.rounds.question import Rest
from coordinator.rounds.stopping import why_stop
from fieldvote.errors import (
    BudgetSpentError,
    FencedError,
    FieldvoteError,
    InputError,
    InternalError,
    StoreError,
    UnavailableError,
)
from fieldvote.records import DeviceId

_SNAPSHOT_EVERY = 256  # events; what lies after a snapshot is replayed at every start
_PATIENCE = 3  # how often run_round has an exchange asked anew
_IDLE_S = 1.0


class Scheduler:
    """Turns the rounds of one campaign."""

    def __init__(
        self,
        parts: Parts,
        *,
        cohort: Cohort | None = None,
        watch: Callable[[Progress], None] = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
        quorum: int = 1,
        rounds: int | None = None,
        updates: Updates | None = None,
    ) -> None:
        """Load the campaign's state from its store.

        Args:
            parts: What the rounds work with.
            cohort: Who is surveyed in a round; by default a random share of who is there.
            watch: Told of every event once it is durable.
            say: Told of commands that could not be obeyed.
            quorum: Training devices that must be there before a round begins.
            rounds: How many rounds to plan; None leaves it to run_round.
            updates: What becomes of devices that run another task; by default nothing.
        """
        self._parts = parts
        self._watch = watch
        self._say = say
        self._most = rounds
        self._pending: list[Event] = []
        self._asked_again = 0  # in a row
        self._version, self._campaign = load_state(parts.store)
        self._planner = Planner(parts, cohort, quorum=quorum, updates=updates, say=say)
        settings, store = parts.settings, parts.store
        window_s, limit = settings.deadline_s, settings.budget.size_bytes
        limit = NO_LIMIT if limit is None else limit
        asks = (store, parts.transport, parts.clock, self._record)
        self._exchanges = Exchanges(*asks, window_s=window_s, limit_bytes=limit)
        self._releases = Releases(parts, limit_bytes=limit, say=say)
        self._late = Late(store, parts.transport, parts.clock, window_s=window_s)
        work = work_of(parts, self._exchanges, self._record)
        self._steps, self._rollout, self._take = work.steps, work.rollout, work.take
        self._inquiries = Inquiries(parts, work.learning.lesson, limit_bytes=limit)

    @property
    def campaign(self) -> CampaignState:
        """Where the campaign stands."""
        return self._campaign

    @property
    def state(self) -> RoundState:
        """Where the newest round stands."""
        return self._campaign.newest

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything that happened, oldest first."""
        return tuple(load_event(*row) for row in self._parts.store.events(STREAM))

    @property
    def finished(self) -> bool:
        """Whether no round is to be planned any more, and nothing else is under way."""
        most, stopped = self._most, bool(self._campaign.steering.stopped)
        last = stopped or (most is not None and self._campaign.last >= most)
        asked = any(row.kind in (COMMAND, INQUIRY) for row in self._parts.store.owed())
        return last and not (self._campaign.open or self._releases.busy or asked)

    @property
    def outdated(self) -> bool:
        """Whether a release was promoted: who goes on needs the parts of another task."""
        return self._releases.outdated

    def turn(self) -> Rest | None:
        """Move one round by one step, or plan one; return what is waited for, None if that went."""
        beside = (self._releases, self._inquiries)
        if self._obeyed() or any(each.step(self._campaign) for each in beside):
            return None
        if self.outdated:
            return self._releases.hold
        self._planner.tell(self._campaign)
        self._late.step(self._campaign, self._count_late)
        rests = []
        for state in self._campaign.open:
            rest = self._step(state)
            if rest is None:
                return None
            rests.append(rest)
        rest = self._planned()
        if rest is None or not rests:
            return rest
        return rests[0]

    def run_round(self) -> RoundState:
        """Finish the rounds that are open, or turn a new one; return the newest.

        Raises:
            UnavailableError: too few answered, several times; call again later, the round goes on
                where it stands.
        """
        target = self._campaign.last if self._campaign.open else self._campaign.last + 1
        before, self._most, self._asked_again = self._most, target, 0
        try:
            while self._campaign.last < target or self._campaign.open:
                rest = self.turn()
                if rest is None:
                    continue
                if self.finished:
                    break
                if self._campaign.last < target or self._is_stuck():
                    raise UnavailableError(f"{rest.about}; the round can be gone on with")
                self._parts.clock.sleep(_IDLE_S)
        finally:
            self._most = before
        return self.state

    def obey(self, command: Command, *, settles: str = "") -> None:
        """Do what a person asked for, now.

        The row of the store that asks for it is settled in the same transaction: a crash neither
        loses a command nor has it done twice.

        Raises:
            InputError: the round is not where that could be done.
            UnavailableError: a round is to begin, and too few devices are there.
        """
        check(self._campaign, command)
        state = self._campaign.rounds.get(command.round, RoundState())
        match command.what:
            case "plan":
                event = self._planner.plan(self._campaign, kind=command.kind, budget=command.budget)
                self._append(event, settles)
            case "pause":
                self._append(Paused(round=command.round, reason=command.reason), settles)
            case "resume":
                self._append(Resumed(round=command.round), settles)
            case "abort" if is_served(state):
                self._rollout.take_back(state, self._campaign, command.reason, settles)
                self._settle()
            case "abort":
                self._append(Abandoned(round=command.round, reason=command.reason), settles)

    def _obeyed(self) -> bool:
        """Do what people asked for since the last look. Return whether there was anything."""
        owed = [row for row in self._parts.store.owed() if row.kind == COMMAND]
        for row in owed:
            try:
                self.obey(Command.from_json(row.body), settles=row.key)
            except (StoreError, FencedError):
                raise  # it stays asked for
            except (InputError, UnavailableError) as err:
                self._say(f"'{row.body.decode()}' was asked for and cannot be done: {err}")
                with self._parts.store.transaction():
                    self._parts.store.settle(row.key)
        return bool(owed)

    def _planned(self) -> Rest | None:
        """Begin the next round if it is time; return why not otherwise."""
        if self._most is not None and self._campaign.last >= self._most:
            return Rest(about="the last round is under way")
        if stopped := self._campaign.steering.stopped:
            return Rest(about=f"the campaign has ended: {stopped}")
        if reason := why_stop(self._campaign, self._parts.settings, self._parts.store):
            self._append(Stopped(round=self._campaign.last, reason=reason))
            return None
        rest = self._releases.hold or self._planner.why_not(self._campaign)
        if rest is not None:
            return rest
        try:
            event = self._planner.plan(self._campaign)
        except (StoreError, FencedError):
            raise
        except UnavailableError as err:
            return Rest(about=str(err))
        self._late.step(self._campaign, self._count_late, now=True)
        self._append(event)
        return None

    def _step(self, state: RoundState) -> Rest | None:
        """Take one round a step further; what cannot be done is written down, not raised."""
        number = state.number
        if not state.active:
            return Rest(about=f"round {number} is {state.phase.value}: {state.reason}")
        learning = self._campaign.learning
        if state.phase is Phase.RESOLVING and learning not in (0, number):
            return Rest(about=f"round {number}: round {learning} has the model in hand")
        try:
            rest = self._take[state.phase](state, self._campaign)
        except (StoreError, FencedError):
            self._pending = []
            raise
        except BudgetSpentError as err:
            self._give_up(state, str(err))
            return None
        except UnavailableError as err:
            self._reload()
            return Rest(about=f"round {number}: {err}")
        except FieldvoteError as err:
            # what was stored, or summed, is not what it must be: nothing is built on it unseen
            self._reload()
            self._append(Quarantined(round=number, reason=f"{state.phase.value}: {err}"))
            return None
        self._settle()
        if rest is not None:
            return Rest(about=f"round {number}: {rest.about}", until=rest.until)
        return None

    def _give_up(self, state: RoundState, reason: str) -> None:
        """End a round that has nothing left to spend."""
        self._reload()
        if is_served(state):
            self._rollout.take_back(state, self._campaign, reason)
            self._settle()
        else:
            self._append(Abandoned(round=state.number, reason=reason))

    def _is_stuck(self) -> bool:
        """Return whether no open round will move without somebody's help."""
        held = all(not state.active for state in self._campaign.open)
        return held or self._asked_again >= _PATIENCE

    def _count_late(self, number: int, phase: str, replies: Mapping[DeviceId, bytes]) -> None:
        self._steps.late(self._campaign, number, phase, replies)

    def _record(self, event: Event) -> None:
        """Append an event inside the transaction a step holds."""
        version = self._version + len(self._pending)
        self._parts.store.append(STREAM, version, *dump_event(event))
        self._pending.append(event)

    def _append(self, event: Event, settles: str = "") -> None:
        """Append an event in a transaction of its own; one that changes nothing is refused.

        Raises:
            InputError: the event does not belong where the round is.
        """
        if advance_campaign(self._campaign, event) is self._campaign:
            where = self._campaign.rounds.get(event.round, RoundState()).phase.value
            done_to = type(event).__name__.lower()
            raise InputError(f"round {event.round} cannot be {done_to}: it is {where}")
        try:
            with self._parts.store.transaction():
                self._record(event)
                if isinstance(event, Abandoned):
                    give_back(self._parts.store, event.round)
                if settles:
                    self._parts.store.settle(settles)
        except BaseException:
            self._pending = []
            raise
        self._settle()

    def _settle(self) -> None:
        """Move the state by the events that are durable now, and tell whoever watches."""
        pending, self._pending = self._pending, []
        for event in pending:
            before = self._campaign
            self._campaign = advance_campaign(before, event)
            self._version += 1
            if self._campaign is before:
                raise InternalError(f"a step made a {type(event).__name__} that changes nothing")
            state = self._campaign.rounds[event.round]
            if isinstance(event, Extended | Closed):
                self._asked_again = self._asked_again + 1 if isinstance(event, Extended) else 0
            if state.over:
                self._exchanges.forget(event.round)
            moved = before.rounds.get(event.round, RoundState()).phase is not state.phase
            self._watch(Progress(state=state, event=event, moved=moved))
            if self._version % _SNAPSHOT_EVERY == 0:
                keep_snapshot(self._parts.store, self._version - 1, self._campaign)

    def _reload(self) -> None:
        """Forget what was not stored, after a step that did not come to its end."""
        self._pending = []
        for kind, body in self._parts.store.events(STREAM, after=self._version - 1):
            self._campaign = advance_campaign(self._campaign, load_event(kind, body))
            self._version += 1
