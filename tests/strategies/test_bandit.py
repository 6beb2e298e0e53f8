"""The bandit finds the better arm, follows a change, and survives rewards in any order."""

import numpy as np
import pytest

from fieldvote.errors import InputError
from strategies.bandit import Bandit


def plays_of(
    means: list[dict[str, float]], *, seed: int, delay: int = 0, discount: float = 0.95
) -> list[str]:
    """Play once per entry of means; rewards come so many plays late."""
    rng = np.random.default_rng(seed)
    bandit = Bandit.over(*means[0], discount=discount, stddev=0.5)
    played: list[str] = []
    for number, mean in enumerate(means):
        bandit, arm = bandit.choose(str(number), rng)
        played.append(arm)
        if number >= delay:
            late = number - delay
            bandit = bandit.rewarded(str(late), rng.normal(means[late][played[late]], 0.5))
        assert set(mean) == set(bandit.arms)
    return played


@pytest.mark.parametrize("delay", [0, 5])
def test_the_better_arm_is_played_most(delay: int) -> None:
    shares = [
        np.mean([arm == "b" for arm in plays_of([{"a": 0.0, "b": 1.0}] * 200, seed=s, delay=delay)])
        for s in range(10)
    ]
    assert np.mean(shares) > 0.8


def test_a_change_is_followed() -> None:
    means = [{"a": 1.0, "b": 0.0}] * 100 + [{"a": 0.0, "b": 1.0}] * 100
    late = [np.mean([a == "b" for a in plays_of(means, seed=s)[150:]]) for s in range(10)]
    assert np.mean(late) > 0.7
    # without fading, a hundred old rewards outweigh what has changed
    stuck = [
        np.mean([a == "b" for a in plays_of(means, seed=s, discount=1.0)[150:]]) for s in range(10)
    ]
    assert np.mean(late) > np.mean(stuck)


def test_every_arm_is_tried_and_a_play_keeps_its_arm() -> None:
    rng = np.random.default_rng(0)
    bandit = Bandit.over("a", "b", "c")
    arms = set()
    for play in "xyz":
        bandit, arm = bandit.choose(play, rng)
        again, same = bandit.choose(play, rng)
        assert (again, same) == (bandit, arm)
        arms.add(arm)
    assert arms == {"a", "b", "c"}


def test_rewards_come_in_any_order_or_never() -> None:
    rng = np.random.default_rng(0)
    bandit = Bandit.over("a", "b", discount=1.0)
    for play in ("1", "2"):
        bandit, _ = bandit.choose(play, rng)
    one_way = bandit.rewarded("1", 1.0).rewarded("2", 2.0)
    other_way = bandit.rewarded("2", 2.0).rewarded("1", 1.0)
    assert one_way.arms == other_way.arms
    assert not bandit.given_up("1").given_up("2").waiting


def test_a_play_that_somebody_chose_is_rewarded_like_one_of_its_own() -> None:
    mine, _ = Bandit.over("a", "b").choose("1", np.random.default_rng(0))
    arm = mine.waiting["1"]
    told = Bandit.over("a", "b").waiting_for("1", arm)
    assert told == mine
    assert told.rewarded("1", 2.0) == mine.rewarded("1", 2.0)
    with pytest.raises(InputError):
        told.waiting_for("2", "c")


def test_what_makes_no_sense_is_refused() -> None:
    bandit, _ = Bandit.over("a").choose("1", np.random.default_rng(0))
    with pytest.raises(InputError, match="no play"):
        bandit.rewarded("2", 1.0)
    with pytest.raises(InputError):
        bandit.rewarded("1", float("nan"))
    for make in (
        lambda: Bandit.over(),
        lambda: Bandit.over("a", "a"),
        lambda: Bandit.over("a", discount=0.0),
        lambda: Bandit.over("a", stddev=float("inf")),
    ):
        with pytest.raises(InputError):
            make()
