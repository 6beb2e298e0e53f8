"""What teaches on a device: by hand, under any split, and never anything but the item itself."""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.learning.lessons import (
    Beliefs,
    Known,
    Lessons,
    Taught,
    certainty,
    what_teaches,
)
from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream
from fieldvote.teaching import TeachingRule
from strategies.governance import Depth, Source
from strategies.governance.depth_report import BANDS
from strategies.labeling import LabelModel, VoteSummary

CLASSES, FUNCTIONS, ITEMS = 3, 5, 60
VOTES = stream(4, "v").integers(-1, CLASSES, (ITEMS, FUNCTIONS)).astype(np.int8)
VOTES[::7] = -1  # some items nobody voted on
LABELS = stream(4, "y").integers(0, CLASSES, ITEMS)
LABEL_MODEL = LabelModel.fit(VoteSummary.from_votes(VOTES, classes=CLASSES))
TEACHER = stream(4, "p").dirichlet(np.full(CLASSES, 0.3), ITEMS)

RULES = st.builds(
    TeachingRule,
    high=st.sampled_from([0.5, 0.8, 0.95]),
    middle=st.sampled_from([0.0, 0.4, 0.5]),
    voices=st.integers(0, 3),
    agreement=st.sampled_from([0.0, 0.5, 1.0]),
    sharpness=st.sampled_from([0.0, 1.0, 2.0]),
    most_weight=st.sampled_from([0.05, 4.0]),
    groups=st.sampled_from([np.empty(0, dtype=np.int64), np.array([0, 0, 0, 3, 4])]),
)


def known(
    answered: NDArray[np.bool_], free: NDArray[np.bool_], items: slice = slice(None)
) -> Known:
    return Known(
        answers=np.where(answered, LABELS, -1)[items],
        free=free[items],
        votes=VOTES[items],
        ranks=np.arange(ITEMS)[items],
        classes=CLASSES,
    )


def some(seed: int, share: float) -> NDArray[np.bool_]:
    return np.asarray(stream(seed, "some").random(ITEMS) < share)


def beliefs(rule: TeachingRule, **changes: object) -> Beliefs:
    return Beliefs(label_model=LABEL_MODEL, vote_weight=0.5, rule=rule, **changes)  # type: ignore[arg-type]  # callers name fields


def rows_of(taught: Taught, offset: int = 0) -> list[tuple[object, ...]]:
    """Return lessons as rows that can be compared."""
    held = taught.lessons
    columns = (held.positions + offset, held.weights, held.gates, held.sources, held.second)
    return sorted(
        (*(c[i].item() for c in columns), tuple(held.targets[i].tolist())) for i in range(len(held))
    )


@settings(deadline=None, max_examples=60)
@given(RULES, st.integers(0, 99))
def test_voted_items_teach_what_one_row_at_a_time_by_hand_says(
    rule: TeachingRule, seed: int
) -> None:
    answered, free = some(seed, 0.2), ~some(seed + 100, 0.1)
    taught = what_teaches(known(answered, free), beliefs(rule))
    expected: dict[int, tuple[float, float, int]] = {}
    asked = []
    for item in range(ITEMS):
        votes = VOTES[item]
        if not free[item]:
            continue
        if answered[item]:
            expected[item] = (min(1.0, rule.most_weight), 1.0, Source.VERIFIED)
            continue
        if (votes < 0).all():
            continue
        soft = LABEL_MODEL.predict(votes[None])[0]
        best, sure = int(soft.argmax()), float(soft.max())
        groups: dict[int, set[int]] = {}
        for function, vote in enumerate(votes.tolist()):
            if vote >= 0:
                group = rule.groups[function] if len(rule.groups) else function
                groups.setdefault(int(group), set()).add(vote)
        behind = sum(said == {best} for said in groups.values())
        deep = (
            sure >= rule.high and behind >= rule.voices and behind / len(groups) >= rule.agreement
        )
        share = (sure - 1 / CLASSES) / (1 - 1 / CLASSES)
        weight = min(0.5 * share**rule.sharpness, rule.most_weight)
        if not deep and sure < rule.middle:
            asked.append(item)
        elif weight > 0:
            expected[item] = (weight, float(deep), Source.VOTED)
    held = taught.lessons
    assert sorted(held.positions.tolist()) == sorted(expected)
    for row, item in enumerate(held.positions.tolist()):
        weight, gate, source = expected[item]
        assert held.weights[row] == pytest.approx(weight, abs=1e-9)
        assert (held.gates[row], held.sources[row]) == (gate, source)
        own = np.eye(CLASSES)[LABELS[item]]
        soft = LABEL_MODEL.predict(VOTES[item][None])[0]
        assert np.array_equal(held.targets[row], own if source == Source.VERIFIED else soft)
    assert taught.asked.tolist() == asked
    assert int(taught.report.counts[:, Depth.QUERY].sum()) == len(asked)


@settings(deadline=None, max_examples=40)
@given(RULES, st.integers(0, ITEMS), st.integers(0, 99))
def test_without_pseudo_labels_any_split_of_the_items_teaches_the_same(
    rule: TeachingRule, cut: int, seed: int
) -> None:
    answered, free = some(seed, 0.2), ~some(seed + 100, 0.1)
    whole = what_teaches(known(answered, free), beliefs(rule))
    halves = [
        what_teaches(known(answered, free, part), beliefs(rule))
        for part in (slice(0, cut), slice(cut, None))
    ]
    rows = rows_of(halves[0]) + rows_of(halves[1], offset=cut)
    assert sorted(rows) == rows_of(whole)
    both = halves[0].report + halves[1].report
    assert np.array_equal(both.to_vector(), whole.report.to_vector())


@settings(deadline=None, max_examples=40)
@given(RULES, st.integers(0, 99), st.sampled_from([0.1, 0.3, 0.6]), st.sampled_from([0.0, 0.7]))
def test_where_only_people_may_teach_nothing_unverified_does(
    rule: TeachingRule, seed: int, most: float, views: float
) -> None:
    open_ = replace(
        rule,
        verified_only=True,
        thresholds=np.zeros(CLASSES, dtype=np.int64),
        most_pseudo=most,
        second_views=views,
        consistency=views,
    )
    answered = some(seed, 0.3)
    taught = what_teaches(known(answered, some(1, 2.0)), beliefs(open_, teacher=TEACHER))
    assert set(taught.lessons.sources.tolist()) <= {Source.VERIFIED}
    assert set(taught.lessons.positions.tolist()) <= set(np.flatnonzero(answered).tolist())
    one_hot = taught.lessons.targets.max(axis=1) == 1.0
    assert one_hot.all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 99), st.sampled_from([0.1, 0.3, 0.6]), st.permutations(range(ITEMS)))
def test_pseudo_labels_are_capped_weigh_what_others_do_and_know_no_order(
    seed: int, most: float, order: list[int]
) -> None:
    answered = some(seed, 0.3)
    rule = TeachingRule(thresholds=np.array([60, 100, 80]), most_pseudo=most)
    taught = what_teaches(known(answered, some(1, 2.0)), Beliefs(rule=rule, teacher=TEACHER))
    own = taught.lessons.sources == Source.PSEUDO
    count, others = int(own.sum()), int((~own).sum())
    assert count <= most * (count + others) + 1e-9
    said = TEACHER.argmax(axis=1)[taught.lessons.positions[own]]
    assert not (said == 1).any()  # no threshold is as high as that
    assert not taught.lessons.gates[own].any()
    assert np.array_equal(taught.lessons.targets[own], np.eye(CLASSES)[said])
    if count:
        assert taught.lessons.weights[own] == pytest.approx(taught.lessons.weights[~own].mean())
    shuffled = Known(
        answers=np.where(answered, LABELS, -1)[order],
        free=np.ones(ITEMS, dtype=np.bool_),
        votes=VOTES[order],
        ranks=np.arange(ITEMS)[order],
        classes=CLASSES,
    )
    again = what_teaches(shuffled, Beliefs(rule=rule, teacher=TEACHER[order])).lessons
    there = {order[place] for place in again.positions[again.sources == Source.PSEUDO].tolist()}
    assert there == set(taught.lessons.positions[own].tolist())


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_lesson_seen_again_teaches_the_same_as_deep_for_its_share(share: float) -> None:
    answered, free = some(1, 0.3), ~some(2, 0.1)
    rule = TeachingRule(high=0.6, voices=2)
    plain = what_teaches(known(answered, free), beliefs(rule))
    again = what_teaches(known(answered, free), beliefs(replace(rule, second_views=share)))
    held = again.lessons
    n = len(plain.lessons)
    assert held.second.tolist() == [False] * n + [True] * n
    for name in ("positions", "targets", "gates", "sources"):
        whole = getattr(held, name)
        assert np.array_equal(whole[:n], getattr(plain.lessons, name))
        assert np.array_equal(whole[n:], getattr(plain.lessons, name))
    assert np.array_equal(held.weights[:n], plain.lessons.weights)
    assert held.weights[n:] == pytest.approx(share * plain.lessons.weights)
    assert np.array_equal(again.report.to_vector(), plain.report.to_vector())


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_items_that_teach_nothing_else_shall_be_what_the_teacher_says_of_them(share: float) -> None:
    answered, free = some(1, 0.3), ~some(2, 0.1)
    rule = TeachingRule(consistency=share)
    held = what_teaches(known(answered, free), beliefs(rule, teacher=TEACHER)).lessons
    second = held.second
    rest = np.setdiff1d(np.flatnonzero(free & ~answered), held.positions[~second])
    assert np.array_equal(held.positions[second], rest)
    assert len(rest) > 0
    assert np.array_equal(held.targets[second], TEACHER[rest])
    assert not held.gates[second].any()
    assert held.weights[second].sum() == pytest.approx(share * held.weights[~second].sum())


def test_extreme_weights_are_cut_and_counted() -> None:
    heavy = Beliefs(label_model=LABEL_MODEL, vote_weight=16.0, rule=TeachingRule(most_weight=2.0))
    taught = what_teaches(known(some(1, 0.2), some(1, 2.0)), heavy)
    assert taught.lessons.weights.max() == 2.0
    assert taught.report.clipped == int((taught.lessons.weights == 2.0).sum()) > 0
    with pytest.raises(InputError, match="weight"):
        what_teaches(known(some(1, 0.2), some(1, 2.0)), replace(heavy, vote_weight=16.5))


def test_copies_of_a_function_do_not_make_a_label_deeper() -> None:
    votes = np.tile(np.array([[0], [1], [2]], dtype=np.int8), (1, FUNCTIONS))
    alone = Known(
        answers=np.full(3, -1),
        free=np.ones(3, dtype=np.bool_),
        votes=votes,
        ranks=np.arange(3),
        classes=CLASSES,
    )
    rule = TeachingRule(voices=2)
    deep = what_teaches(alone, beliefs(rule)).lessons.gates
    copied = what_teaches(alone, beliefs(replace(rule, groups=np.zeros(FUNCTIONS, dtype=np.int64))))
    assert deep.tolist() == [1.0, 1.0, 1.0]
    assert copied.lessons.gates.tolist() == [0.0, 0.0, 0.0]


def test_a_lesson_names_an_item_and_holds_nothing_that_could_be_learned_from() -> None:
    assert [field.name for field in fields(Lessons)] == [
        "positions", "targets", "weights", "gates", "sources", "second",
    ]  # fmt: skip


@pytest.mark.parametrize("answers", [True, False])
def test_with_nothing_to_teach_there_are_no_lessons(answers: bool) -> None:
    nobody = some(1, -1.0)
    rule = TeachingRule(
        second_views=1.0,
        consistency=1.0,
        thresholds=np.zeros(CLASSES, dtype=np.int64),
        most_pseudo=0.5,
    )
    free = nobody if answers else ~nobody
    silent = what_teaches(
        known(~nobody if answers else nobody, free), Beliefs(rule=rule, teacher=TEACHER)
    )
    assert len(silent.lessons) == 0
    assert silent.lessons.targets.shape == (0, CLASSES)
    assert silent.report.counts.sum() == 0


WRONG: dict[str, tuple[Callable[[], Beliefs], type[Exception]]] = {
    "tiers out of order": (lambda: beliefs(TeachingRule(high=0.2, middle=0.8)), InputError),
    "voices below zero": (lambda: beliefs(TeachingRule(voices=-1)), InputError),
    "sharpness below zero": (lambda: beliefs(TeachingRule(sharpness=-1.0)), InputError),
    "weight beyond all bounds": (lambda: beliefs(TeachingRule(most_weight=99.0)), InputError),
    "groups of other functions": (
        lambda: beliefs(TeachingRule(groups=np.zeros(2, dtype=np.int64))),
        ShapeError,
    ),
    "thresholds of other classes": (
        lambda: beliefs(
            TeachingRule(thresholds=np.zeros(9, dtype=np.int64), most_pseudo=0.1), teacher=TEACHER
        ),
        ShapeError,
    ),
    "all pseudo": (
        lambda: beliefs(
            TeachingRule(thresholds=np.zeros(CLASSES, dtype=np.int64), most_pseudo=1.0),
            teacher=TEACHER,
        ),
        InputError,
    ),
    "views below zero": (lambda: beliefs(TeachingRule(second_views=-1.0)), InputError),
    "views above their lessons": (lambda: beliefs(TeachingRule(second_views=1.5)), InputError),
    "consistency below zero": (lambda: beliefs(TeachingRule(consistency=-1.0)), InputError),
    "a teacher of other items": (
        lambda: beliefs(TeachingRule(consistency=1.0), teacher=TEACHER[:3]),
        ShapeError,
    ),
    "a label model of other classes": (
        lambda: Beliefs(
            label_model=LabelModel.fit(VoteSummary.from_votes(VOTES, classes=4)), vote_weight=1.0
        ),
        ShapeError,
    ),
}


@pytest.mark.parametrize("what", list(WRONG))
def test_a_rule_that_cannot_be_is_refused(what: str) -> None:
    make, error = WRONG[what]
    with pytest.raises(error):
        what_teaches(known(some(1, 0.3), some(1, 2.0)), make())


@pytest.mark.parametrize("name", ["targets", "weights", "gates", "sources", "second"])
def test_columns_of_other_lengths_are_refused(name: str) -> None:
    held = what_teaches(known(some(1, 0.3), some(1, 2.0)), Beliefs()).lessons
    with pytest.raises(ShapeError):
        replace(held, **{name: getattr(held, name)[1:]})


def test_the_report_tells_verified_voted_and_own_labels_apart() -> None:
    answered = some(3, 0.2)
    rule = TeachingRule(thresholds=np.full(CLASSES, 50), most_pseudo=0.3)
    taught = what_teaches(known(answered, some(1, 2.0)), beliefs(rule, teacher=TEACHER))
    counts = taught.report.counts
    for band, source in (("verified", Source.VERIFIED), ("pseudo-labels", Source.PSEUDO)):
        wanted = int((taught.lessons.sources == source).sum())
        assert counts[BANDS.index(band)].sum() == wanted > 0


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 6), st.integers(0, 99))
def test_certainty_goes_from_uniform_to_certain(classes: int, seed: int) -> None:
    rows = stream(seed, "p").dirichlet(np.ones(classes), 20)
    assert ((certainty(rows) >= 0) & (certainty(rows) <= 1)).all()
