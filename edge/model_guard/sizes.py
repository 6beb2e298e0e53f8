"""What sizes inside of a model may depend on.

The rule behind the rules: **what a run costs depends on how many items there are, and on nothing
they say.** Every tensor a node makes is one of four: a constant, a size (computed from shapes, and
never less when there are more items), fixed (computed from these in any way), or a value (computed
from items). What decides how large an output is has to be a constant or a size; what decides its
shape alone may not be a value. Then a first run with as many items as ever go in one batch
(:mod:`edge.model_guard.first_run`) has cost as much as any run will.

A gate of a train step lets some of the samples by (`NonZero`), so how long what it makes is depends
on what items say; it is at most as long as they are many. Whatever is made of it is *ragged*, and
the shape of a ragged tensor is a value, not a size.

Constants that can be seen to ask for more than a device has are refused without a run.
"""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from edge.model_guard.model_file import Node, Tensor
from edge.model_guard.operators import GROWING, SHAPING
from fieldvote.errors import TaskError

MOST_ENTRIES: Final = 1 << 26  # of one tensor made from constants: 256 MB of float32
_AXIS_BITS = 26  # no axis of a tensor that fits a device is longer
_MOST_BITS = 62
_LONG = ((1,), (7,), (11,))  # float, int64, double: what a size can be cast to and stay one


class Kind(IntEnum):
    """What a tensor depends on; of two, the later one wins."""

    CONSTANT = 0
    SIZE = 1
    FIXED = 2
    VALUE = 3


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a tensor.

    Attributes:
        kind: What it depends on.
        entries: What it holds, where it is a small constant.
        bits: How long its numbers are at most; infinity where one may be negative, or nothing is
            known.
        ragged: Whether its length depends on what items say.
    """

    kind: Kind
    entries: tuple[float, ...] | None = None
    bits: float = math.inf
    ragged: bool = False


def check_sizes(node: Node, given: list[Known | None]) -> None:
    """Refuse a size that depends on items, or asks for too much."""
    for places, worst in ((GROWING, Kind.SIZE), (SHAPING, Kind.FIXED)):
        for place in places.get(node.operator, ()):
            held = given[place] if place < len(given) else None
            if held is None:
                continue
            if held.kind > worst:
                what = "what items say" if held.kind is Kind.VALUE else "more than sizes"
                raise TaskError(f"has {node.operator} with a size that depends on {what}")
    asked = _entries_asked(node, given)
    if not asked <= MOST_ENTRIES:  # NaN is no size either
        raise TaskError(f"has {node.operator} that asks for more than {MOST_ENTRIES} entries")


def _entries_asked(node: Node, given: list[Known | None]) -> float:
    """Return how many entries, or how many times its input, an operator's constants ask for."""
    held = [
        given[place].entries if place < len(given) and given[place] else None  # type: ignore[union-attr]  # tested
        for place in GROWING.get(node.operator, ())
    ]
    if node.operator == "Range":
        return _steps(held)
    # a negative size stands for one that is computed, a negative pad takes away
    products = [math.prod(max(abs(entry), 1.0) for entry in each) for each in held if each]
    return max((math.inf if math.isnan(product) else product for product in products), default=0.0)


def _steps(held: list[tuple[float, ...] | None]) -> float:
    """Return how many numbers a range of constants has."""
    if len(held) < 3 or not all(each and len(each) == 1 for each in held):
        return 0.0
    start, limit, step = (each[0] for each in held if each)
    return abs(limit - start) / abs(step) if step else math.inf


def outcome_of(node: Node, given: list[Known | None]) -> Known:
    """Return what is known of a node's outputs."""
    if node.operator == "Constant":
        return constant_of(_constant(node))
    there = [each for each in given if each is not None]
    ragged = node.operator == "NonZero" or any(each.ragged for each in there)
    if node.operator in ("Shape", "Size"):
        return Known(Kind.VALUE) if ragged else Known(Kind.SIZE, bits=_AXIS_BITS)
    worst = max((each.kind for each in there), default=Kind.CONSTANT)
    if ragged or worst is not Kind.SIZE:
        return Known(Kind.VALUE if ragged else worst, ragged=ragged)
    bits = _bits(node, there)
    return Known(Kind.SIZE, bits=bits) if bits <= _MOST_BITS else Known(Kind.FIXED)


def _bits(node: Node, there: list[Known]) -> float:
    """Return how long a size is at most that an operator computes; infinity where it may fall.

    A size that passes 63 bits would begin again at none, and one with a sign would fall.
    """
    first, *others = there
    plain = all(each.kind is Kind.CONSTANT for each in others)
    match node.operator:
        case "Gather" | "Slice" | "Squeeze" | "Unsqueeze" | "Reshape" | "Identity" if plain:
            return first.bits if first.kind is Kind.SIZE else math.inf
        case "Concat" | "Max" | "Min":
            return max(each.bits for each in there)
        case "Add":
            return max(each.bits for each in there) + 1
        case "Mul":
            return sum(each.bits for each in there)
        case "Div" if plain:
            return first.bits if all(each.bits < math.inf for each in others) else math.inf
        case "Cast":
            to = node.attributes.get("to")
            long = to is not None and to.numbers in _LONG
            return first.bits if long else math.inf
    return math.inf


def constant_of(entries: tuple[float, ...] | None) -> Known:
    """Return what is known of a constant."""
    bits = math.inf
    if entries and all(0 <= entry < math.inf for entry in entries):
        bits = float(int(max(entries)).bit_length())
    return Known(Kind.CONSTANT, entries, bits)


def _constant(node: Node) -> tuple[float, ...] | None:
    """Return the entries of a constant that is written as a node."""
    if len(node.attributes) != 1:
        raise TaskError("has a Constant that says nothing, or two things")
    (name, attribute) = next(iter(node.attributes.items()))
    tensor: Tensor | None = attribute.tensor
    if name == "value" and tensor is not None:
        return tensor.entries
    if name in ("value_int", "value_ints", "value_float", "value_floats"):
        return attribute.numbers
    raise TaskError(f"has a Constant with '{shown(name)}', which a device does not take")


def shown(name: str) -> str:
    """Return a name from a file of others so that it can stand in a sentence."""
    shown = name if name.isprintable() else ascii(name)[1:-1]
    return shown if len(shown) <= 64 else f"{shown[:61]}..."
