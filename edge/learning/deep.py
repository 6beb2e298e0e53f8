"""Training the task's own network on this device's lessons: one visit, from weights to weights.

A visit goes through the lessons some epochs long, in an order that follows from the seed. How many
samples are taken at once is measured the first time and remembered, so the same device does the
same sums the next time. Where the device is short of battery or too warm, it stops between two
steps, keeps where it is, and goes on from there, to the same bits, when it is asked again; so does
one that was switched off. When its time is up, what it has learnt so far counts.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.learning.lessons import Lessons
from edge.learning.network import Network
from edge.learning.readings import KernelReadings, Readings, why_not
from edge.learning.step_runner import FloatArray, StepRunner, shuffled
from edge.model_guard.step_run import LARGEST_STEP
from edge.model_guard.steps import ANCHOR, CLIP_NORM, PROXIMAL, TARGET, WEIGHT
from fieldvote.codec import FloatVector, IntVector, decode, encode
from fieldvote.errors import InputError, UnavailableError, WireError
from fieldvote.training import MOST_BATCH, Drill
from fieldvote.training_limits import TrainingLimits

MOST_EPOCHS = 1000
_UNDER_WAY, _ROWS = "training under way", "rows at once "
_KEPT_EVERY_S = 5.0
_LOOKED_EVERY_S = 1.0
_LEAST_ROWS = 8
_TIMED = 2
_MB = 2**20


class Notes(Protocol):
    """What a device remembers; its pool does."""

    def note(self, name: str) -> bytes | None:
        """Return a small value kept under this name."""

    def keep_note(self, name: str, value: bytes) -> None:
        """Keep a small value under this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a visit may cost, and what it goes by.

    Attributes:
        limits: Of time, memory, battery and heat.
        readings: How the device is doing.
        notes: Where it remembers how far it was.
        clock_s: Only goes forward; one that stands still measures nothing.
    """

    limits: TrainingLimits
    notes: Notes
    readings: Readings = field(default_factory=KernelReadings)
    clock_s: Callable[[], float] = time.perf_counter


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """The lessons of a visit as the step is fed them.

    Attributes:
        inputs: What the network sees. Shape (n, width).
        targets: Shape (n, k).
        weights: Shape (n,).
        gates: Shape (n,).
    """

    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    gates: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of lessons, n."""
        return len(self.weights)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnderWay:
    """A visit that was interrupted.

    Attributes:
        about: Digest of what was asked and of the lessons it was asked about.
        steps: Steps made.
        moving: All that moves, one after the other; float32 numbers exactly.
    """

    about: bytes
    steps: int
    moving: FloatVector


_KINDS: dict[int, type] = {1: UnderWay}


def material_of(
    network: Network,
    lessons: Lessons,
    inputs: NDArray[np.float32],
    second: Callable[[], NDArray[np.float32]],
) -> Material:
    """Return lessons as the step is fed them.

    Where the step has no gate and trains more than the head, lessons that are sure enough for the
    head alone are left out: they would teach what lies below.

    Args:
        network: What is taught.
        lessons: What teaches.
        inputs: What the model is fed for each item of the pool. Shape (pool, width).
        second: Returns the same for the items' second views.
    """
    weights, gates = lessons.weights, lessons.gates
    if not network.form.gate and not network.head_only:
        weights = np.where(gates >= 1.0, weights, 0.0)
    rows = np.flatnonzero(weights > 0)
    places = lessons.positions[rows]
    seen = np.array(inputs[places], dtype=np.float32)
    if lessons.second[rows].any():
        seen[lessons.second[rows]] = second()[places[lessons.second[rows]]]
    return Material(
        inputs=seen,
        targets=lessons.targets[rows].astype(np.float32),
        weights=weights[rows].astype(np.float32),
        gates=gates[rows].astype(np.float32),
    )


def train(
    network: Network,
    start: IntVector,
    material: Material,
    drill: Drill,
    *,
    epochs: int,
    visit: Visit,
) -> IntVector:
    """Return the weights after one visit. Shape (p,).

    Args:
        network: What is trained.
        start: Its weights. Shape (p,).
        material: What teaches.
        drill: How.
        epochs: How often each lesson is taken.
        visit: What it may cost.

    Raises:
        ShapeError, InputError: what was asked is not for this network, or too much.
        UnavailableError: the device does not train now; it remembers how far it was.
    """
    _refuse(drill, epochs, network)
    if why := why_not(visit.limits, visit.readings):
        raise UnavailableError(f"training waits: {why}")
    if not len(material):
        network.weights(start)
        return start
    runner = network.runner(start)
    feeds = _Feeds(network, material, drill, anchors=network.weights(start))
    _choose_rows(network, runner, feeds, drill, visit)
    about = _digest(start, material, drill, epochs)
    skip = _taken_up(runner, visit.notes, about)
    began = looked = kept = visit.clock_s()
    for done, rows in enumerate(_batches(len(material), drill, epochs), start=1):
        if done <= skip:
            continue
        try:
            runner.step(feeds.of(rows), rate=drill.rate * feeds.share(rows))
        except InputError:
            if done == 1:
                raise  # not the step's doing: these weights or lessons are none
            break  # it went too far: what was learnt before counts
        now = visit.clock_s()
        if now - began > visit.limits.seconds:
            break
        if now - looked > _LOOKED_EVERY_S:
            looked = now
            if why := why_not(visit.limits, visit.readings):
                _keep(runner, visit.notes, about, done)
                raise UnavailableError(f"training waits: {why}")
        if now - kept > _KEPT_EVERY_S:
            kept = now
            _keep(runner, visit.notes, about, done)
    return _over(network, runner, visit.notes, start)


def _batches(n: int, drill: Drill, epochs: int) -> Iterator[NDArray[np.int64]]:
    """Yield the lessons of every step of a visit."""
    for epoch in range(epochs):
        yield from shuffled(n, drill.batch, seed=drill.seed, epoch=epoch)


class _Feeds:
    """Batches as the step takes them."""

    def __init__(
        self, network: Network, material: Material, drill: Drill, *, anchors: dict[str, FloatArray]
    ) -> None:
        """Gather what goes with every batch."""
        self._material, self._gate = material, network.form.gate
        self._input = network.input
        terms = network.terms
        self._always: dict[str, NDArray[np.float32]] = {}
        if "clip" in terms:
            self._always[CLIP_NORM] = np.asarray(drill.clip_norm, np.float32)
        if "proximal" in terms:
            self._always[PROXIMAL] = np.asarray(drill.proximal, np.float32)
            self._always |= {f"{ANCHOR}{name}": array for name, array in anchors.items()}

    def __len__(self) -> int:
        """Return the number of lessons."""
        return len(self._material)

    def share(self, rows: NDArray[np.int64]) -> float:
        """Return what a batch weighs, relative to as many ordinary lessons.

        A step divides by what its batch weighs. Undone by the rate, this lets a batch of doubtful
        lessons move the weights as little as they weigh, whoever else is in it.
        """
        weights = self._material.weights
        return float(weights[rows].mean(dtype=np.float64) / weights.mean(dtype=np.float64))

    def of(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
        """Return the batch of these lessons."""
        held = self._material
        feed: dict[str, NDArray[np.generic]] = {
            self._input: held.inputs[rows],
            TARGET: held.targets[rows],
            WEIGHT: held.weights[rows],
            **self._always,
        }
        if self._gate:
            feed[self._gate] = held.gates[rows]
        return feed


def _refuse(drill: Drill, epochs: int, network: Network) -> None:
    """Refuse what no coordinator of ours asks, and what would keep a device busy for good."""
    if not 1 <= epochs <= MOST_EPOCHS:
        raise InputError(f"{epochs} local epochs; a device does 1 to {MOST_EPOCHS}")
    most = MOST_BATCH if network.form.in_parts else LARGEST_STEP
    if not 1 <= drill.batch <= most:
        raise InputError(f"batches of {drill.batch}; a device takes 1 to {most} with this step")
    numbers = (drill.rate, drill.clip_norm, drill.proximal)
    if not all(np.isfinite(numbers)) or min(numbers) < 0:
        raise InputError("a drill's rate, clip_norm and proximal are finite and not negative")


def _choose_rows(
    network: Network, runner: StepRunner, feeds: _Feeds, drill: Drill, visit: Visit
) -> None:
    """Take the batch in the parts that were fastest here, in the memory there is; measured once.

    Small parts first, so that memory grows by what is looked for and no more.
    """
    if not network.form.in_parts:
        return
    # lessons come one by one, and what is measured is good for twice as many
    most = 1 << (min(drill.batch, len(feeds)).bit_length() - 1)
    name = f"{_ROWS}{network.digest[:16]} {most}"
    if (known := visit.notes.note(name)) is not None:
        runner.take(int.from_bytes(known, "big") or drill.batch)
        return
    sizes = [most]
    while sizes[0] >= 2 * _LEAST_ROWS:
        sizes.insert(0, sizes[0] // 2)
    if len(sizes) == 1:
        runner.take(drill.batch)
        return
    before, whole = visit.readings.memory_bytes(), feeds.of(np.arange(most))
    best, least = sizes[0], float("inf")
    for rows in sizes:
        runner.take(rows)
        runner.step(whole, rate=0.0)
        took = []
        for _ in range(_TIMED):
            began = visit.clock_s()
            runner.step(whole, rate=0.0)
            took.append(visit.clock_s() - began)
        now = visit.readings.memory_bytes()
        grown = 0 if now is None or before is None else now - before
        if rows > sizes[0] and grown > visit.limits.memory_mb * _MB:
            break
        if min(took) <= least:
            best, least = rows, min(took)
    best = drill.batch if best == most else best
    runner.take(best)
    visit.notes.keep_note(name, best.to_bytes(4, "big"))


def _digest(start: IntVector, material: Material, drill: Drill, epochs: int) -> bytes:
    """Return what a visit is known by: another request, or other lessons, begin anew."""
    held = blake2b(digest_size=16)
    arrays = (start, material.inputs, material.targets, material.weights, material.gates)
    for array in arrays:
        held.update(np.ascontiguousarray(array).tobytes())
    held.update(repr((drill, epochs)).encode())
    return held.digest()


def _keep(runner: StepRunner, notes: Notes, about: bytes, steps: int) -> None:
    """Remember where a visit is."""
    moving = np.concatenate([array.ravel() for array in runner.state().values()])
    held = UnderWay(about=about, steps=steps, moving=moving.astype(np.float64))
    notes.keep_note(_UNDER_WAY, encode(held, _KINDS))


def _taken_up(runner: StepRunner, notes: Notes, about: bytes) -> int:
    """Go back to where this very visit was; return how many steps that is."""
    note = notes.note(_UNDER_WAY)
    if not note:
        return 0
    try:
        held = decode(note, _KINDS, (UnderWay,))
    except WireError:
        return 0
    shapes = {name: array.shape for name, array in runner.state().items()}
    sizes = [int(np.prod(shape, dtype=np.int64)) for shape in shapes.values()]
    if held.about != about or len(held.moving) != sum(sizes):
        return 0
    parts = np.split(held.moving.astype(np.float32), np.cumsum(sizes)[:-1])
    runner.restart(
        {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}
    )
    return held.steps


def _over(network: Network, runner: StepRunner, notes: Notes, start: IntVector) -> IntVector:
    """Return what was learnt, and forget how far the visit was; what went astray taught nothing."""
    try:
        vector = network.vector(runner.state())
    except InputError:
        vector = start
    if notes.note(_UNDER_WAY):
        notes.keep_note(_UNDER_WAY, b"")
    return vector
