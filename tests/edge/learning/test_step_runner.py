"""The runner of train steps: the same bits again, from anywhere, and nothing moved by a refusal."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from coordinator.compiler import Terms, TrainStep, compile_step
from edge.learning.step_choice import agree, fastest
from edge.learning.step_runner import StepRunner, shuffled
from fieldvote.errors import FieldvoteError, InputError, ShapeError
from tests.coordinator.compiler.networks import Network, lenet, mlp, small_mobilenet
from tests.coordinator.compiler.running import run

SMALL = mlp(width=6, hidden=8, classes=3)
State = dict[str, NDArray[np.float32]]


def started(step: TrainStep, **arguments: int) -> StepRunner:
    return StepRunner(step.graph, {**step.parameters, **step.state}, **arguments)


def same(left: State, right: State) -> bool:
    return left.keys() == right.keys() and all((left[n] == right[n]).all() for n in left)


def test_a_step_is_what_the_graph_says_and_the_next_goes_on_from_it() -> None:
    step = compile_step(SMALL.model)
    feed = SMALL.batch(5)
    runner = started(step)
    for _ in range(3):
        expected = run(step, feed, rate=0.2)
        assert runner.step(feed, rate=0.2) == expected["loss"]
        step.parameters.update({n: expected[f"{n}:new"] for n in step.parameters})
        assert same(runner.state(), step.parameters)


def test_the_caller_s_weights_are_not_written_into() -> None:
    step = compile_step(SMALL.model)
    before = {name: array.copy() for name, array in step.parameters.items()}
    first, second = started(step), started(step)
    for _ in range(2):
        first.step(SMALL.batch(5), rate=0.5)
    assert same(step.parameters, before)
    assert same(second.state(), before)
    taken = first.state()
    first.step(SMALL.batch(5), rate=0.5)
    assert not same(taken, first.state())


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_an_interrupted_epoch_goes_on_to_the_same_bits(optimizer: str) -> None:
    step = compile_step(SMALL.model, optimizer=optimizer)
    data = SMALL.batch(23)

    def go(runner: StepRunner, first: int, last: int) -> None:
        for rows in list(shuffled(23, 4, seed=7, epoch=2))[first:last]:
            runner.step({name: array[rows] for name, array in data.items()}, rate=0.05)

    whole = started(step)
    go(whole, 0, 6)
    for stop in range(7):
        first = started(step)
        go(first, 0, stop)
        second = StepRunner(step.graph, first.state())
        go(second, stop, 6)
        assert same(second.state(), whole.state())


def test_epochs_visit_everything_once_and_differ() -> None:
    one, two = (list(shuffled(10, 3, seed=1, epoch=epoch)) for epoch in (0, 1))
    for epoch in (one, two):
        assert sorted(np.concatenate(epoch).tolist()) == list(range(10))
    assert any((a != b).any() for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 9])
def test_a_batch_in_parts_makes_the_step_of_the_whole(rows: int) -> None:
    feed = SMALL.batch(7)
    whole = started(compile_step(SMALL.model))
    parts = started(compile_step(SMALL.model, accumulate=True), rows_at_once=rows)
    for _ in range(3):
        assert parts.step(feed, rate=0.2) == pytest.approx(whole.step(feed, rate=0.2), abs=1e-6)
    for name, array in whole.state().items():
        np.testing.assert_allclose(parts.state()[name], array, atol=1e-6)


def test_gates_are_cut_with_their_samples() -> None:
    gate = {"gate:relu3": np.array([1, 0, 0, 0, 1, 0.5, 0], np.float32)}
    feed = {**SMALL.batch(7), **gate}
    parts = compile_step(SMALL.model, gates=("relu3",), accumulate=True)
    runner = started(parts, rows_at_once=3)
    whole = started(compile_step(SMALL.model, gates=("relu3",)))
    assert runner.step(feed, rate=0.2) == pytest.approx(whole.step(feed, rate=0.2), abs=1e-6)
    for name, array in whole.state().items():
        np.testing.assert_allclose(runner.state()[name], array, atol=1e-6)


def test_frozen_weights_and_terms_are_fed_by_name() -> None:
    step = compile_step(SMALL.model, trainable="head", frozen="outside", terms=Terms(proximal=True))
    runner = StepRunner(step.graph, step.parameters, frozen=step.frozen)
    anchors = {f"anchor:{name}": array for name, array in step.parameters.items()}
    feed = {**SMALL.batch(5), **anchors, "proximal": np.asarray(0.1, np.float32)}
    assert runner.step(feed, rate=0.1) > runner.step(feed, rate=0.1)


def without(name: str) -> dict[str, NDArray[np.generic]]:
    return {key: array for key, array in SMALL.batch(5).items() if key != name}


FEEDS: dict[str, tuple[dict[str, NDArray[np.generic]], type[FieldvoteError], str]] = {
    "a class too many": (
        {**SMALL.batch(5), "target": np.ones((5, 4), np.float32)},
        ShapeError,
        "target has shape",
    ),
    "a sample without a weight": (
        {**SMALL.batch(5), "weight": np.ones(4, np.float32)},
        ShapeError,
        "weight has shape",
    ),
    "a weight for each class": (
        {**SMALL.batch(5), "weight": np.ones((5, 3), np.float32)},
        ShapeError,
        "weight has shape",
    ),
    "an unknown input": (
        {**SMALL.batch(5), "label": np.ones(5, np.float32)},
        InputError,
        "missing or extra: label",
    ),
    "double precision": (
        {**SMALL.batch(5), "x": np.ones((5, 6))},
        InputError,
        "'x' is float64",
    ),
    "infinite input": (
        {**SMALL.batch(5), "x": np.full((5, 6), np.inf, np.float32)},
        InputError,
        "the loss is nan",
    ),
    "no sample": (
        {name: array[:0] for name, array in SMALL.batch(5).items()},
        InputError,
        "weigh 0.0 together",
    ),
    "no target": (without("target"), InputError, "missing or extra: target"),
    "no weight": (without("weight"), InputError, "missing or extra: weight"),
    "nothing that counts": (
        {**SMALL.batch(5), "weight": np.zeros(5, np.float32)},
        InputError,
        "weigh 0.0 together",
    ),
    "weights that are no numbers": (
        {**SMALL.batch(5), "weight": np.full(5, np.nan, np.float32)},
        InputError,
        "weigh nan together",
    ),
}


@pytest.mark.parametrize("name", FEEDS)
@pytest.mark.parametrize("accumulate", [False, True])
def test_a_refused_batch_moves_nothing(name: str, accumulate: bool) -> None:
    feed, kind, said = FEEDS[name]
    step = compile_step(SMALL.model, accumulate=accumulate)
    runner = started(step, rows_at_once=2) if accumulate else started(step)
    runner.step(SMALL.batch(5), rate=0.1)
    before = runner.state()
    with pytest.raises(kind, match=said):
        runner.step(feed, rate=0.1)
    assert same(runner.state(), before)
    runner.step(SMALL.batch(5), rate=0.1)


def test_weights_of_another_shape_name_or_kind_are_refused() -> None:
    step = compile_step(SMALL.model)
    good = step.parameters
    for name, array, kind, said in (
        ("0.weight", np.ones((6, 8), np.float32), ShapeError, "0.weight has shape"),
        ("0.weight", np.ones((8, 5), np.float32), ShapeError, "0.weight has shape"),
        ("0.weight", np.ones((8, 6)), InputError, "float32 and finite"),
        ("0.bias", np.full(8, np.nan, np.float32), InputError, "float32 and finite"),
        ("other", np.ones(8, np.float32), InputError, "missing or extra: other"),
    ):
        with pytest.raises(kind, match=said):
            StepRunner(step.graph, {**good, name: array})
    with pytest.raises(InputError, match=r"missing or extra: 4\.bias"):
        StepRunner(step.graph, {n: a for n, a in good.items() if n != "4.bias"})


def test_a_state_that_is_not_finite_is_not_given_out() -> None:
    runner = started(compile_step(SMALL.model))
    feed = SMALL.batch(5)
    runner.step({**feed, "target": 1000 * feed["target"]}, rate=3e38)
    with pytest.raises(InputError, match="not finite: go back"):
        runner.state()


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (b"", "not a train step that ONNX Runtime can load"),
        (b"no model" * 20, "not a train step that ONNX Runtime can load"),
        (SMALL.model, "the graph is no train step"),
        (compile_step(SMALL.model, emit="gradients").graph, "the graph is no train step"),
    ],
)
def test_bytes_that_are_no_step_are_refused(graph: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        StepRunner(graph, {})


def test_parts_go_with_a_step_that_accumulates_only() -> None:
    with pytest.raises(InputError, match="and with no other"):
        started(compile_step(SMALL.model), rows_at_once=2)
    with pytest.raises(InputError, match="say rows_at_once"):
        started(compile_step(SMALL.model, accumulate=True))
    with pytest.raises(InputError, match="rows_at_once=0"):
        started(compile_step(SMALL.model, accumulate=True), rows_at_once=0)


@pytest.mark.parametrize("network", [lenet(size=8), small_mobilenet()], ids=["lenet", "mobilenet"])
def test_a_layout_for_another_processor_is_never_chosen(network: Network) -> None:
    standard = compile_step(network.model)
    blocked = {f"{n} channels": compile_step(network.model, block=n).graph for n in (8, 16)}
    feed = network.batch(4)
    runner = started(standard)
    runner.step(feed, rate=0.05)
    right = []
    for name, graph in blocked.items():
        other = StepRunner(graph, standard.parameters)
        other.step(feed, rate=0.05)
        if agree(standard.parameters, runner.state(), other.state()):
            right.append(name)
    assert len(right) < 2  # a processor has one block size, and the other loads and is wrong
    chosen = fastest(
        {"standard": standard.graph, "broken": b"", **blocked},
        standard.parameters,
        feed,
        rate=0.05,
        clock=iter(range(10**6, 0, -1)).__next__,
    )
    assert chosen in {"standard", *right}


def test_the_fastest_of_those_that_agree_is_chosen() -> None:
    step = compile_step(SMALL.model)
    wrong = compile_step(SMALL.model, trainable="all", optimizer="sgd", accumulate=True)
    slower = iter([0, 5, 0, 5, 0, 5, 0, 1, 0, 1, 0, 1])
    graphs = {"standard": step.graph, "parts": wrong.graph, "same": step.graph}
    assert (
        fastest(graphs, step.parameters, SMALL.batch(5), rate=0.1, clock=slower.__next__) == "same"
    )
    with pytest.raises(InputError, match="no graph to choose from"):
        fastest({}, {}, {}, rate=0.1)


def test_the_runner_needs_no_onnx() -> None:
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "from edge.learning.step_runner import StepRunner\n"
        "from edge.learning.step_choice import fastest\n"
        "assert 'onnxruntime' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
