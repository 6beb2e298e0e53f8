"""The driver of releases, beside that of rounds: decide, act, append; a crash anywhere is boring.

One release is open at a time. It is tried on a few devices while rounds go on, judged by a rule,
and promoted when no round is under way, so that no round ever has two tasks.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

from coordinator.inbox import TRIAL, VOTES
from coordinator.plausible import can_try
from coordinator.releases.asking import (
    RELEASE,
    ReleaseCommand,
    check_command,
    check_proposal,
    is_busy,
    newest_of,
    releases_of,
)
from coordinator.releases.events import (
    STREAM,
    Approved,
    Promoted,
    Proposed,
    ReleaseEvent,
    RolledBack,
    Tried,
    dump_event,
)
from coordinator.releases.judging import judge, new_versions
from coordinator.releases.ledger import Ledger
from coordinator.releases.machine import Phase, ReleaseState, advance
from coordinator.releases.report import Conduct
from coordinator.releases.tasks import keep_bundle, load_bundle, move_on, task_in
from coordinator.releases.trial import chosen, conduct_of, sums_of, trial_requests
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.late import Late
from coordinator.rounds.parts import Parts
from coordinator.rounds.question import Question, Rest
from fieldvote.errors import (
    DataError,
    FencedError,
    FieldvoteError,
    InputError,
    InternalError,
    StoreError,
    UnavailableError,
)
from fieldvote.records import DeviceId
from fieldvote.summed_fields import COHORT
from fieldvote.task import Task

_PATIENCE = 3  # attempts at a trial that nobody answers


class Releases:
    """Takes the releases of one campaign further, a step at a time."""

    def __init__(
        self, parts: Parts, *, limit_bytes: int, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """Load what there is.

        Args:
            parts: What the rounds of the campaign work with.
            limit_bytes: What the campaign may send and receive in all.
            say: Told what becomes of releases.
        """
        self._parts, self._store, self._say = parts, parts.store, say
        self._ledger = Ledger(parts.store, parts.task)
        self._releases = releases_of(parts.store)
        self._version = len(parts.store.events(STREAM))
        self._pending: list[ReleaseEvent] = []
        window_s = parts.settings.deadline_s
        self._exchanges = Exchanges(
            parts.store,
            parts.transport,
            parts.clock,
            self._record,
            window_s=window_s,
            limit_bytes=limit_bytes,
        )
        self._late = Late(
            parts.store,
            parts.transport,
            parts.clock,
            window_s=window_s,
            about=lambda phase: phase == TRIAL,
        )
        self._task_of = lru_cache(maxsize=4)(self._load)
        self.outdated = False
        """Whether the campaign has another task now than these parts."""

    @property
    def newest(self) -> ReleaseState:
        """The release that was proposed last; one that is not where there is none."""
        return newest_of(self._releases)

    @property
    def busy(self) -> bool:
        """Whether there is something to do that no person is waited for with."""
        return is_busy(self._store, self.newest)

    @property
    def hold(self) -> Rest | None:
        """Return why no round may begin now."""
        if self.outdated or self.newest.phase is Phase.APPROVED:
            return Rest(about=f"release {self.newest.number} is to be the task of the next round")
        return None

    def step(self, campaign: CampaignState) -> bool:
        """Take the open release a step further; return whether anything happened."""
        if self.outdated:
            return False
        if self._obeyed():
            return True
        state = self.newest
        if not state.number:
            return False
        trying = {(state.number, TRIAL)} if state.phase is Phase.TRYING else set[tuple[int, str]]()
        self._late.look(state.number + 1, trying, self._count_late)
        try:
            return self._take(state, campaign)
        except (StoreError, FencedError):
            self._pending = []
            raise
        except UnavailableError:
            self._pending = []
            return False
        except FieldvoteError as err:
            # what nobody can make sense of, or pay, goes no further; no device went by it
            self._pending = []
            self._append(RolledBack(round=state.number, by="rule", reason=str(err)))
            return True

    def _take(self, state: ReleaseState, campaign: CampaignState) -> bool:
        """Do what a release's phase asks for."""
        match state.phase:
            case Phase.PROPOSED | Phase.TRYING:
                return self._try(state)
            case Phase.APPROVED if not campaign.open:
                self._promote(state, campaign)
                return True
            case _:
                return False

    def _try(self, state: ReleaseState) -> bool:
        """Ask devices to vote in shadow; then judge."""
        before, after = self._task_of(state.parent_bundle), self._task_of(state.bundle)
        if not new_versions(before, after):
            self._judge(state, before, after)  # nothing is brought, so nothing need be tried
            return True
        exchange = state.exchange
        if exchange is not None and not exchange.open:
            self._judge(state, before, after)
            return True
        if exchange is not None and exchange.attempt > _PATIENCE:
            silent = set(self._store.expected(state.number, TRIAL)) - {COHORT}
            # who is away may come back; who is there and says nothing has refused
            if len(silent) == len(exchange.devices) and silent & set(
                self._parts.transport.devices()
            ):
                raise DataError("no device takes part: is it signed by the owner they trust?")
        if exchange is None and self._store.total(VOTES) is None:
            return False  # there are no votes to compare with before the first survey
        rest = self._exchanges.step(
            state,
            Question(
                name="trial",
                requests=lambda: trial_requests(
                    state,
                    load_bundle(self._store, state.bundle),
                    chosen(self._parts.training(), state, self._parts.settings.seed),
                ),
                count=lambda replies: self._count(state, replies),
                keeps=True,
                share=self._parts.settings.pace.minimum_share,
                least=1,
            ),
        )
        self._settle()
        return rest is None

    def _count(self, state: ReleaseState, replies: Mapping[DeviceId, bytes]) -> tuple[()]:
        """Add replies to the sums of their versions."""
        before, after = self._task_of(state.parent_bundle), self._task_of(state.bundle)
        brought = new_versions(before, after)
        came = self._parts.inbox.trials(
            state.number,
            replies,
            fits=lambda reply: can_try(
                reply,
                task=after.digest,
                functions=len(before.versions) + len(brought),
                brought=len(brought),
                classes=len(before.classes),
            ),
        )
        if came:
            self._store.add(_conduct(state), conduct_of(came, len(brought)).to_vector())
            self._ledger.file(sums_of(came, before, brought))
        return ()

    def _count_late(self, number: int, _: str, replies: Mapping[DeviceId, bytes]) -> None:
        self._count(self._releases[number], replies)

    def _judge(self, state: ReleaseState, before: Task, after: Task) -> None:
        """Write down what the trial came to, and what the rule makes of it."""
        limits = self._parts.settings.releases
        brought = new_versions(before, after)
        conduct = Conduct.from_vector(self._store.total(_conduct(state)), len(brought))
        report = judge(before, after, self._ledger.whole(), conduct, limits)
        with self._store.transaction():
            kept = self._store.keep_artifact(report.to_json())
            self._record(
                Tried(
                    round=state.number,
                    report=kept,
                    breaches=report.breaches,
                    doubts=report.doubts,
                )
            )
            if report.breaches:
                why = "; ".join(report.breaches)
                self._record(RolledBack(round=state.number, by="rule", reason=why))
            elif limits.auto == "promote" and not report.doubts:
                why = f"no limit is broken on {report.items} items"
                self._record(Approved(round=state.number, by="rule", reason=why))
        self._settle()

    def _promote(self, state: ReleaseState, campaign: CampaignState) -> None:
        """Make a release the campaign's task: its columns, its bundle, and nobody runs it yet."""
        after = self._task_of(state.bundle)
        with self._store.transaction():
            self._ledger.turn_to(after)
            move_on(self._store, state.parent, state.task)
            self._record(Promoted(round=state.number, after=campaign.last))
        self._settle()
        self.outdated = True

    def _obeyed(self) -> bool:
        """Do what people asked for since the last look. Return whether there was anything."""
        owed = [row for row in self._store.owed() if row.kind == RELEASE]
        for row in owed:
            try:
                event = self._event_of(ReleaseCommand.from_json(row.body))
            except (StoreError, FencedError):
                raise  # it stays asked for
            except FieldvoteError as err:
                self._say(f"a release was asked for and cannot be done: {err}")
                with self._store.transaction():
                    self._store.settle(row.key)
                continue
            self._append(event, settles=row.key)
        return bool(owed)

    def _event_of(self, command: ReleaseCommand) -> ReleaseEvent:
        """Return what a command comes to.

        Raises:
            InputError: it cannot be done.
        """
        if command.what == "propose":
            return self._proposed(command)
        check_command(self._releases, command)
        reason = command.reason or "asked for"
        if command.what == "promote":
            return Approved(round=command.number, by="person", reason=reason)
        return RolledBack(round=command.number, by="person", reason=reason)

    def _proposed(self, command: ReleaseCommand) -> Proposed:
        """Return the event that begins a release.

        Raises:
            InputError: it is none of the campaign's task.
        """
        before, after = (load_bundle(self._store, n) for n in (command.parent, command.bundle))
        parent = self._task_of(command.parent).digest
        if parent != self._parts.task.digest:
            raise InputError("the campaign has another task since it was proposed")
        version, task = check_proposal(self._store, before, after), self._task_of(command.bundle)
        # a device that was given it by hand may speak of it already
        keep_bundle(self._store, parent, command.parent)
        keep_bundle(self._store, task.digest, command.bundle)
        return Proposed(
            round=self.newest.number + 1,
            task=task.digest,
            parent=parent,
            bundle=command.bundle,
            parent_bundle=command.parent,
            version=version,
            share=command.share or self._parts.settings.releases.share,
        )

    def _load(self, artifact: str) -> Task:
        return task_in(load_bundle(self._store, artifact), "a release")

    def _record(self, event: ReleaseEvent) -> None:
        """Append an event inside the transaction a step holds."""
        version = self._version + len(self._pending)
        self._store.append(STREAM, version, *dump_event(event))
        self._pending.append(event)

    def _append(self, event: ReleaseEvent, settles: str = "") -> None:
        """Append an event in a transaction of its own."""
        try:
            with self._store.transaction():
                self._record(event)
                if settles:
                    self._store.settle(settles)
        except BaseException:
            self._pending = []
            raise
        self._settle()

    def _settle(self) -> None:
        """Move on by the events that are durable now."""
        pending, self._pending = self._pending, []
        for event in pending:
            before = self._releases.get(event.round, ReleaseState())
            after = advance(before, event)
            if after is before:
                raise InternalError(f"a step made a {type(event).__name__} that changes nothing")
            self._releases[event.round] = after
            self._version += 1
            if after.phase is not before.phase:
                why = f": {after.reason}" if after.reason else ""
                self._say(f"release {after.number}: {after.phase.value}{why}")


def _conduct(state: ReleaseState) -> str:
    """Return what the sum is called of what devices said of a trial beside the votes."""
    return f"trial {state.number}"
