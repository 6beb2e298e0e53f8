"""Training a network across devices: each exchange asks for a move, and the server steps.

As any solver it is a function of the sums it is sent, so a round is rebuilt from those to the same
bits, whichever devices they came from.
"""

from collections.abc import Callable
from dataclasses import replace

from coordinator.deep_settings import DeepSettings
from coordinator.models.training import Leg, Solver, Trained, is_reply
from coordinator.settings import CampaignSettings
from fieldvote.codec import IntVector
from fieldvote.heads import HeadModel
from fieldvote.rng import stream
from fieldvote.training import Drill
from strategies.aggregation.adaptive import advance, begin
from strategies.aggregation.deep_update import DeepUpdate, is_deep_update


def train_deep(model: HeadModel, settings: DeepSettings, *, exchanges: int) -> Solver:
    """Train a model's network from where it stands.

    Args:
        model: Holds the network's weights.
        settings: How.
        exchanges: How often devices are asked for a move.
    """
    state = begin(model.deep, settings.rates)
    for step in range(exchanges):
        total = yield Leg(step=step, model=replace(model, deep=state.point))
        state = advance(
            state,
            DeepUpdate.from_vector(total),
            server=settings.server_optimizer,
            rates=settings.rates,
        )
    return Trained(model=replace(model, deep=state.point), exchanges=exchanges)


def drill_of(settings: CampaignSettings, *, number: int, step: int) -> Drill | None:
    """Return how devices train in one exchange of a round; None where only a head is trained."""
    if settings.learner != "deep":
        return None
    deep = settings.deep
    return Drill(
        batch=deep.batch,
        rate=deep.rate,
        clip=deep.clip,
        clip_norm=deep.clip_norm,
        proximal=deep.proximal,
        seed=int(stream(settings.seed, "drill", number, step).integers(1 << 31)),
    )


def reply_check(model: HeadModel, settings: CampaignSettings) -> Callable[[IntVector], bool]:
    """Return what tells a reply that a device can have sent to one exchange from any other."""
    if settings.learner == "deep":
        size, clip = len(model.deep), settings.deep.clip
        return lambda vector: is_deep_update(vector, size=size, clip=clip)
    averaged = settings.learner == "averaged"
    return lambda vector: is_reply(model, vector, averaged=averaged)
