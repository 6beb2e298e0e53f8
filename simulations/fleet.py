"""A campaign on a simulated fleet, from the first survey to the last evaluation.

Coordinator and devices are those of a deployment; an engine says where the devices are.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from coordinator.inbox import Inbox
from coordinator.labels.desk import Desk, Seat
from coordinator.models.shelf import Shelf
from coordinator.models.totals import label_model_of, shapes_of
from coordinator.rounds.campaign import STREAM, load_state
from coordinator.rounds.events import (
    Evaluated,
    Event,
    Planned,
    Resolved,
    Selected,
    Watched,
    load_event,
)
from coordinator.rounds.parts import Parts
from coordinator.rounds.scheduler import Progress, Scheduler
from coordinator.rounds.steering import Steering
from coordinator.secured import secured
from coordinator.settings import CampaignSettings, InputSettings
from coordinator.store.campaign import Store, open_store
from coordinator.transport import Transport
from fieldvote.heads import HeadModel
from fieldvote.records import DeviceId, MaskedItem
from simulations.availability import online_devices
from simulations.devices import NOON, desk_keys
from simulations.engines.seam import Account, Carry
from simulations.population import Population
from simulations.report import CurvePoint
from strategies.evaluation import Metric, score
from strategies.labeling import LabelModel

_MOST_ROUNDS = 100

Watch = Callable[[CurvePoint], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One campaign to rehearse.

    Attributes:
        population: The devices and what they hold.
        settings: What the coordinator is set to do.
        rounds: How many rounds; None stops at the score below, at an empty pool, or after 100.
        stop_at: The score that ends a campaign without a number of rounds.
        metric: How a head is judged.
        read: What an annotator answers from a masked item.
        judge: What a head is worth, where what devices count holds noise; None reads the counts.
    """

    population: Population
    settings: CampaignSettings
    rounds: int | None
    stop_at: float
    metric: Metric
    read: Callable[[MaskedItem], int]
    judge: Callable[[HeadModel], float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a campaign came to.

    Attributes:
        curve: Labels and score by round.
        account: What the devices gave away.
        cost: Price of all answers.
        shown: Every masked text an annotator saw.
        client_rounds: Devices that took part, summed over rounds.
        annotator_accuracy: Share of answers that were the true class, after masking.
        label_model: The label model at the end.
        inputs: What the newest head is trained on.
        steering: What the campaign steered by at the end.
        alarms: Rounds in which new items were found to be unlike those before.
        aimed: Rounds that were aimed at such items.
    """

    curve: tuple[CurvePoint, ...]
    account: Account
    cost: float
    shown: tuple[str, ...]
    client_rounds: int
    annotator_accuracy: float
    label_model: LabelModel
    inputs: InputSettings
    steering: Steering = field(default_factory=Steering)
    alarms: tuple[int, ...] = ()
    aimed: tuple[int, ...] = ()


def run_campaign(plan: Plan, carry: Carry, watch: Watch = lambda _: None) -> Outcome:
    """Rehearse one campaign on devices that an engine sets up and reaches."""
    task = plan.population.shared.task
    with ExitStack() as stack:
        clock = _Clock()
        store = open_store(None, now=clock.now)
        stack.callback(store.close)
        annotator = _Annotator(plan.read)
        curve: list[CurvePoint] = []
        surveyed: list[int] = []
        found: list[LabelModel] = []
        inputs: list[InputSettings] = []

        def drive(transport: Transport) -> None:
            parts = Parts(
                task=task,
                settings=plan.settings,
                store=store,
                inbox=Inbox(store, shapes_of(task)),
                shelf=Shelf(store),
                labeling=Desk(
                    desk_keys(plan.population.seed),
                    Seat(annotator=annotator),
                    settings=plan.settings,
                    task=task.family,
                    classes=len(task.classes),
                ),
                transport=secured(transport, store, task.policy.cohort, now=clock.now),
                clock=clock,
            )
            surveyed.extend(_turn(plan, parts, curve, watch))
            kept = load_state(store)[1].newest.label_model
            found.append(label_model_of(store, task, kept=kept))
            inputs.append(_inputs(parts))

        account = carry(drive)
        _, cost = store.paid()
        return Outcome(
            curve=tuple(curve),
            account=account,
            cost=round(cost, 6),
            shown=tuple(annotator.shown),
            client_rounds=sum(surveyed),
            annotator_accuracy=annotator.accuracy(plan.population.truth()),
            label_model=found[0],
            inputs=inputs[0],
            steering=load_state(store)[1].steering,
            alarms=tuple(e.round for e in _events(store) if isinstance(e, Watched) and e.fired),
            aimed=tuple(
                e.round for e in _events(store) if isinstance(e, Planned) and e.kind == "drift"
            ),
        )


def _inputs(parts: Parts) -> InputSettings:
    """Return what the newest head is trained on, the campaign's own choice in it."""
    model = load_state(parts.store)[1].model
    if not model:
        return parts.settings.inputs
    head = parts.shelf.get(model)
    return replace(
        parts.settings.inputs, recentre=head.recentre, smooth=head.smooth, fourier=head.fourier
    )


def _events(store: Store) -> list[Event]:
    """Return everything that happened, oldest first."""
    return [load_event(*row) for row in store.events(STREAM)]


def _turn(plan: Plan, parts: Parts, curve: list[CurvePoint], watch: Watch) -> list[int]:
    """Turn rounds until the plan says stop. Return how many devices took part in each."""
    labels = 0

    def look(progress: Progress) -> None:
        nonlocal labels
        match progress.event:
            case Resolved(answers=answers):
                labels += answers
            case Evaluated(held_out=counts):
                k = len(plan.population.shared.task.classes)
                value = score(plan.metric, np.array(counts, dtype=np.int64).reshape(k, k))
                if plan.judge is not None:
                    value = plan.judge(parts.shelf.get(progress.state.model))
                curve.append(
                    CurvePoint(round=progress.state.number, labels=labels, metric=round(value, 6))
                )
                watch(curve[-1])

    def cohort(number: int, training: Sequence[DeviceId]) -> list[DeviceId]:
        share = max(plan.settings.surveyed_share, parts.least_asked / len(training))
        online = online_devices(plan.population.seed, number, len(training), share)
        return [training[place] for place in online]

    scheduler = Scheduler(parts, cohort=cohort, watch=look)
    while not _over(plan, curve) and not scheduler.campaign.steering.stopped:
        scheduler.run_round()
    return [event.replies for event in scheduler.events if isinstance(event, Selected)]


def _over(plan: Plan, curve: list[CurvePoint]) -> bool:
    """Return whether the campaign has come to its end."""
    if plan.rounds is not None and len(curve) >= plan.rounds:
        return True
    held_out, dataset = plan.population.held_out, plan.population.dataset
    training_items = int((~held_out[dataset.device]).sum())
    if curve and curve[-1].labels >= training_items:
        return True
    if plan.rounds is not None or len(curve) < 3:
        return False
    recent = sum(point.metric for point in curve[-3:]) / 3
    return recent >= plan.stop_at or len(curve) >= _MOST_ROUNDS


class _Clock:
    """A clock on which no time passes but while somebody waits."""

    def __init__(self) -> None:
        """Begin at noon."""
        self._now = NOON

    def now(self) -> datetime:
        """Return the time."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self._now += timedelta(seconds=seconds)


class _Annotator:
    """Answers by reading, and remembers what was shown for the leak count."""

    def __init__(self, read: Callable[[MaskedItem], int]) -> None:
        """Read with this function."""
        self._read = read
        self.shown: list[str] = []
        self._answers: dict[bytes, int] = {}

    def answer(self, item: MaskedItem) -> int | None:
        """Return the class that is read."""
        self.shown.append(item.text)
        self._answers[item.item] = self._read(item)
        return self._answers[item.item]

    def accuracy(self, truth: Mapping[bytes, int]) -> float:
        """Return the share of answers that were true; 1 where none was asked for."""
        right = sum(truth[item] == label for item, label in self._answers.items())
        return round(right / max(len(self._answers), 1), 6) if self._answers else 1.0
