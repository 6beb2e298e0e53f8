"""What a label may teach: tiers, independent voices, weights, and the report of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.governance.confidence import (
    Depth,
    DepthRule,
    Governed,
    Source,
    Support,
    function_groups,
    govern,
    support,
)
from strategies.governance.depth_report import BANDS, DepthReport
from strategies.governance.tiers import confidence_histogram, tiers_by_share
from strategies.labeling.thresholds import ScoreHistogram
from tests.strategies.labeling.made_votes import any_votes

K = 3
STRICT = DepthRule(safety_critical=True)


def labels_of(rng: np.random.Generator, items: int) -> NDArray[np.float64]:
    """Probabilities from flat to sure."""
    return rng.dirichlet(np.full(K, 0.15), size=items)


def alone(confidence: float, *, voices: int, agreeing: int, rule: DepthRule) -> Governed:
    behind = Support(voices=np.array([voices]), agreeing=np.array([agreeing]))
    return govern([[confidence, 1 - confidence]], behind, rule)


@pytest.mark.parametrize(
    ("confidence", "voices", "agreeing", "depth"),
    [
        (0.95, 2, 2, Depth.ALL),
        (0.95, 4, 3, Depth.ALL),
        (0.95, 1, 1, Depth.HEAD),  # one voice is never enough for depth
        (0.95, 4, 2, Depth.HEAD),  # half of them say otherwise
        (0.89, 5, 5, Depth.HEAD),  # not sure enough
        (0.60, 1, 1, Depth.HEAD),
        (0.59, 5, 5, Depth.QUERY),
        (0.99, 0, 0, Depth.QUERY),  # a sure prior is no label
    ],
)
def test_a_label_teaches_as_deep_as_its_tier(
    confidence: float, voices: int, agreeing: int, depth: Depth
) -> None:
    governed = alone(confidence, voices=voices, agreeing=agreeing, rule=DepthRule())
    sharp = alone(confidence, voices=voices, agreeing=agreeing, rule=DepthRule(sharpness=2.0))
    assert governed.depth[0] == depth
    assert governed.gate[0] == (depth == Depth.ALL)
    assert governed.weight[0] == (depth != Depth.QUERY)
    assert sharp.weight[0] == pytest.approx(governed.weight[0] * (2 * confidence - 1) ** 2)
    assert governed.asked.tolist() == ([0] if depth == Depth.QUERY else [])


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), copies=st.integers(1, 5))
def test_copies_in_one_group_are_one_voice(seed: int, copies: int) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=30, functions=5, classes=K)
    groups = rng.integers(0, 4, 5)
    label = rng.integers(0, K, 30)
    copied = int(rng.integers(5))
    more = np.c_[votes, np.repeat(votes[:, [copied]], copies, axis=1)]
    longer = np.r_[groups, np.full(copies, groups[copied])]
    before = support(votes, label, classes=K, groups=groups)
    after = support(more, label, classes=K, groups=longer)
    assert np.array_equal(before.voices, after.voices)
    assert np.array_equal(before.agreeing, after.agreeing)


def test_ten_copies_do_not_open_the_depth_that_ten_functions_do() -> None:
    votes = np.zeros((1, 10), dtype=np.int8)
    sure = [[0.99, 0.01]]
    copies = support(votes, [0], classes=2, groups=np.zeros(10, dtype=np.int64))
    apart = support(votes, [0], classes=2)
    assert govern(sure, copies, DepthRule()).depth[0] == Depth.HEAD
    assert govern(sure, apart, DepthRule()).depth[0] == Depth.ALL


def test_support_is_what_counting_by_hand_gives() -> None:
    rng = np.random.default_rng(0)
    votes = any_votes(rng, items=50, functions=6, classes=K)
    groups, label = rng.integers(0, 3, 6), rng.integers(0, K, 50)
    told = support(votes, label, classes=K, groups=groups)
    for i in range(50):
        said = [{v for v in votes[i, groups == g] if v >= 0} for g in range(3)]
        assert told.voices[i] == sum(bool(each) for each in said)
        assert told.agreeing[i] == sum(each == {label[i]} for each in said)


def test_groups_follow_copies_of_copies() -> None:
    same = np.zeros((5, 5), dtype=bool)
    same[0, 3] = same[3, 4] = True
    assert function_groups(same).tolist() == [0, 1, 2, 0, 0]
    assert function_groups(np.zeros((0, 0))).tolist() == []


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_safety_critical_lets_only_people_teach(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = rng.integers(0, 3, 40)
    behind = Support(voices=np.full(40, 9), agreeing=np.full(40, 9))
    governed = govern(labels_of(rng, 40), behind, STRICT, source=source)
    verified = source == Source.VERIFIED
    assert np.all(governed.weight[~verified] == 0)
    assert np.all(governed.gate[~verified] == 0)
    assert np.all(governed.weight[verified] == 1)


def test_a_pseudo_label_never_teaches_in_depth() -> None:
    behind = Support(voices=np.array([9]), agreeing=np.array([9]))
    governed = govern([[1.0, 0.0]], behind, DepthRule(), source=[Source.PSEUDO])
    assert governed.depth[0] == Depth.HEAD


def test_extreme_weights_are_cut_and_counted() -> None:
    behind = Support(voices=np.full(3, 2), agreeing=np.full(3, 2))
    rows = [[1.0, 0.0]] * 3
    governed = govern(rows, behind, DepthRule(most_weight=4.0), base=[1e9, 4.0, 0.5])
    assert governed.weight.tolist() == [4.0, 4.0, 0.5]
    assert DepthReport.of(rows, governed).clipped == 1


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), cut=st.integers(0, 40))
def test_reports_of_any_split_add_up_to_the_report_of_all(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    p, source = labels_of(rng, 40), rng.integers(0, 3, 40)
    votes = any_votes(rng, items=40, functions=4, classes=K)
    base = rng.exponential(2.0, 40)

    def report(rows: slice) -> DepthReport:
        behind = support(votes[rows], p[rows].argmax(axis=1), classes=K)
        governed = govern(p[rows], behind, DepthRule(), source=source[rows], base=base[rows])
        return DepthReport.of(p[rows], governed, source=source[rows])

    parts = DepthReport.none() + report(slice(0, cut)) + report(slice(cut, None))
    assert np.array_equal(parts.to_vector(), report(slice(None)).to_vector())
    again = DepthReport.from_vector(parts.to_vector())
    assert np.array_equal(again.to_vector(), parts.to_vector())
    assert parts.counts.sum() == 40


def test_the_report_says_which_layers_learned_from_which_band() -> None:
    rows = [[0.97, 0.03], [0.85, 0.15], [0.55, 0.45], [0.9, 0.1]]
    behind = support([[0, 0], [0, 0], [0, 1], [0, 0]], [0] * 4, classes=2)
    source = [Source.VOTED, Source.VOTED, Source.VOTED, Source.VERIFIED]
    report = DepthReport.of(rows, govern(rows, behind, DepthRule(), source=source), source=source)
    lines = {str(row["band"]): row for row in report.to_rows(layers=("body", "head"), head="head")}
    assert len(lines) == len(BANDS)
    assert (lines["0.95 to 0.99"]["body"], lines["0.95 to 0.99"]["head"]) == (1, 1)
    assert (lines["0.8 to 0.9"]["body"], lines["0.8 to 0.9"]["head"]) == (0, 1)
    assert lines["0.5 to 0.6"]["asked"] == 1
    assert lines["verified"]["body"] == 1
    assert report.deep_share == pytest.approx(2 / 3)
    with pytest.raises(InputError, match="none of the layers"):
        report.to_rows(layers=("body",), head="head")


def test_tiers_by_share_are_cut_where_the_share_lies_above_under_any_split() -> None:
    rng = np.random.default_rng(7)
    p, voted = rng.dirichlet(np.ones(K), size=500), rng.random(500) < 0.8
    parts = ScoreHistogram.none()
    for rows in (slice(0, 3), slice(3, 200), slice(200, 500)):
        parts = parts + confidence_histogram(p[rows], voted=voted[rows])
    rule = tiers_by_share(parts, DepthRule(voices=1), deep=0.5, taught=0.9)
    confidence = p[voted].max(axis=1)
    assert 0.5 <= (confidence >= rule.high).mean() < 0.51
    assert 0.9 <= (confidence >= rule.middle).mean() < 0.91
    assert rule.voices == 1
    assert tiers_by_share(ScoreHistogram.none(), rule) == rule
    with pytest.raises(InputError, match="deep"):
        tiers_by_share(parts, rule, deep=0.9, taught=0.5)
    with pytest.raises(InputError, match="voted"):
        confidence_histogram(p, voted=voted[:5])


def test_nothing_at_all_is_governed_too() -> None:
    behind = support(np.zeros((0, 3), dtype=np.int8), [], classes=2)
    governed = govern(np.zeros((0, 2)), behind, DepthRule())
    assert len(governed.weight) == len(governed.asked) == 0
    assert DepthReport.of(np.zeros((0, 2)), governed).deep_share == 0


def test_bad_input_is_refused() -> None:
    behind = Support(voices=np.ones(1, dtype=np.int64), agreeing=np.ones(1, dtype=np.int64))
    for rows in ([[np.nan, 1.0]], [[0.5, 0.6]], [[-0.1, 1.1]], [[1.0]]):
        with pytest.raises(InputError):
            govern(rows, behind, DepthRule())
    for base in ([-1.0], [np.inf], [np.nan], [1.0, 1.0]):
        with pytest.raises(InputError):
            govern([[1.0, 0.0]], behind, DepthRule(), base=base)
    with pytest.raises(InputError, match="sources"):
        govern([[1.0, 0.0]], behind, DepthRule(), source=[7])
    with pytest.raises(ShapeError):
        govern([[1.0, 0.0]] * 2, behind, DepthRule())
    with pytest.raises(ShapeError):
        support([[0, 1]], [0], classes=2, groups=[0])
    for wrong in (
        {"high": 0.5},
        {"voices": -1},
        {"most_weight": 17.0},
        {"sharpness": -1.0},
        {"agreement": 2.0},
    ):
        with pytest.raises(InputError):
            DepthRule(**wrong)
    with pytest.raises(ShapeError):
        DepthReport.from_vector(np.zeros(3, dtype=np.int64))
