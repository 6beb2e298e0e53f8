"""Finding out which functions taught a head what: one question to every device after the other.

::

    fates       what the head before knew, and this one still does     where that is to be measured
    behaviours  where the loss of each class's judged answers rises
    curvature   what divides the curvature out of that, a few times
    functions   how far each function works for each change and behaviour
    fisher      what the head rests on                                  where it is to be held later

Like a solver, it is a function of what it is sent and nothing else: sent the kept sums of an
earlier run it asks and returns the same to the bit. So a process that died begins it anew.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from coordinator.models.trace import WHOLE, Trace
from coordinator.models.training import head_of
from fieldvote.codec import IntVector
from fieldvote.heads import GradientRequest, HeadModel
from fieldvote.traces import BEHAVIOURS, CURVATURE, FATES, FISHER, FUNCTIONS, TraceRequest
from strategies.aggregation.preconditioner import Preconditioner
from strategies.aggregation.solver import start
from strategies.aggregation.summed_head import HeadSums
from strategies.governance.influence import (
    Direction,
    change_directions,
    gradients_from,
)
from strategies.governance.what_if import from_steps, solve_together

_FATES, _SLICES = 4, 2  # kept, lost, gained, never known; held-out devices, the random arm
_MOST = 2.0**60  # a sum of a whole cohort is one reply
_MOST_ITEMS = 2.0**30

Sums = NDArray[np.int64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """What is looked at, and how closely.

    Attributes:
        lesson: The head, and what taught it, as its training asked.
        base: The head it was trained from.
        digests: Of the head, of its base, and of the label model's parameters.
        sums: Sketch of what teaches.
        l2: Strength of the head's penalty.
        functions: Name and version of each.
        classes: The task's.
        traced: Whether it is asked who taught it.
        curvature: Exchanges spent on the curvature.
        most_numbers: Of the directions of all classes; with more there is one behaviour.
        compared: The head whose fates are counted; None counts none.
        rests: Whether it is asked what the head rests on.
    """

    lesson: GradientRequest
    base: HeadModel
    digests: tuple[str, str, str]
    sums: HeadSums
    l2: float
    functions: Sequence[str]
    classes: Sequence[str]
    traced: bool
    curvature: int
    most_numbers: int
    compared: HeadModel | None
    rests: bool

    @property
    def behaviours(self) -> tuple[str, ...]:
        """What is looked at: the classes, or all as one where their directions are too many."""
        k, weights = len(self.classes), len(self.lesson.model.weights)
        return tuple(self.classes) if k * weights <= self.most_numbers else (WHOLE,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TraceLeg:
    """One exchange of a trace.

    Attributes:
        request: What is sent.
        length: How many numbers a reply has.
        judges: Whether those are asked who judge, and not those who teach.
        counts: How many of the first numbers are counts.
    """

    request: TraceRequest
    length: int
    judges: bool
    counts: int

    def fits(self, vector: IntVector) -> bool:
        """Return whether a device, or a cohort, can have said this."""
        if len(vector) != self.length:
            return False
        # as floats: the lowest integer has no magnitude
        # a gate goes by fates, so that they are bounded as other counts of items are
        most = _MOST_ITEMS if self.request.about == FATES else _MOST
        small = bool(np.all(np.abs(vector.astype(np.float64)) < most))
        return small and not bool((vector[: self.counts] < 0).any())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """What came of it.

    Attributes:
        trace: Who taught the head; None where nobody asked.
        fates: Of the head before, by slice and class: held-out devices, then the random arm. Shape
            (2 * k * 4,), or empty.
    """

    trace: Trace | None
    fates: IntVector


Tracer: TypeAlias = Generator[TraceLeg, IntVector, Found]


def look(subject: Subject) -> Tracer:
    """Ask everything there is to ask about a head."""
    model, k = subject.lesson.model, len(subject.classes)
    fates, trace, fisher, step = np.empty(0, dtype=np.int64), None, np.empty(0, dtype=np.int64), 0
    if subject.compared is not None:
        fates = yield _leg(
            subject, step, FATES, _SLICES * k * _FATES, judges=True, before=subject.compared
        )
        step += 1
    if subject.traced:
        trace, step = yield from _who_taught(subject, step)
    if subject.rests:
        fisher = yield _leg(subject, step, FISHER, 1 + len(model.weights))
    if len(fisher) and trace is None:
        trace = _nobody(subject)
    return Found(trace=trace and replace(trace, fisher=fisher), fates=fates)


def _who_taught(subject: Subject, step: int) -> Generator[TraceLeg, IntVector, tuple[Trace, int]]:
    """Ask who taught the head; return that, and which step comes next."""
    names, model = subject.behaviours, subject.lesson.model
    b, shape = len(names), (len(model.weights) // model.classes, model.classes)
    numbers = b * shape[0] * (shape[1] - 1)
    came = yield _leg(subject, step, BEHAVIOURS, 2 * b + numbers, judges=True)
    answered, losses = came[:b], came[b : 2 * b]
    solving = _divided(subject, gradients_from(_whole(came[2 * b :], b, shape)))
    ways: Matrix
    try:
        asked = next(solving)
        while True:
            step += 1
            directions = _towards(asked)
            came = yield _leg(subject, step, CURVATURE, numbers, directions=directions)
            products = zip(_whole(came, b, shape), directions, strict=True)
            asked = solving.send(np.stack([from_steps(total, way) for total, way in products]))
    except StopIteration as done:
        ways = done.value
    before, after = head_of(subject.base), head_of(model)
    changes = [Direction.of(each) for each in change_directions(before, after)]
    directions = _towards(ways)
    columns, rows = model.classes + b, len(subject.functions) + 1
    came = yield _leg(
        subject, step + 1, FUNCTIONS, 1 + rows * columns, before=subject.base,
        directions=directions,
        # a column each: what is sent is one head in size
        change=sum((each.steps.weights for each in changes), np.zeros(shape, dtype=np.int64)),
    )  # fmt: skip
    return replace(
        _nobody(subject),
        behaviours=names,
        answered=answered,
        losses=losses,
        items=int(came[0]),
        sums=came[1:],
        scales=np.array([each.scale for each in (*changes, *directions)]),
    ), step + 2


def _whole(sent: Sums, behaviours: int, shape: tuple[int, int]) -> Sums:
    """Return what was sent without its last class, whose column balances the others. (b, p, k)."""
    width, classes = shape
    came = sent.reshape(behaviours, width, classes - 1)
    return np.concatenate([came, -came.sum(axis=2, keepdims=True)], axis=2)


def _towards(ways: Matrix) -> list[Direction]:
    """Return directions whose last column is 0: what is added to all columns says nothing."""
    return [Direction.of(each - each[:, -1:]) for each in ways]


def _divided(subject: Subject, gradients: Matrix) -> Generator[Matrix, Matrix, Matrix]:
    """Return the directions with the curvature divided out of them."""
    model = subject.lesson.model
    state = start(subject.sums, head_of(model), l2=subject.l2, seed=model.seed)
    guess: Preconditioner = state.preconditioner
    return solve_together(
        gradients, penalty=state.penalty, steps=subject.curvature, precondition=guess.solve
    )


def _nobody(subject: Subject) -> Trace:
    """Return the trace of a head that nobody was asked about."""
    none = np.empty(0, dtype=np.int64)
    model, base, label_model = subject.digests
    return Trace(
        model=model,
        base=base,
        label_model=label_model,
        functions=tuple(subject.functions),
        classes=tuple(subject.classes),
        behaviours=(),
        answered=none,
        losses=none,
        items=0,
        sums=none,
        scales=np.empty(0),
    )


def _leg(
    subject: Subject,
    step: int,
    about: str,
    length: int,
    *,
    judges: bool = False,
    before: HeadModel | None = None,
    directions: Sequence[Direction] = (),
    change: Sums | None = None,
) -> TraceLeg:
    """Return one exchange."""
    steps = [each.steps.weights[:, :-1].ravel() for each in directions]
    request = TraceRequest(
        round=subject.lesson.round,
        step=step,
        about=about,
        lesson=subject.lesson,
        behaviours=max(len(subject.behaviours), 1),
        directions=np.concatenate(steps) if steps else np.empty(0, dtype=np.int64),
        before=before,
        change=np.empty(0, dtype=np.int64) if change is None else change.ravel(),
    )
    counts = {FATES: length, FISHER: length, BEHAVIOURS: 2 * request.behaviours, FUNCTIONS: 1}
    return TraceLeg(request=request, length=length, judges=judges, counts=counts.get(about, 0))
