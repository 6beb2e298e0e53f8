"""A visit: trains, stops where the device is short of something, and goes on to the same bits."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from edge.learning.deep import Material, Visit, material_of, train
from edge.learning.lessons import Lessons
from edge.learning.network import Network
from edge.learning.readings import KernelReadings
from edge.pool import Pool
from fieldvote.errors import InputError, ShapeError, UnavailableError
from fieldvote.rng import stream
from fieldvote.training import Drill
from fieldvote.training_limits import TrainingLimits
from tests.coordinator.rounds.deep import deep_task

GATED, PLAIN = Network(deep_task()), Network(deep_task("", 5))
HEAD = Network(deep_task('depth = "head"'))
DRILL = Drill(batch=8, rate=0.5, clip=8.0, clip_norm=10.0, proximal=0.0, seed=3)
N = 40


def material(gates: float = 1.0, rows: int = N) -> Material:
    rng = stream(1, "material")
    x = rng.normal(size=(rows, 3)).astype(np.float32)
    return Material(
        inputs=x,
        targets=np.eye(2, dtype=np.float32)[(x[:, 0] + x[:, 1] > 0).astype(int)],
        weights=np.ones(rows, np.float32),
        gates=np.full(rows, gates, np.float32),
    )


@dataclass
class Notes:
    kept: dict[str, bytes] = field(default_factory=dict)

    def note(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def keep_note(self, name: str, value: bytes) -> None:
        self.kept[name] = value


@dataclass
class Doing:
    """A device whose battery falls when it is told to."""

    battery: Iterator[int] = field(default_factory=lambda: iter(()))
    memory: Iterator[int] = field(default_factory=lambda: iter(()))

    def battery_percent(self) -> int | None:
        return next(self.battery, None)

    def celsius(self) -> float | None:
        return None

    def memory_bytes(self) -> int | None:
        return next(self.memory, None)


def ticking(step_s: float = 1.0) -> Callable[[], float]:
    """Return a clock that goes on by so much with every look."""
    times = iter(range(1 << 30))
    return lambda: next(times) * step_s


def visit(notes: Notes | Pool | None = None, **said: object) -> Visit:
    made = Visit(
        limits=TrainingLimits(),
        notes=Notes() if notes is None else notes,
        readings=Doing(),
        clock_s=lambda: 0.0,
    )
    return replace(made, **said)  # type: ignore[arg-type]  # fields of a visit


def loss_of(network: Network, vector: np.ndarray, held: Material) -> float:
    p = network.probabilities(vector, held.inputs)
    return float(-(held.targets * np.log(p)).sum(axis=1).mean())


def test_a_visit_teaches_the_network_what_the_lessons_say() -> None:
    held = material()
    after = train(GATED, GATED.first, held, DRILL, epochs=30, visit=visit())
    assert loss_of(GATED, after, held) < 0.5 * loss_of(GATED, GATED.first, held)


def test_two_visits_alike_end_in_the_same_bits_and_another_order_elsewhere() -> None:
    one, two = (
        train(GATED, GATED.first, material(), DRILL, epochs=3, visit=visit()) for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)
    other = train(GATED, GATED.first, material(), replace(DRILL, seed=4), epochs=3, visit=visit())
    assert (one != other).any()


def test_lessons_too_doubtful_for_what_lies_behind_the_gate_move_the_head_alone() -> None:
    after = train(GATED, GATED.first, material(gates=0.0), DRILL, epochs=3, visit=visit())
    before, moved = GATED.weights(GATED.first), dict[str, bool]()
    before = {name: array.copy() for name, array in before.items()}
    for name, array in GATED.weights(after).items():
        moved[name] = bool((array != before[name]).any())
    assert moved == {
        "layer1.weight": False, "layer1.bias": False, "head.weight": True, "head.bias": True,
    }  # fmt: skip


def test_without_a_gate_doubtful_lessons_are_left_out_unless_only_the_head_is_trained() -> None:
    rows = Lessons.of_answers(np.arange(4), np.array([0, 1, 0, 1]), classes=2)
    rows = replace(rows, gates=np.array([1, 0, 0.5, 1], np.float32))
    x = material(rows=9).inputs
    assert len(material_of(PLAIN, rows, x, lambda: x)) == 2
    assert len(material_of(HEAD, rows, x, lambda: x)) == 4
    gated = material_of(GATED, rows, x, lambda: x)
    assert gated.gates.tolist() == [1.0, 0.0, 0.5, 1.0]


def test_a_second_view_is_fed_in_its_items_place() -> None:
    rows = Lessons.of_answers(np.array([2, 5]), np.array([0, 1]), classes=2)
    rows = replace(rows, second=np.array([False, True]))
    x, other = material(rows=9).inputs, -material(rows=9).inputs
    held = material_of(GATED, rows, x, lambda: other)
    np.testing.assert_array_equal(held.inputs, np.stack([x[2], other[5]]))


def test_no_lessons_leave_the_network_where_it_is() -> None:
    after = train(GATED, GATED.first, material(rows=0), DRILL, epochs=3, visit=visit())
    np.testing.assert_array_equal(after, GATED.first)


@pytest.mark.parametrize("stopped_after", [1, 2, 9, 14])
def test_a_visit_that_was_interrupted_goes_on_to_the_same_bits(stopped_after: int) -> None:
    whole = train(GATED, GATED.first, material(), DRILL, epochs=3, visit=visit())
    notes = Notes()
    charge = iter([90] * stopped_after + [5])
    # the clock tells a second has passed since it last looked, after every step
    short = visit(notes, readings=Doing(battery=charge), clock_s=ticking(1.5))
    short = replace(short, limits=TrainingLimits(seconds=1e9))
    with pytest.raises(UnavailableError, match="the battery is at 5 %"):
        train(GATED, GATED.first, material(), DRILL, epochs=3, visit=short)
    steps = [name for name in notes.kept if name == "training under way"]
    assert steps
    train(PLAIN, PLAIN.first, material(), DRILL, epochs=1, visit=visit())  # others in between
    after = train(GATED, GATED.first, material(), DRILL, epochs=3, visit=visit(notes))
    np.testing.assert_array_equal(after, whole)
    assert notes.kept["training under way"] == b""


@pytest.mark.parametrize("killed_at", [4, 9, 14])
def test_a_device_that_was_switched_off_goes_on_to_the_same_bits(killed_at: int) -> None:
    whole = train(GATED, GATED.first, material(), DRILL, epochs=3, visit=visit())
    pool, looks = Pool(None), iter(range(killed_at))

    def clock() -> float:
        try:
            return 4.0 * next(looks)
        except StopIteration:
            raise KeyboardInterrupt from None  # as a process ends that is told to

    with pytest.raises(KeyboardInterrupt):
        train(GATED, GATED.first, material(), DRILL, epochs=3, visit=visit(pool, clock_s=clock))
    assert pool.note("training under way")
    after = train(GATED, GATED.first, material(), DRILL, epochs=3, visit=visit(pool))
    np.testing.assert_array_equal(after, whole)


def test_a_visit_about_other_lessons_begins_anew() -> None:
    notes = Notes()
    short = visit(notes, readings=Doing(battery=iter([90, 90, 5])), clock_s=ticking(1.5))
    with pytest.raises(UnavailableError):
        train(GATED, GATED.first, material(), DRILL, epochs=3, visit=short)
    other = material(rows=N - 1)
    whole = train(GATED, GATED.first, other, DRILL, epochs=3, visit=visit())
    after = train(GATED, GATED.first, other, DRILL, epochs=3, visit=visit(notes))
    np.testing.assert_array_equal(after, whole)


def test_a_note_that_is_none_of_ours_is_passed_over() -> None:
    notes = Notes({"training under way": b"\x93nonsense"})
    whole = train(GATED, GATED.first, material(), DRILL, epochs=1, visit=visit())
    after = train(GATED, GATED.first, material(), DRILL, epochs=1, visit=visit(notes))
    np.testing.assert_array_equal(after, whole)


def test_when_the_time_is_up_what_was_learnt_so_far_counts() -> None:
    limits = TrainingLimits(seconds=100.0)
    notes = Notes({_rows_note(GATED): (8).to_bytes(4, "big")})
    late = visit(notes, limits=limits, clock_s=ticking(30.0))
    part = train(GATED, GATED.first, material(), DRILL, epochs=50, visit=late)
    whole = train(GATED, GATED.first, material(), DRILL, epochs=50, visit=visit())
    assert (part != GATED.first).any()
    assert (part != whole).any()


def _rows_note(network: Network, batch: int = DRILL.batch) -> str:
    return f"rows at once {network.digest[:16]} {batch}"


def test_a_visit_that_goes_astray_teaches_nothing_and_one_that_begins_so_is_refused() -> None:
    wild = replace(DRILL, rate=3e3)
    after = train(GATED, GATED.first, material(), wild, epochs=40, visit=visit())
    np.testing.assert_array_equal(after, GATED.first)
    huge = replace(material(), inputs=np.full((N, 3), np.inf, np.float32))
    with pytest.raises(InputError):
        train(GATED, GATED.first, huge, DRILL, epochs=1, visit=visit())


def test_how_many_rows_are_taken_at_once_is_measured_once_and_remembered() -> None:
    notes, looks = Notes(), []
    big = replace(DRILL, batch=32)

    def clock() -> float:
        looks.append(GATED._runner.rows_at_once if GATED._runner else None)
        return float(len(looks)) * (2.0 if looks[-1] == 32 else 1.0)

    train(GATED, GATED.first, material(), big, epochs=1, visit=visit(notes, clock_s=clock))
    measured = set(looks)
    assert {8, 16, 32} <= measured
    looks.clear()
    train(GATED, GATED.first, material(), big, epochs=1, visit=visit(notes, clock_s=clock))
    assert len(set(looks)) == 1
    assert int.from_bytes(notes.kept[_rows_note(GATED, 32)], "big") in (8, 16)


def test_parts_that_would_pass_the_memory_limit_are_not_taken() -> None:
    notes = Notes()
    grows = Doing(memory=iter([100 << 20, 110 << 20, 900 << 20]))
    big, limits = replace(DRILL, batch=32), TrainingLimits(memory_mb=50)
    train(
        GATED, GATED.first, material(), big, epochs=1,
        visit=visit(notes, readings=grows, limits=limits),
    )  # fmt: skip
    assert int.from_bytes(notes.kept[_rows_note(GATED, 32)], "big") == 8


def test_a_batch_in_parts_ends_where_the_whole_one_does_up_to_rounding() -> None:
    big = replace(DRILL, batch=32)
    whole, parts = (
        train(
            GATED, GATED.first, material(), big, epochs=4,
            visit=visit(Notes({_rows_note(GATED, 32): rows.to_bytes(4, "big")})),
        )
        for rows in (32, 5)
    )  # fmt: skip
    assert np.abs(whole - parts).max() <= 64
    assert (whole != GATED.first).any()


@pytest.mark.parametrize(
    ("said", "epochs"),
    [
        ({"batch": 0}, 1), ({"rate": float("nan")}, 1), ({"rate": -1.0}, 1),
        ({"proximal": float("inf")}, 1), ({}, 0), ({}, 1001), ({"batch": 1 << 17}, 1),
    ],
)  # fmt: skip
def test_a_drill_nobody_of_ours_sends_is_refused(said: dict[str, float], epochs: int) -> None:
    drill = replace(DRILL, **said)  # type: ignore[arg-type]  # a table of wrong values
    with pytest.raises(InputError):
        train(GATED, GATED.first, material(), drill, epochs=epochs, visit=visit())


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ShapeError):
        train(GATED, PLAIN.first, material(), DRILL, epochs=1, visit=visit())


def test_terms_of_the_step_are_fed_what_the_drill_says() -> None:
    pulled = Network(deep_task('terms = ["clip", "proximal"]'))
    ways = {}
    for name, said in {
        "free": {}, "pulled": {"proximal": 20.0}, "cut": {"clip_norm": 1e-3},
    }.items():  # fmt: skip
        drill = replace(DRILL, rate=0.05, **said)
        after = train(pulled, pulled.first, material(), drill, epochs=5, visit=visit())
        ways[name] = float(np.linalg.norm(after - pulled.first))
    assert ways["pulled"] < 0.5 * ways["free"]
    assert ways["cut"] < 0.05 * ways["free"]


def test_this_machine_is_well_enough_to_train() -> None:
    held = material()
    own = visit(readings=KernelReadings(), limits=TrainingLimits(celsius=1e6, battery_percent=0))
    assert len(train(GATED, GATED.first, held, DRILL, epochs=1, visit=own)) == GATED.form.size
