"""The task's model on a device: batches change nothing, and a wrong model says what it has."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, ValueInfoProto, helper

from coordinator.models.backbone import identity_backbone, projection_backbone
from edge.scorer import Scorer
from fieldvote.errors import FieldvoteError, InputError, ShapeError, TaskError

NAMES = ("input", "probabilities", "embedding")
RNG = np.random.default_rng(5)
MODEL = projection_backbone(RNG.normal(size=(6, 4)).astype(np.float32), classes=3)


def rows(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(count).normal(size=(count, 6)).astype(np.float32)


def graph(
    nodes: list[tuple[str, list[str], list[str]]],
    *,
    kind: int = TensorProto.FLOAT,
    shape: tuple[str | int, ...] = ("n", 6),
    more_inputs: tuple[str, ...] = (),
) -> bytes:
    """Return a model of these nodes that gives probabilities and embedding."""

    def tensor(name: str, kind: int, shape: tuple[str | int, ...]) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    made = helper.make_graph(
        [helper.make_node(*node) for node in nodes],
        "g",
        [tensor(name, kind, shape) for name in ("input", *more_inputs)],
        [tensor(name, kind, ("a", "b")) for name in ("probabilities", "embedding")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_operatorsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


COPY = [
    ("Identity", ["input"], ["probabilities"]),
    ("Identity", ["input"], ["embedding"]),
]


@settings(deadline=None, max_examples=8)
@given(st.sampled_from([0, 1, 5, 511, 512, 513, 1400]))
def test_batches_give_what_one_go_gives_and_keep_the_order(count: int) -> None:
    scorer, given_rows = Scorer(MODEL, names=NAMES), rows(count)
    scores = scorer.score(given_rows)
    one_go = scorer._run(given_rows)
    assert scores.probabilities.shape == (count, 3)
    assert scores.embeddings.shape == (count, 4)
    assert np.allclose(scores.probabilities, one_go[0], atol=1e-6)
    assert np.allclose(scores.embeddings, one_go[1], atol=1e-5)
    backwards = scorer.score(given_rows[::-1]).embeddings[::-1]
    assert np.allclose(scores.embeddings, backwards, atol=1e-5)


def test_a_name_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(TaskError, match=r"net\.onnx has no input 'x'; it has input"):
        Scorer(MODEL, names=("x", *NAMES[1:]), where="net.onnx")
    with pytest.raises(TaskError, match="no output 'logits'; it has embedding, probabilities"):
        Scorer(MODEL, names=("input", "logits", "embedding"))
    with pytest.raises(TaskError, match="no output 'features'; it has embedding, probabilities"):
        Scorer(MODEL, names=("input", "probabilities", "features"))


@pytest.mark.parametrize("content", [b"", b"not a model", MODEL[:-20], MODEL[20:]])
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    with pytest.raises(TaskError, match=r"net\.onnx"):
        Scorer(content, names=NAMES, where="net.onnx")


def test_a_model_of_two_inputs_is_refused() -> None:
    nodes = [("Add", ["input", "mask"], ["probabilities"]), COPY[1]]
    with pytest.raises(TaskError, match="wants 2 inputs; a task gives it one"):
        Scorer(graph(nodes, more_inputs=("mask",)), names=NAMES)


@pytest.mark.parametrize("shape", [(4, 5), (4, 7), (6,), (2, 3, 6)])
def test_inputs_of_another_width_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"model input has shape .* expected \('n', 6\)"):
        Scorer(MODEL, names=NAMES).score(np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_inputs_that_are_not_finite_are_refused(bad: float) -> None:
    given_rows = rows(3)
    given_rows[2, 1] = bad
    with pytest.raises(InputError, match="not finite"):
        Scorer(MODEL, names=NAMES).score(given_rows)


@pytest.mark.parametrize(
    "model",
    [
        graph(COPY, kind=TensorProto.DOUBLE),
        graph(COPY, shape=(4, 6)),
        graph([("ReduceMean", ["input"], ["probabilities"]), COPY[1]]),
        graph([("Log", ["input"], ["probabilities"]), COPY[1]]),
        graph([COPY[0], ("Transpose", ["input"], ["embedding"])]),
    ],
    ids=["doubles", "fixed batch", "one row for all", "not finite", "turned"],
)
def test_a_model_that_does_not_give_a_row_per_item_is_refused(model: bytes) -> None:
    with pytest.raises(TaskError, match=r"^net\.onnx"):
        Scorer(model, names=NAMES, where="net.onnx").score(rows(5))


def test_the_width_is_read_off_the_model() -> None:
    assert Scorer(identity_backbone(9, classes=2), names=NAMES).width == 9
    free = Scorer(graph(COPY, shape=("n", "d")), names=NAMES)
    assert free.width is None
    assert free.score(np.ones((2, 3), dtype=np.float32)).embeddings.shape == (2, 3)
    with pytest.raises(FieldvoteError):
        free.score(np.ones(3, dtype=np.float32))


def test_loading_a_model_writes_nothing_about_this_machine(tmp_path: Path) -> None:
    code = (
        "from coordinator.models.backbone import identity_backbone as made\n"
        "from edge.scorer import Scorer\n"
        "names = ('input', 'probabilities', 'embedding')\n"
        "Scorer(made(3, 2), names=names, where='model.onnx')\n"
    )
    home = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    path = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", code], env={**home, **path}, check=True, timeout=60)
    assert list(tmp_path.rglob("*")) == []
