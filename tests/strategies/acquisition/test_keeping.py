"""What stays of a stream: in parts as at once, by lot a random sample, and the best beside it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.acquisition.keeping import LOTS, choose_kept


def in_parts(
    lots: np.ndarray, scores: np.ndarray | None, cuts: list[int], *, most: int, by_lot: float
) -> tuple[list[int], int]:
    """Return the items that stay where a stream is decided part by part, and the bound of lots."""
    stays, below = np.empty(0, dtype=np.int64), LOTS
    for start, end in zip([0, *cuts], [*cuts, len(lots)], strict=True):
        here = np.concatenate([stays, np.arange(start, end)])
        told = None if scores is None else scores[here]
        kept = choose_kept(lots[here], told, most=most, by_lot=by_lot, below=below)
        stays, below = here[kept.stays], kept.below
        assert len(stays) <= max(most, 1)
    return stays.tolist(), below


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_deciding_in_parts_leaves_what_deciding_at_once_leaves(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 40))
    lots = np.array(data.draw(st.permutations(range(n))), dtype=np.int64)
    scores = data.draw(
        st.none() | st.lists(st.integers(-2, 4), min_size=n, max_size=n).map(np.array)
    )
    told = None if scores is None else np.where(scores < -1, -np.inf, scores.astype(float))
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=5)))
    most, by_lot = data.draw(st.integers(1, 12)), data.draw(st.sampled_from([0.1, 0.5, 1.0]))
    found = in_parts(lots, told, cuts, most=most, by_lot=by_lot)
    assert found == in_parts(lots, told, [], most=most, by_lot=by_lot)
    # a twin in plain Python: the lowest lots, then the best of the others, the earlier of equals
    drawn = min(n, most if told is None else max(round(by_lot * most), 1))
    by_number = sorted(range(n), key=lots.__getitem__)
    sample, others = by_number[:drawn], sorted(by_number[drawn:])
    if n > most:
        if told is not None:
            others.sort(key=lambda i: -told[i])
        assert sorted(found[0]) == sorted([*sample, *others[: most - drawn]])
    else:
        assert found == (list(range(n)), LOTS)


def test_the_sample_is_of_all_that_came_however_scores_rise_and_wherever_parts_end() -> None:
    """Chi squared over 40 items, 12,000 of them drawn; one false alarm in 1,000 seeds."""
    rng = np.random.default_rng(36)
    counts, rounds, n = np.zeros(40), 2000, 40
    for _ in range(rounds):
        lots = rng.integers(0, LOTS, size=n)
        scores = np.arange(n) + rng.random(n)  # the later, the more unsure
        cuts = sorted(rng.integers(0, n, size=3).tolist())
        stays, below = in_parts(lots, scores, cuts, most=12, by_lot=0.5)
        drawn = [item for item in stays if lots[item] < below]
        assert len(drawn) == 6
        counts[drawn] += 1
    expected = rounds * 6 / n
    # the draws of one round exclude one another, which takes out 6 / 40 of the variance
    statistic = ((counts - expected) ** 2 / (expected * (1 - 6 / n))).sum() * (n - 1) / n
    assert statistic < 72.1  # chi squared of 39 degrees at 0.999


def test_places_that_come_free_are_not_filled_by_later_items_as_a_sample() -> None:
    kept = choose_kept(np.arange(10), np.zeros(10), most=4, by_lot=0.5)
    assert kept.below == 2
    # both of the sample were asked about: what comes is drawn by the same bound as before
    later = choose_kept(np.array([8, 9, 1, 7]), np.zeros(4), most=4, by_lot=0.5, below=kept.below)
    assert later.below == 2
    more = choose_kept(np.array([8, 9, 7, 6, 1]), np.zeros(5), most=4, by_lot=0.5, below=2)
    assert more.stays.tolist() == [True, True, True, False, True]


def test_the_threshold_follows_a_burst_up_and_is_nothing_while_there_is_room() -> None:
    rng = np.random.default_rng(1)
    calm, burst = rng.random(200), 1 + rng.random(200)
    first = choose_kept(np.arange(200), calm, most=40, by_lot=0.25)
    assert first.threshold == np.sort(calm[10:])[-30]
    both = np.concatenate([calm[first.stays], burst])
    lots = np.concatenate([np.arange(200)[first.stays], np.arange(200, 400)])
    later = choose_kept(lots, both, most=40, by_lot=0.25, below=first.below)
    assert later.threshold == np.sort(burst)[-30]
    assert choose_kept(lots[:9], both[:9], most=40, by_lot=0.25).threshold == -np.inf


def test_nothing_comes_of_nothing_and_what_makes_no_sense_is_refused() -> None:
    none = np.empty(0, dtype=np.int64)
    assert choose_kept(none, None, most=3, by_lot=0.5).stays.tolist() == []
    with pytest.raises(InputError):
        choose_kept(none, None, most=0, by_lot=0.5)
    with pytest.raises(InputError):
        choose_kept(none, None, most=1, by_lot=0.0)
    with pytest.raises(InputError):
        choose_kept(np.arange(2), np.array([0.0, np.nan]), most=1, by_lot=0.5)
    with pytest.raises(ShapeError):
        choose_kept(np.arange(2), np.zeros(3), most=1, by_lot=0.5)
