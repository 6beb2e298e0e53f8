"""A simulated fleet: the agents, doors and coordinator of a deployment, rehearsed.

Only two things differ: entropy comes from a keyed stream, and the clock stands still.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from coordinator.app import GridTransport, build_server_app
from coordinator.inbox import Inbox
from coordinator.labels.desk import Desk, DeskKeys
from coordinator.models.shelf import Shelf
from coordinator.models.totals import Totals, shapes_of
from coordinator.rounds.machine import Evaluated, Labeled, Surveyed
from coordinator.rounds.scheduler import Progress, Scheduler
from coordinator.rounds.steps import Parts
from coordinator.settings import CampaignSettings
from coordinator.store.sqlite import Store
from edge.agent import Agent, AgentParts
from edge.app import build_client_app
from edge.items import row_payload, text_payload
from edge.labeling import CompiledFunctions
from edge.outbox import Outbox, Recipient
from edge.pool import Pool
from edge.scorer import Scorer
from fieldvote.records import DeviceId, MaskedItem
from fieldvote.rng import keyed_entropy, stream
from fieldvote.task import Task
from privacy.dp import Ledger, Limits
from privacy.pii import Redactor, Vocabulary
from privacy.sealing import SealingKey, SigningKey
from simulations.availability import online_devices
from simulations.dataset import Dataset
from simulations.engines.in_process import InProcessGrid, Traffic, run_in_process
from simulations.report import CurvePoint
from strategies.evaluation import Metric, score
from strategies.labeling import LabelModel

_FIRST_NODE = 1000  # device i of the data set is this node plus i
_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

Watch = Callable[[CurvePoint], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the devices of one rehearsal share, as phones of one make share a program.

    Attributes:
        task: The task they have installed.
        scorer: Its model, loaded once.
        functions: Its labeling functions, compiled once.
        redactor: Its redaction.
        vocabulary: The words that may leave.
    """

    task: Task
    scorer: Scorer
    functions: CompiledFunctions
    redactor: Redactor
    vocabulary: Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One campaign to rehearse.

    Attributes:
        dataset: All items.
        held_out: Which devices only evaluate. Shape (c,).
        shared: What every device runs.
        settings: What the coordinator is set to do.
        seed: Names every random decision.
        rounds: How many rounds; None stops at the score below, at an empty pool, or after 100.
        stop_at: The score that ends a campaign without a number of rounds.
        metric: How a head is judged.
        read: What an annotator answers from a masked item.
    """

    dataset: Dataset
    held_out: NDArray[np.bool_]
    shared: Shared
    settings: CampaignSettings
    seed: int
    rounds: int | None
    stop_at: float
    metric: Metric
    read: Callable[[MaskedItem], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a campaign came to.

    Attributes:
        curve: Labels and score by round.
        traffic: Bytes that crossed.
        spent: Bytes by kind, from the devices' own ledgers.
        candidates: Items shipped.
        cost: Price of all answers.
        shown: Every masked text an annotator saw.
        sent: Everything that crossed upwards, as it was on the wire.
        client_rounds: Devices that took part, summed over rounds.
        annotator_accuracy: Share of answers that were the true class, after masking.
        label_model: The label model at the end.
    """

    curve: tuple[CurvePoint, ...]
    traffic: Traffic
    spent: dict[str, int]
    candidates: int
    cost: float
    shown: tuple[str, ...]
    sent: tuple[bytes, ...]
    client_rounds: int
    annotator_accuracy: float
    label_model: LabelModel


_MOST_ROUNDS = 100


def run_campaign(plan: Plan, watch: Watch = lambda _: None) -> Outcome:
    """Rehearse one campaign from the first survey to the last evaluation."""
    with ExitStack() as stack:
        desk_keys = DeskKeys(
            labeling=SealingKey.generate(keyed_entropy(plan.seed, "labeling key")),
            signing=SigningKey.generate(keyed_entropy(plan.seed, "desk key")),
        )
        devices = _devices(plan, desk_keys, stack)
        store = Store(None, now=lambda: _NOON)
        stack.callback(store.close)
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="fieldvote-")))
        annotator = _Annotator(plan.read)
        sent: list[bytes] = []
        grid = InProcessGrid(
            client_app=build_client_app(
                lambda context: devices[DeviceId(context.node_id)].agent.handle
            ),
            nodes={int(device): {} for device in devices},
            tap=lambda _node, blob: sent.append(blob),
        )
        curve: list[CurvePoint] = []
        surveyed: list[int] = []
        found: list[LabelModel] = []

        def drive(transport: GridTransport) -> None:
            parts = Parts(
                task=plan.shared.task,
                settings=plan.settings,
                store=store,
                inbox=Inbox(store, shapes_of(plan.shared.task)),
                shelf=Shelf(folder),
                labeling=Desk(
                    desk_keys,
                    annotator,
                    task=plan.shared.task.digest,
                    classes=len(plan.shared.task.classes),
                    price=plan.settings.price,
                ),
                transport=transport,
            )
            surveyed.extend(_turn(plan, parts, curve, watch))
            found.append(Totals(store, plan.shared.task, plan.settings).label_model())

        run_in_process(build_server_app(lambda transport, _: drive(transport)), grid)
        _, cost = store.labels()
        return Outcome(
            curve=tuple(curve),
            traffic=grid.traffic,
            spent=_spent([device.ledger for device in devices.values()]),
            candidates=sum(device.ledger.spent.candidates for device in devices.values()),
            cost=round(cost, 6),
            shown=tuple(annotator.shown),
            sent=tuple(sent),
            client_rounds=sum(surveyed),
            annotator_accuracy=annotator.accuracy(_truth(plan)),
            label_model=found[0],
        )


def _turn(plan: Plan, parts: Parts, curve: list[CurvePoint], watch: Watch) -> list[int]:
    """Turn rounds until the plan says stop. Return how many devices took part in each."""
    labels = 0

    def look(progress: Progress) -> None:
        nonlocal labels
        match progress.event:
            case Labeled(answers=answers):
                labels += answers
            case Evaluated(held_out=counts):
                k = len(plan.shared.task.classes)
                value = score(plan.metric, np.array(counts, dtype=np.int64).reshape(k, k))
                curve.append(
                    CurvePoint(round=progress.state.number, labels=labels, metric=round(value, 6))
                )
                watch(curve[-1])

    def cohort(number: int, training: Sequence[DeviceId]) -> list[DeviceId]:
        share = plan.settings.surveyed_share
        online = online_devices(plan.seed, number, len(training), share)
        return [training[place] for place in online]

    scheduler = Scheduler(parts, cohort=cohort, watch=look)
    scheduler.greet()
    while not _over(plan, curve):
        scheduler.run_round()
    return [event.replies for event in scheduler.events if isinstance(event, Surveyed)]


def _over(plan: Plan, curve: list[CurvePoint]) -> bool:
    """Return whether the campaign has come to its end."""
    if plan.rounds is not None and len(curve) >= plan.rounds:
        return True
    training_items = int((~plan.held_out[plan.dataset.device]).sum())
    if curve and curve[-1].labels >= training_items:
        return True
    if plan.rounds is not None or len(curve) < 3:
        return False
    recent = sum(point.metric for point in curve[-3:]) / 3
    return recent >= plan.stop_at or len(curve) >= _MOST_ROUNDS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Device:
    """One simulated device and its account."""

    agent: Agent
    ledger: Ledger
    evaluates: bool


def _devices(plan: Plan, desk: DeskKeys, stack: ExitStack) -> dict[DeviceId, _Device]:
    """Set every device of the data set up with its own pool, keys and ledger."""
    fleet = {}
    for number in range(plan.dataset.devices):
        pool = Pool(None)
        stack.callback(pool.close)
        fleet[DeviceId(_FIRST_NODE + number)] = _device(plan, number, pool, desk)
    return fleet


def _device(plan: Plan, number: int, pool: Pool, desk: DeskKeys) -> _Device:
    """Fill one pool and put an agent in front of it."""
    rows = np.flatnonzero(plan.dataset.device == number)
    evaluates = bool(plan.held_out[number])
    pool.add(
        _item_ids(plan, number, len(rows)),
        payloads_of(plan.dataset, rows),
        gold=[int(label) for label in plan.dataset.labels[rows]] if evaluates else None,
    )
    shared, limits = plan.shared, plan.shared.task.policy.limits
    ledger = Ledger(
        pool, Limits(candidates=limits.candidates, size_bytes=limits.size_bytes), lambda: _NOON
    )
    outbox = Outbox(
        shared.task,
        ledger=ledger,
        redactor=shared.redactor,
        vocabulary=shared.vocabulary,
        signer=SigningKey.generate(keyed_entropy(plan.seed, "signing key", number)),
        recipient=Recipient(labeling_key=desk.labeling.public, context=shared.task.digest.encode()),
    )
    agent = Agent(
        AgentParts(
            task=shared.task,
            pool=pool,
            scorer=shared.scorer,
            functions=shared.functions,
            outbox=outbox,
            sealing_key=SealingKey.generate(keyed_entropy(plan.seed, "sealing key", number)),
            desk_key=desk.signing.public,
            sketch_seed=int.from_bytes(keyed_entropy(plan.seed, "fleet secret")(8), "big"),
            evaluates=evaluates,
            rng=lambda purpose, round_number: stream(plan.seed, purpose, number, round_number),
        )
    )
    return _Device(agent=agent, ledger=ledger, evaluates=evaluates)


def _item_ids(plan: Plan, number: int, count: int) -> list[bytes]:
    """Return the random ids of a device's items."""
    naming = keyed_entropy(plan.seed, "item ids", number)
    return [naming(16) for _ in range(count)]


def _truth(plan: Plan) -> dict[bytes, int]:
    """Return the true class of every item by id, which only a rehearsal knows."""
    truth: dict[bytes, int] = {}
    for number in range(plan.dataset.devices):
        labels = plan.dataset.labels[plan.dataset.device == number]
        ids = _item_ids(plan, number, len(labels))
        truth.update(zip(ids, labels.tolist(), strict=True))
    return truth


def payloads_of(dataset: Dataset, rows: NDArray[np.int64]) -> list[bytes]:
    """Return items of a data set as pools keep them."""
    if dataset.texts is not None:
        return [text_payload(dataset.texts[row]) for row in rows]
    assert dataset.features is not None  # noqa: S101  # a data set has one of the two
    return [row_payload(dataset.features[row]) for row in rows]


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


def _spent(ledgers: Sequence[Ledger]) -> dict[str, int]:
    """Return bytes by kind over all devices."""
    total: dict[str, int] = {}
    for ledger in ledgers:
        for kind, spent in ledger.spent.by_kind.items():
            total[kind] = total.get(kind, 0) + spent.size_bytes
    return total
