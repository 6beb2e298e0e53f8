"""Driving a campaign over a transport: one coordinator leads, any others stand by."""

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

from coordinator.admission import Admission
from coordinator.delivery import Delivery, Parcel
from coordinator.inbox import Inbox
from coordinator.keys.online import online_keys
from coordinator.labels.desk import Elsewhere
from coordinator.models.shelf import Shelf
from coordinator.models.totals import shapes_of
from coordinator.pulse import Pulse
from coordinator.releases.ledger import Ledger
from coordinator.releases.tasks import TASK, current_task, kept_bundle
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.clock import Clock, SteadyClock
from coordinator.rounds.events import Abandoned, Evaluated, Quarantined, Refused, Resolved, Trained
from coordinator.rounds.gate import right_of
from coordinator.rounds.parts import Parts
from coordinator.rounds.scheduler import Progress, Scheduler
from coordinator.secured import secured
from coordinator.service import CoordinatorSettings, check_task, open_store
from coordinator.store.campaign import Store
from coordinator.store.leases import Lease
from coordinator.transport import Transport
from fieldvote.bundle import TARGETS_FILE, unpack
from fieldvote.errors import FencedError, RefusalError, StoreBusyError, UnavailableError
from fieldvote.task import Task

LEASE_S = 12.0
_RENEWALS = 4  # in the life of a lease
_IDLE_S = 1.0
_WAITED = timedelta(seconds=0.3)  # a look for replies lasts longer where it finds none


def drive(
    config: Path,
    transport: Transport,
    pulse: Pulse,
    *,
    courier: Callable[[], Transport] | None = None,
    clock: Clock | None = None,
    lease_s: float = LEASE_S,
) -> None:
    """Turn the campaign's rounds over a transport, from where it stands to its last round.

    Stands by while another coordinator leads the campaign, and waits for the quorum, and whenever
    nobody answers: a fleet comes and goes.

    Args:
        config: The coordinator's file.
        transport: How devices are asked.
        pulse: Takes the lines people read.
        courier: Makes a transport for a thread that brings the task to devices that run another;
            without one they are left as they are.
        clock: The time.
        lease_s: How long after its death a leader is replaced.

    Raises:
        InputError: the campaign is about another task.
        FencedError: another coordinator took the lead: this one had been silent for too long.
    """
    clock = clock or SteadyClock()
    settings = CoordinatorSettings.load(config)
    task = Task.load(Path(settings.task))
    with suppress(StoreBusyError):  # whoever is writing made the store; we look again when we lead
        check_task(settings, task)
    with _leading(settings, pulse, clock, lease_s) as lease, closing(open_store(settings)) as store:
        check_task(settings, task)
        store = store.guarded_by(lease)
        while True:
            task = current_task(store, task)
            parcel, delivery = _parcel(settings, store, task, pulse), None
            keys = online_keys(
                settings.keys,
                store,
                targets=parcel.targets if parcel else None,
                family=task.family,
                now_s=_seconds_of(clock),
                say=pulse,
            )
            admission = _admission(settings, store, pulse)
            if courier:
                delivery = Delivery(parcel, courier, pulse.aside)
            scheduler = Scheduler(
                Parts(
                    task=task,
                    settings=settings.campaign,
                    store=store,
                    inbox=Inbox(
                        store,
                        shapes_of(task),
                        earlier=Ledger(store, task),
                        admission=admission,
                    ),
                    shelf=Shelf(store),
                    labeling=Elsewhere(),
                    transport=secured(
                        transport,
                        store,
                        task.policy.cohort,
                        now=clock.now,
                        admits=admission.holds if admission else lambda _: True,
                    ),
                    answers_wait_s=settings.answers_wait_s,
                    clock=clock,
                    keys=keys,
                ),
                watch=lambda progress: _tell(pulse, progress),
                say=pulse.aside,
                quorum=settings.quorum,
                rounds=settings.rounds,
                updates=delivery,
            )
            pulse(_standing(scheduler.campaign, settings))
            try:
                _turn(scheduler, pulse, clock)
            finally:
                if delivery:
                    delivery.close()
            if not scheduler.outdated:
                return
            pulse(f"a release was promoted: on with task {(store.note(TASK) or '')[:12]}")


def _seconds_of(clock: Clock) -> Callable[[], float]:
    """Return a clock as what is signed goes by: seconds since 1970."""
    return lambda: clock.now().timestamp()


def _admission(settings: CoordinatorSettings, store: Store, pulse: Pulse) -> Admission | None:
    """Return who keeps the door; None where every device is met."""
    if settings.enrolment is None:
        return None
    return Admission(
        settings.enrolment,
        store,
        campaign=settings.campaign.name,
        now=lambda: datetime.now(UTC),
        entropy=os.urandom,
        say=pulse.aside,
    )


def _turn(scheduler: Scheduler, pulse: Pulse, clock: Clock) -> None:
    """Turn rounds until the last is over, or until they are about another task."""
    while not scheduler.finished and not scheduler.outdated:
        began = clock.now()
        rest = scheduler.turn()
        if rest is not None:
            # what is waited for, not how much of it is there already, makes it another wait
            pulse.waiting(f"waiting: {rest.about}", about=rest.about.partition(":")[2][:12])
            # a sum has many legs: to sleep after each look for replies would double them
            if clock.now() - began < _WAITED:
                clock.sleep(_IDLE_S)


@contextmanager
def _leading(
    settings: CoordinatorSettings, pulse: Pulse, clock: Clock, lease_s: float
) -> Iterator[Lease]:
    """Lead the campaign, as soon as nobody else does, until the block ends."""
    name = f"campaign {settings.campaign.name}"
    # a connection of its own: the lease is renewed while a long step holds the other
    with closing(open_store(settings)) as store:
        while True:
            try:
                lease = Lease.acquire(
                    store.database, name, _holder(os.getpid()), lease_s, is_gone=_is_gone
                )
                break
            except (FencedError, StoreBusyError) as err:
                # a leader that hangs inside a transaction holds the store, and leads still
                pulse.waiting(f"standing by: {err}", about="lead")
                clock.sleep(_IDLE_S)
        stop = Event()
        heart = Thread(target=_renew, args=(lease, stop), name="lease", daemon=True)
        heart.start()
        try:
            yield lease
        finally:
            stop.set()
            heart.join(lease_s)
            with suppress(UnavailableError):  # it runs out by itself
                lease.release()


def _holder(pid: int | str) -> str:
    """Return what a process of this machine is called when it leads."""
    try:
        # containers may share a machine's name and a file, and do not see each other's processes
        seen = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        seen = 0
    return f"{socket.gethostname()}, process {pid} of {seen}"


def _is_gone(holder: str) -> bool:
    """Return whether a holder was a process that we would see if it were still there.

    In doubt it lives, as when its number was given to another process: its lease runs out by
    itself, and of two who think that they lead the token lets one write.
    """
    found = re.search(r", process ([1-9]\d*) of ", holder)
    if found is None or holder != _holder(found[1]):
        return False
    try:
        os.kill(int(found[1]), 0)  # asks whether it is there, and does nothing to it
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False  # another user's
    return False


def _renew(lease: Lease, stop: Event) -> None:
    """Keep the lease until told to stop, or until it is another's."""
    while not stop.wait(lease.ttl_s / _RENEWALS):
        try:
            lease.renew()
        except FencedError:
            return  # the next write says so where it can be heard
        except UnavailableError:
            continue


def _parcel(settings: CoordinatorSettings, store: Store, task: Task, pulse: Pulse) -> Parcel | None:
    """Return the campaign's task as it is delivered, if it can be: as it was signed last."""
    folder, kept = Path(settings.task), kept_bundle(store, task.digest)
    found: list[Parcel] = []
    try:
        if kept is not None and TARGETS_FILE in unpack(kept.content):
            found.append(Parcel.of(kept, task.name))
        parcel = Parcel.load(folder, task) if Task.load(folder).digest == task.digest else None
        if parcel is not None:
            found.append(parcel)
    except RefusalError as err:
        pulse(f"the task is not delivered to any device: {err}; sign it again")
        return None
    return max(found, key=lambda each: each.version, default=None)


def _standing(campaign: CampaignState, settings: CoordinatorSettings) -> str:
    """Return what is driven, and from where."""
    name, rounds = settings.campaign.name, settings.rounds
    if not campaign.last:
        return f"campaign {name}: begins, {rounds} rounds"
    phase = campaign.newest.phase.value
    return f"campaign {name}: goes on at round {campaign.last} of {rounds}, {phase}"


def _tell(pulse: Pulse, progress: Progress) -> None:
    """Say what happened, if a person would want to know."""
    line = f"round {progress.state.number}: {progress.state.phase.value}"
    match progress.event:
        case Resolved(answers=answers, labels=labels, cost=cost):
            told = f"{labels} labels from " if labels != answers else ""
            pulse(f"{line}, {told}{answers} answers for {cost:.2f}")
        case Trained(model=model, exchanges=exchanges):
            pulse(f"{line}, model {model[:12]} after {exchanges} exchanges")
        case Evaluated(held_out=held_out, random_arm=random_arm):
            pulse(f"{line}, held-out {_share(held_out)}, random arm {_share(random_arm)}")
        case Refused(reason=reason) | Abandoned(reason=reason) | Quarantined(reason=reason):
            pulse(f"{line}: {reason}")
        case _ if progress.moved:
            pulse(line)
        case _:
            pass


def _share(counts: tuple[int, ...]) -> str:
    """Return how many of these confusion counts are right."""
    right, items = right_of(counts)
    return f"{right} of {items} right"
