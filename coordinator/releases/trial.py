"""A trial: whom it is asked of, with what, and what the replies add up to."""

from collections.abc import Sequence

import numpy as np

from coordinator.releases.keyed import KeyedSums
from coordinator.releases.machine import ReleaseState
from coordinator.releases.report import Conduct
from fieldvote.bundle import TARGETS_FILE, Bundle, unpack
from fieldvote.records import DeviceId, encode
from fieldvote.releases import TrialReply, TrialRequest
from fieldvote.rng import stream
from fieldvote.task import FUNCTIONS_FILE, Task
from strategies.labeling import AnchorSummary, VoteSummary
from strategies.new_columns import new_anchors, new_votes, spread


def chosen(training: Sequence[DeviceId], state: ReleaseState, seed: int) -> list[DeviceId]:
    """Return the devices a release is tried on: its share of those there, at least one.

    >>> state = ReleaseState(number=1, share=0.5)
    >>> devices = [DeviceId(n) for n in range(4)]
    >>> len(chosen(devices, state, 7)), chosen(devices, state, 7) == chosen(devices, state, 7)
    (2, True)
    """
    if not training:
        return []
    count = max(1, round(state.share * len(training)))
    rng = stream(seed, "release", state.number)
    return sorted(training[place] for place in rng.permutation(len(training))[:count])


def trial_requests(
    state: ReleaseState, bundle: Bundle, devices: Sequence[DeviceId]
) -> dict[DeviceId, bytes]:
    """Return what is sent: the functions and the targets, never a model."""
    files = unpack(bundle.content)
    request = TrialRequest(
        round=state.number,
        task=state.parent,
        targets=files[TARGETS_FILE],
        functions=files[FUNCTIONS_FILE],
    )
    return dict.fromkeys(devices, encode(request))


def conduct_of(replies: Sequence[TrialReply], brought: int) -> Conduct:
    """Return what replies say of new functions beside their votes."""
    told = [reply for reply in replies if reply.items]
    nothing = np.zeros(brought, dtype=np.int64)
    return Conduct(
        devices=len(replies) - len(told) + sum(reply.told for reply in told),
        items=sum(reply.items for reply in told),
        timed=sum(reply.told for reply in told),
        seen=sum((reply.seen for reply in told), start=nothing),
        errors=sum((reply.errors for reply in told), start=nothing),
        micros=sum((reply.micros for reply in told), start=nothing),
    )


def sums_of(replies: Sequence[TrialReply], before: Task, brought: Sequence[str]) -> KeyedSums:
    """Return what replies add to the sums by version."""
    versions, classes = (*before.versions, *brought), len(before.classes)
    shape = {"functions": len(versions), "classes": classes}
    of_votes = new_votes(len(versions), len(brought), classes=classes)
    of_anchors = new_anchors(len(versions), len(brought), classes=classes)
    total = KeyedSums.empty(versions, classes=classes)
    for reply in replies:
        if reply.items:
            votes, anchors = spread(reply.votes, of_votes), spread(reply.anchors, of_anchors)
            seen = np.zeros(len(versions), dtype=np.int64)
            seen[len(before.versions) :] = reply.seen
            total += KeyedSums(
                versions=versions,
                votes=VoteSummary.from_vector(votes, **shape),
                anchors=AnchorSummary.from_vector(anchors, **shape),
                seen=seen,
            )
    return total
