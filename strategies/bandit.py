"""Learning which strategy to ask by: discounted Thompson sampling with a reward that comes late.

Each arm's reward is taken to be normal with an unknown mean. The arm is played whose mean, drawn
from what is believed of it, is highest. Old rewards fade, because the strategy that was best with
few labels need not be best with many; the belief in an arm that is not played grows wide again, and
it gets another try.

Sources: Thompson 1933, Biometrika 25; Raj and Kalyani 2017, arXiv:1707.09727, section 3 (the
discount); Agrawal and Goyal 2013, AISTATS, section 2 (normal rewards).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite, sqrt

import numpy as np
from numpy.random import Generator

from fieldvote.errors import InputError, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What is known of one arm.

    Attributes:
        plays: Rewards seen, older ones counting less.
        reward: Their sum, fading alike.
    """

    plays: float = 0.0
    reward: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandit:
    """A choice between named arms; every change returns another value.

    Attributes:
        arms: What is known of each.
        waiting: Plays whose reward has not come: name of a play to its arm.
        discount: What is left of an older reward after each newer one, 0 to 1.
        stddev: Of one reward around its arm's mean, in the unit of the reward.
    """

    arms: Mapping[str, Arm]
    waiting: Mapping[str, str]
    discount: float = 0.9
    stddev: float = 1.0

    @staticmethod
    def over(*names: str, discount: float = 0.9, stddev: float = 1.0) -> "Bandit":
        """Begin with arms of which nothing is known.

        Raises:
            InputError: no arm, a name twice, a discount outside 0 to 1, or a stddev not above 0.
        """
        if not names or len(set(names)) < len(names):
            raise InputError("expected arms with names of their own")
        if not 0 < discount <= 1 or not (isfinite(stddev) and stddev > 0):
            raise InputError("expected a discount in 0 to 1 and a standard deviation above 0")
        return Bandit(
            arms={name: Arm() for name in names}, waiting={}, discount=discount, stddev=stddev
        )

    def choose(self, play: str, rng: Generator) -> tuple["Bandit", str]:
        """Return the arm to play, and the bandit that waits for its reward.

        A play that is chosen for again, as after a crash, gets the arm it had.

        >>> bandit, arm = Bandit.over("margin", "badge").choose("round 1", np.random.default_rng(0))
        >>> arm in bandit.arms, bandit.choose("round 1", np.random.default_rng(9))[1] == arm
        (True, True)
        """
        if play in self.waiting:
            return self, self.waiting[play]
        on_the_way = list(self.waiting.values())
        drawn = {}
        for name, arm in sorted(self.arms.items()):
            # what is on its way will be known: it narrows the belief, so that arms take turns
            seen = arm.plays + on_the_way.count(name)
            mean = arm.reward / arm.plays if arm.plays else 0.0
            drawn[name] = rng.normal(mean, self.stddev / sqrt(seen + 1)) if seen else np.inf
        best = max(sorted(drawn), key=lambda name: drawn[name])
        return replace(self, waiting={**self.waiting, play: best}), best

    def waiting_for(self, play: str, arm: str) -> "Bandit":
        """Return the bandit that waits for the reward of a play somebody has chosen.

        Raises:
            InputError: no such arm.
        """
        if arm not in self.arms:
            raise InputError(f"no arm '{arm}': {nearest(arm, list(self.arms))}")
        return replace(self, waiting={**self.waiting, play: arm})

    def rewarded(self, play: str, reward: float) -> "Bandit":
        """Return the bandit after the reward of a play, whichever order they come in.

        Raises:
            InputError: nobody waits for this play, or the reward is not finite.
        """
        if play not in self.waiting:
            raise InputError(f"no play '{play}': {nearest(play, list(self.waiting))}")
        if not isfinite(reward):
            raise InputError("a reward must be finite")
        faded = {
            name: Arm(plays=self.discount * arm.plays, reward=self.discount * arm.reward)
            for name, arm in self.arms.items()
        }
        name = self.waiting[play]
        arm = faded[name]
        faded[name] = Arm(plays=arm.plays + 1, reward=arm.reward + reward)
        waiting = {key: held for key, held in self.waiting.items() if key != play}
        return replace(self, arms=faded, waiting=waiting)

    def given_up(self, play: str) -> "Bandit":
        """Return the bandit without a play whose reward will never come."""
        return replace(self, waiting={k: held for k, held in self.waiting.items() if k != play})
