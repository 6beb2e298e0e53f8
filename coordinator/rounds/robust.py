"""Heads that devices trained, combined so that a few liars cannot move them: without secure sums.

Where every reply is seen by itself, a rule of `strategies.aggregation.robust` takes the place of
the weighted mean. What a device says of its own weight is not believed either: every head counts
the same, and all together as much as that many median devices.
"""

from collections.abc import Callable, Mapping

import numpy as np

from coordinator.rounds.judging import NOTHING, Judging, LegSums
from coordinator.rounds.machine import RoundState
from coordinator.settings import CampaignSettings
from fieldvote.codec import IntVector
from fieldvote.errors import SettingsError
from fieldvote.records import DeviceId
from fieldvote.task import Task
from strategies.aggregation.robust import ROBUST

_ELSEWHERE = ("mean", "groups")  # these take sums as they come
_HEADROOM = 2.0**52  # whole numbers up to here are exact as floats


class RobustLegs:
    """Heads of one leg, by device, until it is closed."""

    def __init__(self, settings: CampaignSettings, task: Task) -> None:
        """Combine by the campaign's rule.

        Raises:
            SettingsError: there would be no single heads to look at.
        """
        self._rule, self._share = settings.robust, settings.lying_share
        self._heads: dict[tuple[int, int], dict[DeviceId, IntVector]] = {}
        if not self.on:
            return
        if task.policy.cohort.secure or task.policy.privacy.on:
            raise SettingsError(
                "campaign.robust: the task's policy lets nobody see a single device's head, so none"
                " can be told from the others; leave it at 'mean'"
            )
        if settings.learner != "averaged":
            raise SettingsError(
                "campaign.robust: combines heads that devices train, with learner = 'averaged', and"
                f" this campaign's is '{settings.learner}'"
            )

    @property
    def on(self) -> bool:
        """Whether heads are combined by another rule than their weighted mean."""
        return self._rule not in _ELSEWHERE

    def add(self, state: RoundState, leg: int, vectors: Mapping[DeviceId, IntVector]) -> None:
        """Keep heads; a device that answers again has said something else, and counts once."""
        key = (state.number, leg)
        self._heads = {key: self._heads.get(key, {}) | dict(vectors)}

    def closing(self, state: RoundState, leg: int, judging: Judging) -> Callable[[], str]:
        """Return what keeps the leg's combined head, and returns its digest."""

        def close() -> str:
            heads = self._heads.pop((state.number, leg), {})
            if heads:
                total = combined(list(heads.values()), rule=self._rule, lying_share=self._share)
                judging.add(state, "train", leg, LegSums(held_out=total, random_arm=NOTHING))
            return judging.keep(state, "train", leg)

        return close


def combined(heads: list[IntVector], *, rule: str, lying_share: float) -> IntVector:
    """Return one vector in the place of the heads' sum.

    Args:
        heads: A weight, and a head times that weight, of each device. Length 1 + p each.
        rule: Key of ROBUST.
        lying_share: Part of the devices that may lie.

    >>> honest, liar = np.array([2, 20, -20]), np.array([1, 10**9, 10**9])
    >>> combined([honest] * 4 + [liar], rule="median", lying_share=0.2).tolist()
    [10, 100, -100]
    """
    taught = [head for head in heads if head[0] > 0]
    if not taught:
        return np.zeros_like(heads[0])
    rows = np.stack([head[1:] / float(head[0]) for head in taught])
    weight = float(np.median([float(head[0]) for head in taught])) * len(taught)
    head = ROBUST[rule](rows, lying_share)
    weight = min(weight, _HEADROOM / max(float(np.abs(head).max(initial=0.0)), 1.0))
    whole = max(int(weight), 1)
    return np.concatenate([[whole], np.rint(head * whole)]).astype(np.int64)
