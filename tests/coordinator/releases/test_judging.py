"""What a rule makes of a trial: numbers that can be counted by hand, and limits that hold."""

import numpy as np
import pytest

from coordinator.releases.judging import judge, new_versions
from coordinator.releases.keyed import KeyedSums
from coordinator.releases.report import Conduct, Report
from coordinator.settings import ReleaseSettings
from fieldvote.errors import SettingsError
from strategies.labeling import AnchorSummary, VoteSummary
from tests.coordinator.releases.signed import A2, A_LOW, B_HIGH, A, B, signed, task_of

BEFORE = task_of(signed((A, B, A_LOW), 1))
AFTER = task_of(signed((A2, B, B_HIGH), 2))
BROUGHT = new_versions(BEFORE, AFTER)
UNION = (*BEFORE.versions, *BROUGHT)
LIMITS = ReleaseSettings(least_items=1)
ITEMS = 2000


def sums_of(
    accuracies: tuple[float, ...], *, items: int = ITEMS, coverage: float = 0.5
) -> KeyedSums:
    """Return sums of functions that are right so often, in the order of UNION."""
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, size=items)
    right = rng.random((items, len(UNION))) < np.array(accuracies)
    votes = np.where(right, truth[:, None], 1 - truth[:, None])
    votes = np.where(rng.random(votes.shape) < coverage, votes, -1).astype(np.int8)
    return KeyedSums(
        versions=UNION,
        votes=VoteSummary.from_votes(votes, classes=2),
        anchors=AnchorSummary.empty(functions=len(UNION), classes=2),
        seen=np.full(len(UNION), items, dtype=np.int64),
    )


def conduct(*, errors: tuple[int, int] = (0, 0), items: int = ITEMS) -> Conduct:
    return Conduct(
        devices=4,
        items=items,
        timed=4,
        seen=np.full(2, items, dtype=np.int64),
        errors=np.array(errors, dtype=np.int64),
        micros=np.array([8_000, 20_000], dtype=np.int64),
    )


def judged(
    sums: KeyedSums, told: Conduct | None = None, limits: ReleaseSettings = LIMITS
) -> Report:
    return judge(BEFORE, AFTER, sums, told or conduct(), limits)


GOOD = (0.8, 0.8, 0.8, 0.85, 0.85)
BAD = (0.9, 0.9, 0.9, 0.5, 0.5)


def test_a_better_release_breaks_no_limit() -> None:
    report = judged(sums_of(GOOD))
    assert (report.breaches, report.doubts) == ((), ())
    assert report.accuracy[1] > report.accuracy[0]
    assert report.kept == 1


def test_noise_breaks_the_limits_of_conflict_and_accuracy() -> None:
    report = judged(sums_of(BAD))
    assert [line.split()[0] for line in report.breaches] == ["votes", "the"]
    assert "the estimated accuracy of a vote falls from" in report.breaches[1]


def test_what_few_items_say_is_not_held_against_a_release() -> None:
    report = judged(sums_of(BAD, items=12), conduct(items=12))
    assert report.breaches == ()


def test_a_function_that_cannot_answer_breaks_the_limit_of_errors() -> None:
    few, many = judged(sums_of(GOOD), conduct(errors=(0, 20))), conduct(errors=(0, 60))
    assert few.breaches == ()
    (line,) = judged(sums_of(GOOD), many).breaches
    assert line == "b_is_high cannot answer for 3.0% of items, 1.0% are allowed"


def test_limits_are_the_settings_own() -> None:
    loose = ReleaseSettings(
        least_items=1, most_conflict_rise=1.0, least_accuracy_change=-1.0, most_errors=1.0
    )
    assert judged(sums_of(BAD), conduct(errors=(900, 900)), loose).breaches == ()
    strict = ReleaseSettings(least_items=ITEMS + 1)
    assert len(judged(sums_of(GOOD), limits=strict).doubts) == 2


def test_the_numbers_of_a_function_are_counted_from_the_sums() -> None:
    sums = sums_of(GOOD)
    changed, new, retired = judged(sums).functions
    names = [(row.function, row.change) for row in (changed, new, retired)]
    assert names == [("a_is_high", "changed"), ("b_is_high", "new"), ("a_is_low", "retired")]
    columns = sums.select(AFTER.versions).votes
    assert changed.coverage == round(int(columns.counts[0].sum()) / ITEMS, 6)
    together = int(columns.co_votes[0].sum())
    apart = together - int(columns.agreements[0].sum())
    assert changed.conflict == round(apart / together, 6)
    places = UNION.index(BEFORE.versions[0]), UNION.index(AFTER.versions[0])
    assert changed.agreement == round(
        int(sums.votes.agreements[places]) / int(sums.votes.co_votes[places]), 6
    )
    assert new.agreement is None
    assert (changed.ms_per_1000, new.ms_per_1000) == (2.0, 5.0)
    assert (retired.coverage, retired.coverage_before is None) == (None, False)


def test_a_report_survives_the_store() -> None:
    report = judged(sums_of(BAD))
    assert Report.from_json(report.to_json()) == report


def test_a_trial_of_nobody_is_no_evidence() -> None:
    sums = KeyedSums.empty(UNION, classes=2)
    nobody = Conduct.from_vector(None, len(BROUGHT))
    report = judged(sums, nobody)
    assert report.breaches == ()
    assert len(report.doubts) == 2
    assert all(row.coverage is None for row in report.functions)


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": 0.0},
        {"share": 1.1},
        {"most_errors": -0.1},
        {"most_conflict_rise": 2.0},
        {"least_accuracy_change": -2.0},
        {"doubt": 0.0},
        {"least_items": -1},
    ],
)
def test_limits_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="releases"):
        ReleaseSettings(**wrong)  # type: ignore[arg-type]  # one of them each
