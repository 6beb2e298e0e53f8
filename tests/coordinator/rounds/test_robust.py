"""A fifth of the devices lies about the heads it trained: the mean is lost, other rules are not."""

from dataclasses import replace

import numpy as np
import pytest

from coordinator.models.training import head_of
from coordinator.rounds.events import Trained
from coordinator.rounds.robust import combined
from coordinator.settings import RolloutSettings
from edge.learning.learner import representation_of
from fieldvote.errors import InputError, SettingsError
from fieldvote.heads import GradientReply, HeadModel
from fieldvote.records import DeviceId, decode, encode
from fieldvote.rng import stream
from strategies.aggregation.summed_head import predict
from tests.coordinator.rounds.campaign import SETTINGS, Campaign, make_fleet
from tests.coordinator.rounds.test_private import TASK as PRIVATE
from tests.coordinator.summing.fleets import SECURE

DEVICES, LIARS = 20, 4
AVERAGED = replace(
    SETTINGS, learner="averaged", labels_per_device=8, exchanges=3, vote_weight=0.0, offers=12,
    rollout=RolloutSettings(enabled=False),  # what is looked at is the head, not who serves it
)  # fmt: skip


def lie(blob: bytes) -> bytes:
    """Return a reply whose head says low where it is high, and loudly; anything else as it is."""
    try:
        reply = decode(blob, GradientReply)
    except InputError:
        return blob
    head = np.tile([1, -1], (len(reply.sums) - 1) // 2) << 26
    sums = np.concatenate([reply.sums[:1], reply.sums[0] * head])
    return encode(replace(reply, sums=sums))


def accuracy(model: HeadModel) -> float:
    rows = stream(8, "judged").normal(size=(2000, 3))
    inputs = representation_of(model).inputs(rows, np.zeros(3))
    predicted = predict(inputs, head_of(model)).argmax(axis=1)
    return float((predicted == (rows[:, 0] + rows[:, 1] > 0)).mean())


def trained(rule: str, *, liars: int = LIARS) -> float:
    """Return how often the last head of two rounds is right."""
    campaign = Campaign(replace(AVERAGED, robust=rule))
    campaign.fleet.close()
    campaign.fleet = make_fleet(training=DEVICES, held_out=1, items=20)
    campaign.network = campaign.fleet.transport()
    campaign.network.corrupt = {DeviceId(number): lie for number in range(1, liars + 1)}
    campaign.scheduler = campaign.started()
    try:
        campaign.run(2)
        return accuracy(campaign.parts.shelf.get(campaign.events(Trained)[-1].model))
    finally:
        campaign.close()


def test_a_fifth_of_liars_ruins_the_mean_and_costs_multi_krum_two_points_at_most():
    honest, ruined = trained("mean", liars=0), trained("mean")
    assert honest > 0.9
    assert ruined < honest - 0.3
    assert trained("multi_krum") >= honest - 0.02
    # liars who say the same move these where honest heads differ much, but not to their goal
    for rule in ("median", "trimmed_mean", "krum"):
        assert trained(rule) > ruined + 0.4, rule


def test_who_claims_a_great_weight_has_no_greater_say():
    rng = stream(1, "heads")
    heads = [np.concatenate([[5], 5 * rng.integers(90, 110, 4)]) for _ in range(8)]
    liar = np.concatenate([[2**30], np.full(4, -(2**30) * 1000)])
    for rule in ("median", "trimmed_mean", "krum", "multi_krum"):
        total = combined([*heads, liar], rule=rule, lying_share=0.2)
        assert total[0] == 45
        assert np.all(np.abs(total[1:] / total[0] - 100) <= 10)


def test_a_leg_that_nobody_taught_is_nothing():
    assert not combined([np.zeros(4, dtype=np.int64)] * 3, rule="median", lying_share=0.2).any()


@pytest.mark.parametrize(("task", "learner"), [(SECURE, "averaged"), (PRIVATE, "summed")])
def test_where_no_single_head_is_seen_it_is_refused(task, learner) -> None:
    with pytest.raises(SettingsError, match="nobody see a single device's head"):
        Campaign(replace(AVERAGED, robust="median", learner=learner), task=task)


def test_sums_are_not_heads():
    with pytest.raises(SettingsError, match="learner = 'averaged'"):
        Campaign(replace(AVERAGED, robust="median", learner="summed"))
    with pytest.raises(SettingsError, match="lying_share"):
        replace(AVERAGED, lying_share=0.5)
