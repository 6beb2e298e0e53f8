"""Trying the functions of a release in shadow: they vote, and nothing on the device goes by it.

Rules it keeps:

- The functions are those the owner signed together with every other file of this device's own
  task: a release changes functions and nothing else.
- They vote on items whose votes by the present functions are in a sum already, so that old and new
  are compared on the same items, and an item is in each sum of a version once.
- A version that was summed is not summed again, whoever asks and however often.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.agent_parts import AgentParts
from edge.delta import VoteDelta, anchor_delta, vote_delta
from edge.entering import Change, Entering
from edge.items import items_of, model_inputs
from edge.labeling import CompiledFunctions, Items, compile_functions
from edge.pool import Pool
from edge.sums import released
from edge.trust import Trust
from fieldvote.errors import SignatureError
from fieldvote.functions import LabelingFunction, Source
from fieldvote.releases import TrialReply, TrialRequest
from fieldvote.task import FUNCTIONS_FILE, Task
from strategies.labeling import AnchorSummary
from strategies.new_columns import new_anchors, new_votes

_TIMED = 1000  # items a function is timed on


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """What a trial works with.

    Attributes:
        task: The device's own task.
        pool: Its items.
        votes: How its own functions voted. Shape (n, m).
        items: Items at these positions, as functions read them.
        pins: The Python functions that may run here.
        clock_s: A clock that only goes forward.
    """

    task: Task
    pool: Pool
    votes: NDArray[np.int8]
    items: Callable[[NDArray[np.int64]], Items]
    pins: Mapping[str, str]
    clock_s: Callable[[], float]


def proposed(
    files: Mapping[str, bytes], request: TrialRequest, *, trust: Trust | None
) -> Task | None:
    """Return the task a trial is about, if its owner signed it; None if it is not newer.

    An old version is not tried again: it may have been replaced for what its sums would tell.

    Args:
        files: The device's own task.
        request: Brings the functions and the targets that sign them.
        trust: Says who may sign.

    Raises:
        SignatureError: the owner did not sign these functions with the device's other files.
        TaskError: the functions are not of this task.
    """
    if trust is None:
        raise SignatureError("no root is set, so no functions are tried")
    return trust.proposed(request.targets, {**files, FUNCTIONS_FILE: request.functions})


def try_release(
    parts: AgentParts, votes: NDArray[np.int8], request: TrialRequest
) -> tuple[TrialReply, Change]:
    """Let a release vote in shadow; return what its sums add, and what the pool then remembers.

    Args:
        parts: The device.
        votes: How its own functions voted. Shape (n, m).
        request: Brings the release.

    Raises:
        SignatureError: its owner did not sign it.
    """
    if parts.propose is None:
        raise SignatureError("this device tries no functions: nobody may sign any")
    next_task = parts.propose(request)
    if next_task is None:
        return TrialReply.nothing(request.round), Change(pool=parts.pool)
    task, payloads = parts.task, parts.pool.payloads()
    says: NDArray[np.float64] | None = None
    if any(function.reads is Source.PROBABILITIES for function in next_task.functions):
        scores = parts.scorer.score(model_inputs(payloads, task.input))
        says = scores.probabilities.astype(np.float64)

    def items(places: NDArray[np.int64]) -> Items:
        chosen = [payloads[place] for place in places]
        return items_of(chosen, task.input, None if says is None else says[places])

    shadow = Shadow(
        task=task,
        pool=parts.pool,
        votes=votes,
        items=items,
        pins=parts.pins,
        clock_s=parts.clock_s,
    )
    return shadow_votes(shadow, request, next_task)


def shadow_votes(
    shadow: Shadow, request: TrialRequest, next_task: Task
) -> tuple[TrialReply, Change]:
    """Let a release vote in shadow; return what its sums add, and what the pool then remembers."""
    own, classes = shadow.task.versions, len(shadow.task.classes)
    new = [j for j, version in enumerate(next_task.versions) if version not in own]
    if not new:
        return TrialReply.nothing(request.round), Change(pool=shadow.pool)
    versions = (*own, *(next_task.versions[j] for j in new))
    groups = {
        state: places
        for state, places in released(shadow.pool).items()
        if state.covers(own) and not state.covers(versions)
    }
    compiled = _compiled(shadow, next_task, next_task.functions)
    votes = np.full((len(shadow.votes), len(versions)), -1, dtype=np.int8)
    votes[:, : len(own)] = shadow.votes
    errors = np.zeros(len(new), dtype=np.int64)
    for state, places in groups.items():
        alone, _ = state.missing(versions)
        votes[places, len(own) :], failed = _vote(compiled, shadow.items(places), new)
        errors += failed * alone[len(own) :]
    delta = vote_delta(groups, votes, versions, classes=classes)
    if not len(delta.places):
        return TrialReply.nothing(request.round), Change(pool=shadow.pool)
    answered, anchors = _anchors(shadow, compiled, new, versions, votes)
    reply = TrialReply(
        round=request.round,
        task=next_task.digest,
        items=len(delta.places),
        seen=delta.seen[len(own) :],
        votes=delta.votes.to_vector()[new_votes(len(versions), len(new), classes=classes)],
        anchors=anchors.to_vector()[new_anchors(len(versions), len(new), classes=classes)],
        errors=errors,
        micros=_timed(shadow, next_task, new, delta),
    )

    return reply, Change(
        pool=shadow.pool,
        entering=(
            Entering(kind="summed", versions=versions, places=delta.places),
            Entering(kind="anchored", versions=versions, places=answered),
        ),
    )


def _compiled(
    shadow: Shadow, task: Task, functions: Sequence[LabelingFunction]
) -> CompiledFunctions:
    """Return some functions of a release, ready to vote."""
    return compile_functions(functions, task.input, task.classes, pins=shadow.pins)


def _vote(
    compiled: CompiledFunctions, items: Items, new: list[int]
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Return the new functions' votes, and on how many items each could not answer."""
    before = compiled.abstained_by_error.copy()
    votes = compiled.vote(items)[:, new]
    failed = [compiled.abstained_by_error[compiled.ids[j]] - before[compiled.ids[j]] for j in new]
    return votes, np.array(failed, dtype=np.int64)


def _anchors(
    shadow: Shadow,
    compiled: CompiledFunctions,
    new: list[int],
    versions: tuple[str, ...],
    votes: NDArray[np.int8],
) -> tuple[NDArray[np.int64], AnchorSummary]:
    """Return what the new functions add to the anchors of answered items."""
    own = shadow.task.versions
    answers = shadow.pool.column("answer")
    groups = {
        state: places[answers[places] >= 0]
        for state, places in released(shadow.pool, "anchored").items()
        if state.covers(own)
    }
    for places in groups.values():
        votes[places, len(own) :], _ = _vote(compiled, shadow.items(places), new)
    return anchor_delta(groups, votes, answers, versions, classes=len(shadow.task.classes))


def _timed(shadow: Shadow, next_task: Task, new: list[int], delta: VoteDelta) -> NDArray[np.int64]:
    """Return what each new function takes on a thousand items, in microseconds."""
    items = shadow.items(delta.places[:_TIMED])
    took = []
    for j in new:
        alone = _compiled(shadow, next_task, [next_task.functions[j]])
        began_s = shadow.clock_s()
        alone.vote(items)
        took.append(round((shadow.clock_s() - began_s) * 1e9 / max(len(items), 1)))
    return np.array(took, dtype=np.int64)
