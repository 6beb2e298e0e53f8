from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from fieldvote.errors import InputError
from simulations.oracle import Annotator, ErringAnnotator, MaskedFields, MaskedItem


@dataclass(frozen=True)
class FirstLetter:
    """Reads a text's class off its first letter."""

    def read(self, contents: Sequence[str | MaskedFields]) -> NDArray[np.int64]:
        return np.array([int(str(content)[0]) for content in contents])


def annotator(error_rate: float, *, seed: int = 1, name: str = "a", classes: int = 4) -> Annotator:
    return ErringAnnotator(
        FirstLetter(), classes=classes, error_rate=error_rate, seed=seed, name=name
    )


ITEMS = [MaskedItem(item_id=f"item-{i}", content=f"{i % 4} and so on") for i in range(4000)]
TRUE = np.arange(4000) % 4


def test_without_errors_it_answers_what_it_reads() -> None:
    careful = annotator(0.0)
    assert [careful.answer(item) for item in ITEMS[:40]] == TRUE[:40].tolist()


def test_it_errs_at_the_given_rate_and_never_rightly() -> None:
    answers = np.array([annotator(0.2).answer(item) for item in ITEMS])
    wrong = answers != TRUE
    # binomial, 4,000 draws at 0.2: standard deviation 0.0063; five of them, false alarm 1e-6
    assert abs(wrong.mean() - 0.2) < 5 * 0.0063
    assert all(annotator(1.0).answer(item) != true for item, true in zip(ITEMS, TRUE, strict=True))


def test_wrong_answers_are_spread_evenly_over_the_other_classes() -> None:
    answers = np.array([annotator(1.0).answer(item) for item in ITEMS])
    for true in range(4):
        counts = np.bincount(answers[true == TRUE], minlength=4)
        assert counts[true] == 0
        # 1,000 draws over three classes: standard deviation 14.9; five of them
        assert abs(np.delete(counts, true) - 1000 / 3).max() < 5 * 14.9


def test_an_answer_does_not_depend_on_the_order_of_questions() -> None:
    forward = {item.item_id: annotator(0.5).answer(item) for item in ITEMS[:300]}
    one = annotator(0.5)
    backward = {item.item_id: one.answer(item) for item in reversed(ITEMS[:300])}
    assert forward == backward


@pytest.mark.parametrize("change", [{"seed": 2}, {"name": "b"}])
def test_another_seed_or_another_annotator_errs_elsewhere(change: dict[str, object]) -> None:
    mine = np.array([annotator(0.5).answer(item) for item in ITEMS[:1000]])
    theirs = np.array(
        [annotator(0.5, **change).answer(item) for item in ITEMS[:1000]]  # type: ignore[arg-type]  # one of two keywords
    )
    both_wrong = ((mine != TRUE[:1000]) & (theirs != TRUE[:1000])).mean()
    # independent: 0.25, standard deviation 0.0137; the same draws would give 0.5
    assert abs(both_wrong - 0.25) < 5 * 0.0137


@pytest.mark.parametrize(
    ("error_rate", "classes"), [(-0.1, 2), (1.1, 2), (float("nan"), 2), (0.1, 1)]
)
def test_an_impossible_annotator_is_refused(error_rate: float, classes: int) -> None:
    with pytest.raises(InputError):
        annotator(error_rate, classes=classes)
