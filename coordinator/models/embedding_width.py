"""How many features a task's model gives of an item, read off its file."""

from collections.abc import Iterator

from fieldvote.errors import DataError, WireError
from fieldvote.protobuf import read_fields
from fieldvote.task import Task

# Field numbers of onnx.proto3: the way from the model to the last dimension of an output.
_GRAPH, _OUTPUT, _NAME, _TYPE = 7, 12, 1, 2
_TENSOR, _SHAPE, _DIMENSION, _VALUE = 1, 2, 1, 1


def embedding_width(task: Task) -> int:
    """Return how long an embedding of this task is.

    Raises:
        DataError: the model does not say; under differential privacy devices cannot either.
    """
    try:
        for graph in _parts(memoryview(task.model), _GRAPH):
            for output in _parts(graph, _OUTPUT):
                names = [bytes(name).decode() for name in _parts(output, _NAME)]
                if names == [task.names.embedding]:
                    return _last_dimension(output)
    except (WireError, UnicodeDecodeError) as err:
        raise DataError("the task's model cannot be read") from err
    raise DataError(f"the task's model has no output '{task.names.embedding}'")


def _last_dimension(output: memoryview) -> int:
    """Return the last dimension of an output, if it is a number."""
    sizes = [
        [value for number, _, value in read_fields(dimension) if number == _VALUE]
        for kind in _parts(output, _TYPE)
        for tensor in _parts(kind, _TENSOR)
        for shape in _parts(tensor, _SHAPE)
        for dimension in _parts(shape, _DIMENSION)
    ]
    last = sizes[-1] if sizes else []
    if len(last) != 1 or not isinstance(last[0], int) or last[0] < 1:
        raise DataError("the task's model does not say how long an embedding is")
    return last[0]


def _parts(blob: memoryview, number: int) -> Iterator[memoryview]:
    """Yield the content of each field of this number that is framed as bytes."""
    for found, _, content in read_fields(blob):
        if found == number and not isinstance(content, int):
            yield content
