"""Runs a compiled train step on this device, with ONNX Runtime and nothing else.

Two sets of buffers hold what is trained. A step reads one set and writes the other, then they
change places: nothing is copied, and a step that fails has written only what nobody reads. Between
steps the state can be taken out as plain arrays, and a runner that starts from them goes on to the
same bits, on the same processor with the same number of threads.
"""

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, IOBinding, OrtValue

FloatArray = NDArray[np.float32]
Feed = Mapping[str, NDArray[np.generic]]
_NEW, _ACCUMULATOR = ":new", "acc:"
_RATE, _WEIGHT, _WEIGHT_SUM, _LOSS = "lr", "weight", "weight_sum", "loss"


class StepRunner:
    """One train step, loaded, and the weights it moves."""

    def __init__(
        self,
        graph: bytes,
        start: Mapping[str, FloatArray],
        *,
        frozen: Mapping[str, FloatArray] | None = None,
        threads: int = 1,
        rows_at_once: int | None = None,
    ) -> None:
        """Load a step and copy the weights it starts from.

        Args:
            graph: A compiled step. One that accumulates takes a batch in parts.
            start: Every parameter and every state of the optimizer, by name.
            frozen: Weights that were left out of the graph.
            threads: How many; results are the same bits for the same number.
            rows_at_once: Samples in a part, for a step that accumulates: fewer use less memory.

        Raises:
            InputError: the bytes are no train step, or what it starts from is not what it trains.
            ShapeError: a weight has another shape than the step has for it.
        """
        self._session = _load(graph, dict(frozen or {}), threads)
        self._shapes = {value.name: tuple(value.shape) for value in self._session.get_inputs()}
        made = [value.name for value in self._session.get_outputs()]
        self._names = [name.removesuffix(_NEW) for name in made if name.endswith(_NEW)]
        self._in_parts = _WEIGHT_SUM in self._shapes
        needed = {*self._names, _RATE, _WEIGHT}
        if _LOSS not in made or not self._names or not needed <= self._shapes.keys():
            raise InputError("the graph is no train step: it has no weights to move, or no loss")
        if self._in_parts != (rows_at_once is not None):
            raise InputError(
                "rows_at_once goes with a step that accumulates, and with no other"
                if rows_at_once is not None
                else "this step takes a batch in parts: say rows_at_once"
            )
        if rows_at_once is not None and rows_at_once < 1:
            raise InputError(f"rows_at_once={rows_at_once}: expected 1 or more")
        self._rows = rows_at_once
        self._refuse_other_weights(start)
        own = {*self._names, *(f"{_ACCUMULATOR}{n}" for n in self._names), _RATE, _WEIGHT_SUM}
        self._fed = [name for name in self._shapes if name not in own]
        self._known: set[tuple[tuple[str, tuple[int, ...], str], ...]] = set()
        # ONNX Runtime writes into the memory it is given, so the caller keeps the original
        first = {name: np.array(start[name], np.float32, order="C") for name in self._names}
        others = [
            {n: np.empty_like(a) for n, a in first.items()} for _ in range(1 + self._in_parts)
        ]
        self._arrays = [first, *others]
        self._buffers = [_values(buffer) for buffer in self._arrays]
        self._scalars = {n: np.zeros((), np.float32) for n in (_RATE, _WEIGHT_SUM, _LOSS)}
        self._scalar_values = _values(self._scalars)
        self._bindings: dict[tuple[int, int, int], IOBinding] = {}
        self._at = 0

    @property
    def rows_at_once(self) -> int | None:
        """Samples in a part; None for a step that takes whole batches."""
        return self._rows

    def take(self, rows_at_once: int) -> None:
        """Take batches in parts of so many samples from now on.

        Raises:
            InputError: the step does not accumulate, or that is no number of samples.
        """
        if not self._in_parts or rows_at_once < 1:
            raise InputError(f"rows_at_once={rows_at_once}: not for this step")
        self._rows = rows_at_once

    def restart(self, start: Mapping[str, FloatArray]) -> None:
        """Go back to a start, without loading the step again.

        Raises:
            InputError, ShapeError: as for the first start; the weights are as before.
        """
        self._refuse_other_weights(start)
        for name, array in self._arrays[self._at].items():
            array[...] = start[name]

    def step(self, feed: Feed, *, rate: float) -> float:
        """Make one step; return the loss at the weights it started from.

        Args:
            feed: The model's inputs, `target` (n, k), `weight` (n,), and what gates and terms of
                the step ask for.
            rate: Learning rate; nothing moves by 0.

        Raises:
            InputError: an input is missing, unknown or of another type, nothing has weight, or the
                loss is not finite. The weights are as before.
            ShapeError: an input has another shape than the step has for it; as before, too.
        """
        given = {name: np.asarray(array, order="C") for name, array in feed.items()}
        self._refuse_other_inputs(given)
        weight = float(given[_WEIGHT].sum())
        if not (np.isfinite(weight) and weight > 0):
            raise InputError(f"the samples weigh {weight} together; a step needs more than nothing")
        self._scalars[_RATE][...] = rate
        self._scalars[_WEIGHT_SUM][...] = weight
        loss, at = 0.0, self._at
        for part in self._parts(given):
            free = next(i for i in range(len(self._buffers)) if i not in (self._at, at))
            loss += self._run(part, start=at, end=free)
            at = free
        if not np.isfinite(loss):
            raise InputError(
                f"the loss is {loss}; the step is dropped: lower the rate, see the data"
            )
        self._at = at
        return loss

    def state(self) -> dict[str, FloatArray]:
        """Return a copy of everything that moves: parameters and state of the optimizer.

        Raises:
            InputError: a value is not finite.
        """
        found = {name: array.copy() for name, array in self._arrays[self._at].items()}
        for name, array in found.items():
            if not np.isfinite(array).all():
                raise InputError(
                    f"'{name}' holds a value that is not finite: go back, lower the rate"
                )
        return found

    def _parts(self, given: dict[str, NDArray[np.generic]]) -> Iterator[Feed]:
        """Yield the batch, in parts if the step accumulates."""
        n = len(given[_WEIGHT])
        if self._rows is None or self._rows >= n:
            yield given
            return
        rows = self._shapes[_WEIGHT]
        for first in range(0, n, self._rows):
            part = slice(first, first + self._rows)
            yield {
                name: array[part] if self._shapes[name][:1] == rows else array
                for name, array in given.items()
            }

    def _run(self, part: Feed, *, start: int, end: int) -> float:
        """Run once: gradients at the current weights, subtracted from buffer start into end."""
        binding = self._binding(start, end)
        for name, array in part.items():
            binding.bind_cpu_input(name, array)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as err:  # onnxruntime's own errors share no public base class
            raise InputError(f"the step does not run on this batch: {type(err).__name__}") from err
        return float(self._scalars[_LOSS])

    def _binding(self, start: int, end: int) -> "IOBinding":
        """Return the binding that reads the current weights and writes another buffer."""
        key = (self._at, start, end)
        if key not in self._bindings:
            self._bindings[key] = binding = self._session.io_binding()
            for name in self._names:
                binding.bind_ortvalue_input(name, self._buffers[self._at][name])
                if self._in_parts:
                    binding.bind_ortvalue_input(f"{_ACCUMULATOR}{name}", self._buffers[start][name])
                binding.bind_ortvalue_output(f"{name}{_NEW}", self._buffers[end][name])
            for name in (_RATE, _WEIGHT_SUM):
                if name in self._shapes:
                    binding.bind_ortvalue_input(name, self._scalar_values[name])
            binding.bind_ortvalue_output(_LOSS, self._scalar_values[_LOSS])
        return self._bindings[key]

    def _refuse_other_weights(self, start: Mapping[str, FloatArray]) -> None:
        """Refuse to start from other weights than the step trains; ONNX Runtime does not check."""
        if start.keys() != set(self._names):
            odd = sorted(start.keys() ^ set(self._names))
            raise InputError(
                f"the step trains {len(self._names)} tensors; missing or extra: {odd[0]}"
            )
        for name, array in start.items():
            if array.shape != self._shapes[name]:
                raise ShapeError(name, array.shape, self._shapes[name])
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise InputError(f"'{name}' must be float32 and finite, got {array.dtype}")

    def _refuse_other_inputs(self, given: Feed) -> None:
        """Refuse a feed that is not what the step asks for; what passed once passes again."""
        looks = tuple((name, array.shape, array.dtype.char) for name, array in given.items())
        if looks in self._known:
            return
        if given.keys() != set(self._fed):
            odd = sorted(given.keys() ^ set(self._fed))
            raise InputError(f"the step is fed {', '.join(self._fed)}; missing or extra: {odd[0]}")
        sizes: dict[str, int] = {}
        for name, array in given.items():
            expected = self._shapes[name]
            fits = array.ndim == len(expected) and all(
                size == (sizes.setdefault(want, size) if isinstance(want, str) else want)
                for size, want in zip(array.shape, expected, strict=True)
            )
            if not fits:
                raise ShapeError(name, array.shape, expected)
            if array.dtype.kind == "f" and array.dtype != np.float32:
                raise InputError(f"'{name}' is {array.dtype}; a step is fed float32")
        self._known.add(looks)


def shuffled(n: int, size: int, *, seed: int, epoch: int) -> Iterator[NDArray[np.int64]]:
    """Yield the positions of each batch of one epoch; the same for the same seed and epoch.

    Whoever was interrupted after s batches skips s and goes on.

    >>> [len(batch) for batch in shuffled(5, 2, seed=1, epoch=0)]
    [2, 2, 1]
    """
    order = stream(seed, "epoch", epoch).permutation(n)
    for first in range(0, n, size):
        yield order[first : first + size]


def _values(buffer: Mapping[str, FloatArray]) -> dict[str, "OrtValue"]:
    """Return views of arrays that ONNX Runtime reads and writes; the arrays must live on."""
    import onnxruntime

    return {n: onnxruntime.OrtValue.ortvalue_from_numpy(a) for n, a in buffer.items()}


def _load(graph: bytes, frozen: Mapping[str, FloatArray], threads: int) -> "InferenceSession":
    """Open a session."""
    # the library would otherwise write an id of this machine into the user's cache and report it
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # what goes wrong is raised
    # gradients that fade into denormal numbers cost a hundred times a normal one
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    values = _values({name: np.ascontiguousarray(array) for name, array in frozen.items()})
    if values:
        options.add_external_initializers(list(values), list(values.values()))
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as err:  # as in _run
        raise InputError(
            f"not a train step that ONNX Runtime can load: {type(err).__name__}"
        ) from err
