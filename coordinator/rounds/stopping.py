"""When a campaign ends by itself, and the sentence it ends with."""

from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.gate import right_of
from coordinator.rounds.planning import affordable
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from strategies.stopping import Gain, surely_reached


def why_stop(campaign: CampaignState, settings: CampaignSettings, store: Store) -> str:
    """Return why no round should begin any more; empty where one may.

    Args:
        campaign: Where it stands.
        settings: When it ends.
        store: Knows what was spent.
    """
    stop, gain = settings.stop, campaign.steering.gain
    if campaign.open or not campaign.last:
        return ""  # what is under way may still say otherwise
    if stop.at_accuracy is not None:
        right, items = right_of(campaign.scored)
        if surely_reached(right, items, stop.at_accuracy):
            return (
                f"the target is reached: {right} of {items} held-out items are right, surely no"
                f" less than {stop.at_accuracy:g}"
            )
    if stop.at_least_gain is not None and gain.round:
        found = Gain(per_thousand=gain.per_thousand, low=gain.low, high=gain.high)
        if found.surely_below(stop.at_least_gain):
            return (
                f"choosing brings too little: {gain.low:.3f} to {gain.high:.3f} more accuracy for"
                f" 1,000 labels than random picks, in round {gain.round}"
            )
    if stop.when_spent and affordable(settings, store) <= 0:
        return "the budget is spent: it pays for no further label"
    return ""
