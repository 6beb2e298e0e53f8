"""A model that is told its weights: the same answers, and only the weights that were asked for."""

import numpy as np
import onnx
import onnxruntime
import pytest

from coordinator.compiler.scoring import ScoringGraph, compile_scoring
from coordinator.models.networks import perceptron, picture_network
from fieldvote.errors import InputError
from fieldvote.rng import stream

MODEL = perceptron(hidden=(6, 5), classes=3, mean=np.arange(4.0), scale=np.arange(1.0, 5.0))
OUTPUTS = ("probabilities", "embedding")
X = stream(1, "scoring").normal(size=(9, 4)).astype(np.float32)


def run(graph: ScoringGraph, x: np.ndarray, told: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Return what a scoring graph says, given its frozen weights."""
    options = onnxruntime.SessionOptions()
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(a) for a in graph.frozen.values()]
    if values:
        options.add_external_initializers(list(graph.frozen), values)
    session = onnxruntime.InferenceSession(graph.graph, options, providers=["CPUExecutionProvider"])
    return [np.asarray(out) for out in session.run(list(OUTPUTS), {"input": x, **told})]


def answers(model: bytes, x: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return [np.asarray(out) for out in session.run(list(OUTPUTS), {"input": x})]


@pytest.mark.parametrize(
    "names", [("head.weight",), ("head.weight", "head.bias"), ("layer1.weight", "head.bias")]
)
def test_told_the_models_own_weights_it_answers_as_the_model(names: tuple[str, ...]) -> None:
    graph = compile_scoring(MODEL, parameters=names, outputs=OUTPUTS)
    assert tuple(graph.parameters) == names
    for mine, theirs in zip(run(graph, X, graph.parameters), answers(MODEL, X), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_told_other_weights_it_answers_otherwise() -> None:
    graph = compile_scoring(MODEL, parameters=("layer1.weight",), outputs=OUTPUTS)
    told = {"layer1.weight": graph.parameters["layer1.weight"] * 2}
    assert not np.allclose(run(graph, X, told)[0], answers(MODEL, X)[0], atol=1e-3)


def test_no_weight_stands_in_the_file() -> None:
    graph = compile_scoring(MODEL, parameters=("head.weight",), outputs=OUTPUTS)
    assert set(graph.frozen) >= {"layer1.weight", "layer2.weight", "head.bias"}
    assert len(graph.graph) < len(MODEL)
    assert all(array.tobytes() not in graph.graph for array in graph.frozen.values())


def test_a_network_of_windows_is_told_its_windows() -> None:
    model = picture_network(side=4, channels=(3,), classes=2, scale=16.0, seed=5)
    graph = compile_scoring(model, parameters=("layer1.weight",), outputs=OUTPUTS)
    x = stream(2, "pictures").uniform(0, 16, (5, 16)).astype(np.float32)
    for mine, theirs in zip(run(graph, x, graph.parameters), answers(model, x), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_a_weight_or_an_output_the_model_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"no float32 weight 'head\.weigth'.*head\.weight"):
        compile_scoring(MODEL, parameters=("head.weigth",), outputs=OUTPUTS)
    with pytest.raises(InputError, match="no output 'logit'"):
        compile_scoring(MODEL, parameters=("head.weight",), outputs=("logit",))


def test_a_file_from_elsewhere_is_refused_before_anything_is_made_of_it() -> None:
    proto = onnx.load_from_string(MODEL)
    proto.graph.node[0].op_type = "RandomNormalLike"
    with pytest.raises(InputError):
        compile_scoring(proto.SerializeToString(), parameters=(), outputs=OUTPUTS)
    with pytest.raises(InputError, match="no ONNX model"):
        compile_scoring(b"\x08nonsense", parameters=(), outputs=OUTPUTS)
