"""The twin of the compiler: central differences of the loss in float64, by onnx's own evaluator."""

from collections.abc import Mapping
from math import erf

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

Arrays = Mapping[str, NDArray[np.generic]]
_REACH = 1e-5


def loss_of(
    logits: NDArray[np.float64], target: Arrays | NDArray[np.generic], weight: object
) -> float:
    """Return the weighted soft-target cross-entropy, as its definition reads."""
    t, w = np.asarray(target, np.float64), np.asarray(weight, np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float((w * -(t * log_p).sum(axis=1)).sum() / w.sum())


class Erf(OpRun):
    """As in onnx, which computes it in float32 only."""

    op_domain = ""

    def _run(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64]]:
        return (np.vectorize(erf)(x),)


class Gelu(OpRun):
    """As in onnx, which computes it in float32 only."""

    op_domain = ""

    def _run(
        self, x: NDArray[np.float64], approximate: str | None = None
    ) -> tuple[NDArray[np.float64]]:
        if approximate == "tanh":
            return (0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),)
        return (0.5 * x * (1 + np.vectorize(erf)(x / np.sqrt(2))),)


class GroupNormalization(OpRun):
    """As in onnx, which computes it in float32 only."""

    op_domain = ""

    def _run(
        self,
        x: NDArray[np.float64],
        scale: NDArray[np.float64],
        bias: NDArray[np.float64],
        epsilon: float | None = None,
        num_groups: int | None = None,
        stash_type: int | None = None,
    ) -> tuple[NDArray[np.float64]]:
        groups = x.reshape(len(x), num_groups, -1)
        centred = groups - groups.mean(axis=2, keepdims=True)
        normal = centred / np.sqrt(centred.var(axis=2, keepdims=True) + (epsilon or 1e-5))
        column = (-1, *(1 for _ in x.shape[2:]))
        return (normal.reshape(x.shape) * scale.reshape(column) + bias.reshape(column),)


class Differences:
    """A model in float64, whose weights can be moved."""

    def __init__(self, model: bytes, feed: Arrays, output: str = "logits") -> None:
        """Widen everything that is float32."""
        proto = onnx.load_from_string(model)
        self._feed = {name: _wide(a) for name, a in feed.items()}
        self._output = output
        self.weights = {t.name: _wide(numpy_helper.to_array(t)) for t in proto.graph.initializer}
        for node in proto.graph.node:
            for attribute in node.attribute:
                if attribute.name == "value" and attribute.t.data_type == TensorProto.FLOAT:
                    attribute.t.CopyFrom(
                        numpy_helper.from_array(_wide(numpy_helper.to_array(attribute.t)))
                    )
        del proto.graph.initializer[:]
        for name, array in self.weights.items():
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            proto.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, array.shape))
        self._evaluator = ReferenceEvaluator(proto, new_ops=[Erf, Gelu, GroupNormalization])

    def loss(self, **moved: NDArray[np.float64]) -> float:
        """Return the loss with some weights replaced."""
        fed = {name: a for name, a in self._feed.items() if name not in ("target", "weight")}
        (logits,) = self._evaluator.run([self._output], {**fed, **self.weights, **moved})
        return loss_of(np.asarray(logits, np.float64), self._feed["target"], self._feed["weight"])

    def gradient(self, name: str) -> NDArray[np.float64]:
        """Return the gradient of one weight, element by element."""
        start = self.weights[name].astype(np.float64)
        found = np.zeros_like(start)
        for place in np.ndindex(start.shape):
            sides = []
            for sign in (1, -1):
                moved = start.copy()
                moved[place] += sign * _REACH
                sides.append(self.loss(**{name: moved}))
            found[place] = (sides[0] - sides[1]) / (2 * _REACH)
        return found


def _wide(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return array.astype(np.float64) if array.dtype == np.float32 else array
