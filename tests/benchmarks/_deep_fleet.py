"""A data set cut into devices that train one network, every true label known; and its central twin.

Both sides run the device's own code: the same signed step, the same batches, the same rounding. The
central twin is one device that holds what all training devices hold together.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from coordinator.deep_settings import DeepSettings
from edge.items import model_inputs
from edge.learning.deep import Material, Visit, train
from edge.learning.network import Network
from fieldvote.rng import stream
from fieldvote.training import Drill
from fieldvote.training_limits import TrainingLimits
from simulations.network_settings import NetworkSettings
from simulations.population import payloads_of, populate
from simulations.scenario import Scenario
from strategies.aggregation.adaptive import advance, begin
from strategies.aggregation.buffered import Buffer, take_in
from strategies.aggregation.deep_update import DeepUpdate, deep_update
from strategies.evaluation import choose_metric, confusion, score

Vector = NDArray[np.int64]


@dataclass
class _Notes:
    """What a device remembers, in memory."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def note(self, name: str) -> bytes | None:
        """Return a value."""
        return self.kept.get(name)

    def keep_note(self, name: str, value: bytes) -> None:
        """Keep a value."""
        self.kept[name] = value


class _Well:
    """A device that is short of nothing."""

    def battery_percent(self) -> None:
        """Have no battery."""

    def celsius(self) -> None:
        """Have no thermometer."""

    def memory_bytes(self) -> None:
        """Count no memory."""


VISIT = Visit(
    limits=TrainingLimits(seconds=1e9), notes=_Notes(), readings=_Well(), clock_s=lambda: 0.0
)


@dataclass(frozen=True, kw_only=True)
class DeepFleet:
    """Devices with lessons, and the items a network is judged by.

    Attributes:
        network: What all of them train.
        devices: What each training device learns from.
        pooled: The same as if one device held it all.
        judge: Returns the score of weights on the held-out devices, in points.
    """

    network: Network
    devices: list[Material]
    pooled: Material
    judge: Callable[[Vector], float]

    @classmethod
    def of(cls, name: str, settings: NetworkSettings, *, seed: int) -> "DeepFleet":
        """Cut a scenario's data into devices and draw a network for them."""
        scenario = replace(Scenario.load(name), learner="deep", network=settings, functions="")
        population = populate(scenario, seed)
        data, network = population.dataset, population.shared.scorer.network
        assert network is not None  # a deep scenario's task has one
        rows = np.arange(len(data.labels))
        seen = model_inputs(payloads_of(data, rows), population.shared.task.input)
        held_out, classes = population.held_out[data.device], len(data.classes)
        metric = choose_metric(data.labels, classes, text=data.texts is not None)

        def material(chosen: NDArray[np.int64]) -> Material:
            return Material(
                inputs=seen[chosen],
                targets=np.eye(classes, dtype=np.float32)[data.labels[chosen]],
                weights=np.ones(len(chosen), np.float32),
                gates=np.ones(len(chosen), np.float32),
            )

        def judge(vector: Vector) -> float:
            predicted = network.probabilities(vector, seen[held_out]).argmax(axis=1)
            return 100 * score(metric, confusion(data.labels[held_out], predicted, classes))

        training = rows[~held_out]
        return cls(
            network=network,
            devices=[
                material(training[data.device[training] == device])
                for device in np.unique(data.device[training])
            ],
            pooled=material(training),
            judge=judge,
        )


def drill(settings: DeepSettings, seed: int) -> Drill:
    """Return one exchange's drill."""
    return Drill(
        batch=settings.batch,
        rate=settings.rate,
        clip=settings.clip,
        clip_norm=settings.clip_norm,
        proximal=settings.proximal,
        seed=seed,
    )


def across(
    fleet: DeepFleet, settings: DeepSettings, *, exchanges: int, epochs: int
) -> Iterator[Vector]:
    """Yield the network after each exchange with all devices."""
    state = begin(fleet.network.first, settings.rates)
    for step in range(exchanges):
        total = DeepUpdate.empty(fleet.network.form.size)
        for held in fleet.devices:
            total = total + _moved(fleet, state.point, held, settings, step, epochs)
        state = advance(state, total, server=settings.server_optimizer, rates=settings.rates)
        yield state.point


def central(fleet: DeepFleet, settings: DeepSettings, *, epochs: int) -> Iterator[Vector]:
    """Yield the network after each epoch over all lessons in one place."""
    point = fleet.network.first
    for epoch in range(epochs):
        point = train(
            fleet.network, point, fleet.pooled, drill(settings, epoch), epochs=1, visit=VISIT
        )
        yield point


def buffered(
    fleet: DeepFleet, settings: DeepSettings, *, moves: int, epochs: int, goal: int
) -> Iterator[Vector]:
    """Yield the network after each full buffer; half the devices take four times as long."""
    state, buffer = begin(fleet.network.first, settings.rates), None
    buffer = Buffer(held=DeepUpdate.empty(fleet.network.form.size))
    rng = stream(1, "arrivals")
    takes = np.where(np.arange(len(fleet.devices)) % 2, 4.0, 1.0)
    due = takes * rng.uniform(0.5, 1.5, len(takes))
    began = [(0, state.point)] * len(takes)
    for move in range(moves):
        device = int(due.argmin())
        step, point = began[device]
        update = _moved(fleet, point, fleet.devices[device], settings, move, epochs)
        before = buffer.steps
        buffer, state = take_in(
            buffer, state, update, began=step, goal=goal, server=settings.server_optimizer,
            rates=settings.rates,
        )  # fmt: skip
        began[device] = (buffer.steps, state.point)
        due[device] += takes[device] * rng.uniform(0.5, 1.5)
        if buffer.steps > before:
            yield state.point


def _moved(
    fleet: DeepFleet, point: Vector, held: Material, settings: DeepSettings, seed: int, epochs: int
) -> DeepUpdate:
    """Return what one device's visit comes to."""
    after = train(fleet.network, point, held, drill(settings, seed), epochs=epochs, visit=VISIT)
    return deep_update(point, after, weight=float(len(held)), clip=settings.clip)


def settled(points: Iterator[Vector], judge: Callable[[Vector], float], last: int) -> float:
    """Return the mean score of the last few networks: one alone is a matter of luck."""
    kept = list(points)[-last:]
    return float(np.mean([judge(point) for point in kept]))
