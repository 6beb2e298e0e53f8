"""The weights of a model's file: read, and put into graphs that were sent without them.

A train step says what is done with weights and holds none, so it is small, and a device takes those
it does not train from the model it has. They are put in as they stand in that file, byte for byte:
behind a graph that was read and checked comes a second part of the same graph with nothing but its
weights, and a protocol buffer that comes in two parts is one. No other file is ever opened.
"""

from collections.abc import Collection, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from edge.model_guard.model_file import Tensor, read_tensor
from fieldvote.errors import TaskError, WireError
from fieldvote.protobuf import BYTES, read_fields

_FLOAT = 1
_GRAPH, _WEIGHT = 7, 5  # fields of a model, and of a graph
_ENTRIES = (4, 9)  # of a tensor: numbers one by one, or raw


def weights_in(model: bytes) -> dict[str, Tensor]:
    """Return the weights of a file that was read before, without what they hold.

    Raises:
        TaskError: the file cannot be read.
    """
    return {tensor.name: tensor for tensor, _ in _weights(model)}


def values_of(model: bytes, names: Collection[str]) -> dict[str, NDArray[np.float32]]:
    """Return the values of some float32 weights of a file that was read before, in this order.

    Raises:
        TaskError: one is not there, or holds no float32.
    """
    found: dict[str, NDArray[np.float32]] = {}
    for tensor, blob in _weights(model):
        if tensor.name in names and tensor.kind == _FLOAT:
            parts = [part for number, _, part in read_fields(blob) if number in _ENTRIES]
            runs = [np.frombuffer(_bytes(part), "<f4") for part in parts]
            flat = np.concatenate([np.empty(0, "<f4"), *runs])
            found[tensor.name] = flat.astype(np.float32).reshape(tensor.dims)
    if missing := [name for name in names if name not in found]:
        raise TaskError(f"the model has no float32 weight '{missing[0]}'")
    return {name: found[name] for name in names}


def with_weights(graph: bytes, model: bytes, names: Collection[str]) -> bytes:
    """Return a graph with these weights of a model in their places.

    Args:
        graph: A file whose nodes read the weights, and which does not hold them.
        model: A file that was read before.
        names: The weights.

    Raises:
        TaskError: the model does not have one of them.
    """
    found = {tensor.name: bytes(blob) for tensor, blob in _weights(model) if tensor.name in names}
    if missing := [name for name in names if name not in found]:
        raise TaskError(f"the model has no weight '{missing[0]}'")
    if not found:
        return graph
    return graph + _framed(_GRAPH, b"".join(_framed(_WEIGHT, blob) for blob in found.values()))


def shapes_of(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the float32 weights."""
    return {name: tensor.dims for name, tensor in weights.items() if tensor.kind == _FLOAT}


def _weights(model: bytes) -> Iterator[tuple[Tensor, memoryview]]:
    """Yield each weight of a file, and the bytes it stands in."""
    try:
        for number, _, graph in read_fields(memoryview(model)):
            if number != _GRAPH:
                continue
            for place, _, blob in read_fields(_bytes(graph)):
                if place == _WEIGHT:
                    yield read_tensor(_bytes(blob)), _bytes(blob)
    except WireError as err:
        raise TaskError(f"the model's weights cannot be read: {err}") from err


def _bytes(content: int | memoryview) -> memoryview:
    """Return content that is framed in bytes."""
    if isinstance(content, int):
        raise WireError("a number where bytes are expected")
    return content


def _framed(number: int, content: bytes) -> bytes:
    """Return a field of bytes."""
    return _varint(number << 3 | BYTES) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Return a number as protocol buffers write it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
