"""What the round after a change of functions keeps of what was known: weights, teacher, answers.

All three rest on the head before the change. How much its answers depend on each weight was summed
when that head was new, while devices still voted by the old functions; afterwards nobody could say.
"""

from dataclasses import dataclass

import numpy as np

from coordinator.models.shelf import Shelf
from coordinator.models.totals import Snapshot
from coordinator.models.training import head_of
from coordinator.releases.tasks import known_task
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.influence import changed_since, maker_of, trace_of
from coordinator.rounds.machine import RoundState
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from fieldvote.errors import InputError
from fieldvote.heads import HeadModel, Keeping
from fieldvote.task import Task
from strategies.aggregation.solver import Hold
from strategies.governance.fisher import FisherSums


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """What a round keeps of the head before.

    Attributes:
        hold: Weights that are held where they were; None holds none.
        keeping: What devices are told; None where they do nothing about it.
    """

    hold: Hold | None
    keeping: Keeping | None


def kept_in(
    store: Store,
    task: Task,
    settings: CampaignSettings,
    state: RoundState,
    campaign: CampaignState,
) -> Kept | None:
    """Return what a round keeps; None where functions are as they were, or nothing is to be kept.

    Args:
        store: Holds heads, snapshots and traces.
        task: Of the round.
        settings: Of the round.
        state: The round.
        campaign: As it is while the round trains.
    """
    rule, maker = settings.retention, maker_of(campaign, state.parent)
    if not rule.keeps or maker is None or not changed_since(store, state, campaign):
        return None
    before = Shelf(store).get(state.parent)
    if len(before.deep):
        return None
    taught = rule.teacher_share > 0 or rule.replay > 0
    # weights are held where training starts from them: not if inputs are made in another way now
    held = settings.learner == "summed" and state.base == state.parent
    return Kept(
        hold=_hold(store, before, maker, rule.hold) if held else None,
        keeping=Keeping(
            before=before,
            share=rule.teacher_share,
            fresh=_fresh(store, task, maker),
            replay=rule.replay,
            replayed=rule.replayed,
        )
        if taught
        else None,
    )


def _hold(store: Store, before: HeadModel, maker: RoundState, strength: float) -> Hold | None:
    """Return how strongly each weight is held; None where it was never asked what they carry."""
    trace = trace_of(store, maker) if strength > 0 else None
    if trace is None or not len(trace.fisher):
        return None
    try:
        sums = FisherSums.from_vector(trace.fisher)
    except InputError:
        return None  # some device lied: what it says holds nothing in place
    anchor = head_of(before).values
    return Hold(anchor=anchor, stiffness=strength * sums.total.reshape(anchor.shape))


def _fresh(
    store: Store, task: Task, maker: RoundState
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the places of functions that the head before was not taught by."""
    then = known_task(store, Snapshot.from_bytes(store.artifact(maker.inputs)).task)
    known = frozenset(() if then is None else then.versions)
    places = [place for place, each in enumerate(task.versions) if each not in known]
    return np.array(places, dtype=np.int64)
