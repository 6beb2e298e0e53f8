"""Where the loss is taken: at the logits, before a softmax that ends the model."""

from coordinator.compiler.graph import Graph, Operation
from fieldvote.errors import InputError

_ENDS = ("Softmax", "LogSoftmax")


def find_logits(graph: Graph, output: str | None = None) -> str:
    """Return the tensor of logits.

    Args:
        graph: The prepared model.
        output: The output, or inner tensor, with logits or probabilities. If None: the one output
            there is, the one that a softmax ends in, or the one called `logits`.

    Raises:
        InputError: the output is unknown, or several could be meant.
    """
    producers = graph.producers()
    names = [port.name for port in graph.outputs]
    if output is not None:
        if output not in producers:
            raise InputError(f"output='{output}': no operation of the model makes this tensor")
        return _before_softmax(output, producers)
    if len(names) == 1:
        return _before_softmax(names[0], producers)
    ended = [name for name in names if _ended(name, producers) is not None]
    if len(ended) == 1:
        return _before_softmax(ended[0], producers)
    if "logits" in names:
        return "logits"
    raise InputError(
        f"the model has the outputs {', '.join(names)}; name the one with the classes by output="
    )


def _ended(name: str, producers: dict[str, Operation]) -> Operation | None:
    """Return the softmax an output ends in."""
    op = producers.get(name)
    while op is not None and op.kind == "Identity":
        op = producers.get(op.inputs[0])
    return op if op is not None and op.kind in _ENDS else None


def _before_softmax(name: str, producers: dict[str, Operation]) -> str:
    """Return what the loss is taken from."""
    softmax = _ended(name, producers)
    return name if softmax is None else softmax.inputs[0]
