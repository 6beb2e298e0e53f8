"""When answers are a label: by brute force over everything people may say, and by table."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.labels.consensus import Standing, Verdict, judge
from coordinator.settings import LabelingSettings
from coordinator.store.rows import Annotation
from fieldvote.errors import SettingsError


def said(*labels: int, expert: int | None = None) -> list[Annotation]:
    """Return these answers, one per person, and an expert's."""
    answers = [Annotation(item=b"i", annotator=str(n), label=at) for n, at in enumerate(labels)]
    if expert is not None:
        answers.append(Annotation(item=b"i", annotator="e", label=expert, expert=True))
    return answers


@pytest.mark.parametrize(
    ("rule", "answers", "judged"),
    [
        (LabelingSettings(), said(), Standing.OPEN),
        (LabelingSettings(), said(2), (2, "one answer", 1_000_000)),
        (LabelingSettings(answers=2), said(1), Standing.OPEN),
        (LabelingSettings(answers=2), said(1, 1), (1, "consensus", 1_000_000)),
        (LabelingSettings(answers=2), said(1, 0), Standing.DISPUTED),
        # two of three agree: nobody need be asked a third time
        (LabelingSettings(answers=3), said(1, 1), (1, "consensus", 1_000_000)),
        (LabelingSettings(answers=3), said(1, 0), Standing.OPEN),
        (LabelingSettings(answers=3), said(1, 0, 1), (1, "consensus", 666_667)),
        (LabelingSettings(answers=3), said(1, 0, 2), Standing.DISPUTED),
        (LabelingSettings(answers=3, agree=3), said(1, 0), Standing.DISPUTED),
        (LabelingSettings(answers=3), said(1, 0, 2, expert=2), (2, "expert", 333_333)),
        (LabelingSettings(answers=2), said(1, 0, expert=5), (5, "expert", 0)),
    ],
)
def test_answers_come_to_what_the_rule_says(
    rule: LabelingSettings, answers: list[Annotation], judged: Standing | tuple[int, str, int]
) -> None:
    found = judge(answers, rule)
    assert (
        (found.label, found.method, found.agreement) if isinstance(found, Verdict) else found
    ) == judged


@given(
    most=st.integers(1, 5),
    stricter=st.integers(0, 4),
    labels=st.lists(st.integers(0, 2), max_size=5),
)
def test_a_verdict_is_given_as_soon_as_no_answer_can_change_it_and_not_before(
    most: int, stricter: int, labels: list[int]
) -> None:
    rule = LabelingSettings(answers=most, agree=min(most // 2 + 1 + stricter, most))
    labels = labels[:most]
    # what every way of answering the rest would come to
    endings = {
        max((label for label in full if full.count(label) >= rule.needed), default=None)
        for rest in product(range(3), repeat=most - len(labels))
        for full in [(*labels, *rest)]
    }
    found = judge(said(*labels), rule)
    if isinstance(found, Verdict):
        assert endings == {found.label}
    elif found is Standing.DISPUTED:
        assert endings == {None}
    else:
        assert len(endings) > 1
    assert judge(said(*labels[::-1]), rule) == found


@pytest.mark.parametrize(
    "wrong",
    [{"answers": 0}, {"answers": 4, "agree": 2}, {"answers": 2, "agree": 3}, {"agree": 0},
     {"expert_wait_s": -1.0}, {"expert_price": -0.1}],
)  # fmt: skip
def test_a_rule_that_two_classes_or_none_could_meet_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="labeling"):
        LabelingSettings(**wrong)  # type: ignore[arg-type]  # a table
