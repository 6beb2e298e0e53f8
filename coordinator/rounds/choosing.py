"""How the next round chooses, where the campaign is to find out what works: a bandit over rounds.

What strategies have brought is read off the campaign's state, which is a fold over its events; the
choice itself goes into the event that plans the round.
"""

from statistics import pstdev

from coordinator.rounds.steering import AUTO, FLEET, Steering
from coordinator.settings import CampaignSettings
from fieldvote.rng import stream
from strategies.bandit import Bandit

ARMS = (FLEET, "margin", "entropy", "cluster_margin")
"""What is tried. Each ranks by what every device can compute, and offers the same few bytes."""
_DISCOUNT = 0.9
_FEW = 3  # rewards; before there are more, one is taken to stray by as much as it is
_LEAST_STDDEV = 1e-3


def choose_strategy(steering: Steering, settings: CampaignSettings, number: int) -> str:
    """Return how a round is to choose; empty: as the settings say.

    Args:
        steering: What rounds have brought so far.
        settings: Of the campaign.
        number: The round.
    """
    if settings.strategy != AUTO:
        return ""
    rng = stream(settings.seed, "strategy", number)
    _, arm = bandit_of(steering).choose(str(number), rng)
    return arm


def bandit_of(steering: Steering) -> Bandit:
    """Return the bandit that has seen these rounds."""
    rewards = [play.reward for play in steering.plays if play.known]
    stddev = pstdev(rewards) if len(rewards) > _FEW else max(map(abs, rewards), default=1.0)
    bandit = Bandit.over(*ARMS, discount=_DISCOUNT, stddev=max(stddev, _LEAST_STDDEV))
    for play in steering.plays:
        # a strategy that an earlier program tried and this one does not
        if play.strategy in bandit.arms:
            bandit = bandit.waiting_for(str(play.round), play.strategy)
            if play.known:
                bandit = bandit.rewarded(str(play.round), play.reward)
    return bandit
