"""Heads that devices trained, summed in random groups: one that lies spoils its group's sum only.

Under secure sums no head is seen by itself. So a leg is asked of one group after the other, each a
sum of its own under a name of its own, over an epoch of its own devices; whose sum cannot be true
is dropped, and of the others the median is taken, number by number. Who is in which group is drawn
for every leg, and written down before the first one is asked: no device is in two.
"""

from collections.abc import Sequence

import numpy as np

from coordinator.rounds.machine import RoundState
from coordinator.rounds.parts import Parts
from coordinator.rounds.question import Rest
from coordinator.rounds.robust import combined
from coordinator.settings import CampaignSettings
from fieldvote.codec import IntVector
from fieldvote.errors import SettingsError
from fieldvote.records import DeviceId
from fieldvote.rng import stream
from strategies.aggregation.groups import GroupSum, deal, median_of_groups

_RULE, _NOTE = "groups", "groups of a leg"
_FAR = 3.0  # times the median of the groups: longer, or heavier, is no honest group


class GroupLegs:
    """The groups of the leg under way."""

    def __init__(self, parts: Parts) -> None:
        """Deal as the campaign says.

        Raises:
            SettingsError: sums are not made under masks, or are not of heads devices trained.
        """
        self._parts, self._settings, self._store = parts, parts.settings, parts.store
        if not self.on:
            return
        policy = parts.task.policy
        if not policy.cohort.secure or policy.privacy.on or parts.settings.learner != "averaged":
            raise SettingsError(
                "campaign.robust: 'groups' is for sums under masks and without noise, of heads that"
                " devices train with learner = 'averaged'"
            )

    @property
    def on(self) -> bool:
        """Whether devices are asked in groups."""
        return self._settings.robust == _RULE

    def number(self, state: RoundState, step: int) -> int:
        """Return the number of the leg that is asked now: the first group that was not."""
        return len(state.legs) if self.on else step

    def members(
        self, state: RoundState, step: int, able: Sequence[DeviceId]
    ) -> frozenset[DeviceId] | Rest:
        """Return whom the leg under way is asked of; a reason why it cannot be asked.

        Args:
            state: The round.
            step: Which step of the solver.
            able: Devices that can be asked now, in ascending order.
        """
        if not self.on:
            return frozenset(able)
        place, key = len(state.legs) % self._settings.groups, f"{state.number} {step}"
        kept, _, dealt = (self._store.note(_NOTE) or "").partition(":")
        if kept != key:
            groups, floor = self._settings.groups, self._parts.least_asked
            if len(able) < groups * floor:
                return Rest(
                    about=f"train: {len(able)} devices are there, {groups * floor} are needed for"
                    f" {groups} groups of {floor}"
                )
            rng = stream(self._settings.seed, _RULE, state.number, step)
            parts = deal(len(able), groups=groups, floor=floor, rng=rng)
            dealt = ";".join(",".join(str(int(able[i])) for i in part) for part in parts)
            with self._store.transaction():
                self._store.keep_note(_NOTE, f"{key}:{dealt}")
        return frozenset(DeviceId(int(name)) for name in dealt.split(";")[place].split(","))


def steps_of(legs: Sequence[IntVector], settings: CampaignSettings) -> list[IntVector]:
    """Return what a solver is sent, from the sums of all legs; without groups they are the same.

    >>> from types import SimpleNamespace
    >>> legs = [np.array([2, 20]), np.array([2, 10**9]), np.array([2, 22]), np.array([2, 20])]
    >>> [it.tolist() for it in steps_of(legs, SimpleNamespace(robust="groups", groups=3))]
    [[4, 42]]
    """
    if settings.robust != _RULE:
        return list(legs)
    size = settings.groups
    whole = range(0, len(legs) - size + 1, size)
    return [median_sum(legs[start : start + size]) for start in whole]


def median_sum(sums: Sequence[IntVector]) -> IntVector:
    """Return one vector in the place of the sum over all groups.

    Args:
        sums: A weight, and the heads times their weights, added up over a group. Length 1 + p each.

    >>> honest, lie = np.array([4, 40, -40]), np.array([4, -4000, 4000])
    >>> median_sum([honest, honest, lie]).tolist()
    [8, 80, -80]
    """
    taught = [total for total in sums if total[0] > 0]
    if not taught:
        return np.zeros_like(sums[0])
    heaviest = _FAR * float(np.median([float(total[0]) for total in taught]))
    light = [total for total in taught if float(total[0]) <= heaviest]
    means = [GroupSum(total=total[1:] / float(total[0]), devices=1) for total in light]
    length = float(np.median([np.linalg.norm(mean.total) for mean in means]))
    if not 0 < length < np.inf:
        return combined(light, rule="median", lying_share=0.0)
    dropped = median_of_groups(means, bound=_FAR * length).dropped
    kept = [total for place, total in enumerate(light) if place not in dropped]
    return combined(kept, rule="median", lying_share=0.0)
