"""What was known is held when a function changes, and the gate sees when it is not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.head import Head, predict
from strategies.governance.fisher import (
    ElasticPenalty,
    head_fisher,
)
from strategies.governance.replay import (
    choose_replay,
    distillation_targets,
    teacher_share,
)
from strategies.governance.retention import (
    Finding,
    RetentionCounts,
    RetentionRule,
    judge,
    paired_interval,
    retention_score,
)
from tests.strategies.governance.made_fleet import (
    CLASSES,
    Fleet,
    accuracy,
    fleet,
    label_model,
    newton,
    real,
    trained,
    with_one_voice_for,
)

NAMES = ("a", "b", "c", "d")
LOST_CLASS = 2


def new_version(made: Fleet, seed: int) -> Fleet:
    """Function 0 gets better on three classes, and forgets the one that only it knew."""
    old = made.votes[:, 0]
    better = (old >= 0) & (np.random.default_rng([seed, 2]).random(len(old)) < 0.9)
    new = np.where(old == LOST_CLASS, -1, np.where(better, made.truth, old))
    new = np.where(new == LOST_CLASS, -1, new)
    votes = made.votes.copy()
    votes[:, 0] = new
    return replace(made, votes=votes)


def held(before: Fleet, after: Fleet, anchors: Fleet, head: Head) -> Head:
    """Train on the new version's labels with all three means of retention."""
    share = teacher_share(before.votes, after.votes, classes=CLASSES)
    targets = distillation_targets(
        label_model(after).predict(after.votes), predict(after.inputs, head), share, temperature=0.8
    )
    kept = anchors.rows(
        choose_replay(real(anchors.inputs), anchors.truth, classes=CLASSES, most=80)
    )
    penalty = ElasticPenalty(
        anchor=head.values.ravel(),
        importance=head_fisher(before.inputs, before.voted, head).total,
        strength=1.0,
    )
    return newton(
        np.r_[after.inputs, kept.inputs],
        np.r_[targets, np.eye(CLASSES)[kept.truth]],
        np.r_[np.ones(len(after.inputs)), np.full(len(kept.inputs), 2.0)],
        hold=lambda flat: (penalty.gradient(flat), penalty.strength * penalty.importance),
    )


def became(suite: Fleet, before: Head, after: Head) -> RetentionCounts:
    old, new = (predict(suite.inputs, head).argmax(axis=1) for head in (before, after))
    return RetentionCounts.of(old, new, suite.truth, classes=CLASSES)


@pytest.mark.parametrize("seed", range(5))
def test_a_class_is_lost_without_retention_and_held_with_it(seed: int) -> None:
    made = with_one_voice_for(fleet(seed, items=3000), LOST_CLASS)
    train, anchors = made.rows(slice(0, 1200)), made.rows(slice(1200, 1500))
    suite = made.rows(slice(1500, None))
    _, head = trained(train)
    after = new_version(train, seed)
    bare = became(suite, head, trained(after)[1])
    refused = judge(bare, RetentionRule(), classes=NAMES)
    assert retention_score(bare.fates[0, LOST_CLASS]) == pytest.approx(0, abs=0.05)
    assert not refused.allowed
    assert any("class c" in reason for reason in refused.reasons)
    new = held(train, after, anchors, head)
    kept = became(suite, head, new)
    passed = judge(kept, RetentionRule(), classes=NAMES)
    assert passed.reasons == ()
    assert (kept.score or 0) >= 0.98
    assert (retention_score(kept.fates[0, LOST_CLASS]) or 0) >= 0.98
    assert accuracy(new, suite) >= accuracy(head, suite) - 0.01


def test_each_means_of_retention_holds_something() -> None:
    made = with_one_voice_for(fleet(0, items=3000), LOST_CLASS)
    train, suite = made.rows(slice(0, 1200)), made.rows(slice(1500, None))
    _, head = trained(train)
    after = new_version(train, 0)
    labels = label_model(after).predict(after.votes)
    anchors = made.rows(slice(1200, 1500))
    share = teacher_share(train.votes, after.votes, classes=CLASSES)
    fisher = head_fisher(train.inputs, train.voted, head).total
    penalty = ElasticPenalty(anchor=head.values.ravel(), importance=fisher, strength=4.0)

    def known(new: Head) -> float:
        return retention_score(became(suite, head, new).fates[0, LOST_CLASS]) or 0.0

    assert known(newton(after.inputs, labels, after.voted)) < 0.02
    elastic = newton(
        after.inputs,
        labels,
        after.voted,
        hold=lambda flat: (penalty.gradient(flat), 4.0 * penalty.importance),
    )
    taught = newton(
        after.inputs,
        distillation_targets(labels, predict(after.inputs, head), share),
        np.ones(len(after.inputs)),
    )
    replayed = newton(
        np.r_[after.inputs, anchors.inputs],
        np.r_[labels, np.eye(CLASSES)[anchors.truth]],
        np.r_[after.voted, np.full(len(anchors.inputs), 4.0)],
    )
    assert min(known(elastic), known(taught), known(replayed)) > 0.3


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), cut=st.integers(0, 50))
def test_retention_counts_of_any_split_add_up(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    before, after, truth = rng.integers(0, 3, (3, 50))
    part = rng.integers(0, 2, 50)

    def counted(rows: slice) -> RetentionCounts:
        return RetentionCounts.of(
            before[rows], after[rows], truth[rows], classes=3, slice_of=part[rows], slices=2
        )

    total = RetentionCounts.none(slices=2, classes=3) + counted(slice(0, cut))
    total = total + counted(slice(cut, None))
    assert np.array_equal(total.fates, counted(slice(None)).fates)
    known = before == truth
    assert total.score == ((after == truth)[known].mean() if known.any() else None)


def test_the_paired_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    shares = np.array([0.8, 0.06, 0.04, 0.1])
    drawn = rng.multinomial(80, shares, size=4000)
    covered = [low <= -0.02 <= high for low, high in map(paired_interval, drawn)]
    assert 0.94 < np.mean(covered) < 0.985


def fates(*rows: tuple[int, int, int, int]) -> RetentionCounts:
    return RetentionCounts(fates=np.array([rows], dtype=np.int64))


def test_a_lost_class_cannot_hide_behind_another_ones_gain() -> None:
    counts = fates((100, 0, 100, 0), (60, 40, 0, 0))
    told = judge(counts, RetentionRule(), classes=("a", "b"))
    assert [each.finding for each in told.judged[:3]] == [
        Finding.HELD,
        Finding.HELD,
        Finding.LOST,
    ]
    assert not told.allowed
    assert told.reasons[0].startswith("class b")


def test_a_lost_slice_cannot_hide_in_its_class() -> None:
    table = np.array([[[500, 0, 5, 0]], [[10, 10, 0, 0]]], dtype=np.int64).repeat(2, axis=1)
    table[1, 1] = (20, 0, 0, 0)
    told = judge(
        RetentionCounts(fates=table), RetentionRule(), classes=("a", "b"), slices=("day", "night")
    )
    assert [each.name for each in told.judged if each.finding is Finding.LOST] == ["slice night"]
    assert not told.allowed


def test_what_is_not_known_is_not_called_held() -> None:
    counts = fates((100, 0, 0, 0), (3, 0, 0, 0))
    strict = judge(counts, RetentionRule(), classes=("a", "b"))
    assert strict.reasons == (f"class b: {Finding.UNKNOWN.value}",)
    assert judge(counts, RetentionRule(allow_unknown=True), classes=("a", "b")).allowed
    nothing = judge(RetentionCounts.none(slices=1, classes=2), RetentionRule(), classes=("a", "b"))
    assert nothing.judged[0].score is None
    assert not nothing.allowed


def test_a_model_that_learned_far_more_than_it_lost_is_let_through() -> None:
    better = fates((100, 4, 60, 10), (100, 4, 60, 10))
    same = fates((100, 4, 3, 10), (100, 4, 3, 10))
    assert judge(better, RetentionRule(), classes=("a", "b")).allowed
    told = judge(same, RetentionRule(), classes=("a", "b"))
    assert told.reasons == ("whole suite: retention 0.962 is below 0.98",)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="slices"):
        RetentionCounts.of([0], [0], [0], classes=2, slice_of=[3], slices=2)
    with pytest.raises(ShapeError):
        judge(RetentionCounts.none(slices=1, classes=2), RetentionRule(), classes=NAMES)
    with pytest.raises(InputError):
        RetentionRule(least_score=1.5)
