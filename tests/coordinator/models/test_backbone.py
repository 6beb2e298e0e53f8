"""Backbones load, embed as promised, and know nothing yet."""

import sys

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from coordinator.models.backbone import identity_backbone, projection_backbone
from fieldvote.errors import InputError, MissingExtraError, ShapeError

SIDES = st.integers(1, 6)
NUMBERS = st.floats(-8, 8, width=32)


def run(model: bytes, inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return tuple(session.run(["embedding", "probabilities"], {"input": inputs}))


@settings(deadline=None, max_examples=30)
@given(SIDES, SIDES, st.integers(2, 5), st.data())
def test_an_embedding_is_the_projected_input_and_every_class_is_as_likely(
    n: int, width: int, classes: int, data: st.DataObject
) -> None:
    d = data.draw(SIDES)
    inputs = data.draw(npst.arrays(np.float32, (n, width), elements=NUMBERS))
    projection = data.draw(npst.arrays(np.float32, (width, d), elements=NUMBERS))
    embedding, probabilities = run(projection_backbone(projection, classes), inputs)
    assert np.allclose(embedding, inputs @ projection, atol=1e-3)
    assert np.allclose(probabilities, np.full((n, classes), 1 / classes))
    same, probabilities = run(identity_backbone(width, classes), inputs)
    assert np.array_equal(same, inputs)
    assert np.allclose(probabilities, np.full((n, classes), 1 / classes))


def test_the_same_arguments_give_the_same_bytes() -> None:
    projection = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert projection_backbone(projection, 2) == projection_backbone(projection.copy(), 2)
    assert identity_backbone(4, 3) == identity_backbone(4, 3)


def test_what_cannot_be_a_model_is_refused() -> None:
    with pytest.raises(InputError, match="width: expected 1 or more"):
        identity_backbone(0, 2)
    with pytest.raises(InputError, match="classes: expected 2 or more"):
        identity_backbone(3, 1)
    with pytest.raises(ShapeError, match="projection has shape"):
        projection_backbone(np.zeros(3, np.float32), 2)
    with pytest.raises(ShapeError, match="projection has shape"):
        projection_backbone(np.zeros((3, 0), np.float32), 2)
    with pytest.raises(InputError, match="not finite"):
        projection_backbone(np.full((2, 2), np.nan, np.float32), 2)


def test_without_onnx_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        MissingExtraError, match=r"building a model needs.*fieldvote\[coordinator\]"
    ):
        identity_backbone(3, 2)
