"""Which of several graphs of one train step this device runs: the fastest that agrees.

Some graphs use a layout that fits one kind of processor and is silently wrong on another. So every
candidate makes one step on the same batch as the standard graph, and those that end elsewhere, or
do not run at all, are out. What is left is timed.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from edge.learning.step_runner import Feed, FloatArray, StepRunner
from fieldvote.errors import InputError

#: How far two right graphs end from each other, in shares of the step: rounding is below a
#: thousandth, a wrong layout is off by several whole steps.
AGREEMENT = 0.01
# what float32 cannot hold of a step that is small beside its weight
_ROUNDING = 3e-7


def fastest(
    candidates: Mapping[str, bytes],
    start: Mapping[str, FloatArray],
    feed: Feed,
    *,
    rate: float,
    repeats: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> str:
    """Return the name of the fastest candidate that does what the first one does.

    Args:
        candidates: Graphs of the same step by name, the standard one first.
        start: Parameters and state to start from.
        feed: One batch, of the size that will be trained with.
        rate: Learning rate; large enough that the step shows.
        repeats: Steps that are timed, the best counts.
        clock: Seconds.

    Raises:
        InputError: there is no candidate, or the first does not run.
    """
    if not candidates:
        raise InputError("no graph to choose from")
    names = iter(candidates)
    best = standard = next(names)
    runner = StepRunner(candidates[standard], start)
    runner.step(feed, rate=rate)
    expected = runner.state()
    least = _seconds(runner, feed, repeats, clock)
    for name in names:
        try:
            runner = StepRunner(candidates[name], start)
            runner.step(feed, rate=rate)
            found = runner.state()
        except InputError:
            continue
        if not agree(start, expected, found):
            continue
        seconds = _seconds(runner, feed, repeats, clock)
        if seconds < least:
            best, least = name, seconds
    return best


def agree(
    start: Mapping[str, FloatArray],
    expected: Mapping[str, FloatArray],
    found: Mapping[str, FloatArray],
) -> bool:
    """Say whether two steps from the same start end in the same place, rounding aside."""
    return all(
        _norm(found[name] - expected[name])
        <= AGREEMENT * _norm(expected[name] - array) + _ROUNDING * _norm(array)
        for name, array in start.items()
    )


def _norm(array: NDArray[np.float32]) -> float:
    """Return the length of a tensor."""
    return float(np.linalg.norm(array.astype(np.float64)))


def _seconds(runner: StepRunner, feed: Feed, repeats: int, clock: Callable[[], float]) -> float:
    """Return the shortest time of a step."""
    times = []
    for _ in range(repeats):
        begun = clock()
        runner.step(feed, rate=0.0)
        times.append(clock() - begun)
    return min(times)
