"""Real votes of real labeling functions and crowd workers, where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.labeling import (
    AnchorSummary,
    PairedComparison,
    fit_across,
    log_loss,
    majority_vote,
)
from strategies.labeling.overlaps import OverlapSummary
from strategies.labeling.snorkel_mode import SnorkelModel
from strategies.labeling.temperature import temperature_losses, with_temperature
from tests.strategies.labeling.made_votes import shard

pytestmark = pytest.mark.skipif(
    not os.environ.get("FIELDVOTE_DATA"), reason="FIELDVOTE_DATA is not set"
)

SETS = ("wrench_youtube", "wrench_sms", "wrench_trec", "crowd_dog")


def load(name: str) -> dict[str, NDArray[np.int64]]:
    path = Path(os.environ["FIELDVOTE_DATA"]) / "votes" / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"no {path.name} under FIELDVOTE_DATA")
    with np.load(path) as file:
        data = dict(file)
    data.setdefault("Lt", data["L"])  # crowds are scored on the items they were fitted on
    data.setdefault("yt", data["y"])
    return data


def accuracy(p: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """In percent; who shares the first place gets a share of the point."""
    first = np.isclose(p, p.max(axis=1, keepdims=True), atol=1e-12)
    return float(100 * (first[np.arange(len(p)), labels] / first.sum(axis=1)).mean())


@pytest.mark.parametrize("rounds", [0, 3, 30])
@pytest.mark.parametrize("name", SETS)
def test_the_label_model_is_never_clearly_under_majority(name: str, rounds: int) -> None:
    data = load(name)
    classes = int(data["k"])
    model = fit_across([data["L"]], classes=classes, rounds=rounds)
    voted = accuracy(majority_vote(data["Lt"], classes), data["yt"])
    assert accuracy(model.predict(data["Lt"]), data["yt"]) > voted - 0.5


def test_the_label_model_gains_over_majority_on_average() -> None:
    gains, losses = [], []
    for name in SETS:
        data = load(name)
        classes = int(data["k"])
        predicted = fit_across([data["L"]], classes=classes, rounds=3).predict(data["Lt"])
        voted = majority_vote(data["Lt"], classes)
        gains.append(accuracy(predicted, data["yt"]) - accuracy(voted, data["yt"]))
        losses.append(log_loss(predicted, data["yt"]))
    assert np.mean(gains) > 7.3
    assert np.mean(losses) < 0.65


@pytest.mark.parametrize(
    ("name", "least"),
    [("wrench_youtube", 84.7), ("wrench_trec", 64.7), ("crowd_dog", 83.7), ("wrench_sms", 84.3)],
)
def test_known_accuracies_are_reached(name: str, least: float) -> None:
    data = load(name)
    model = fit_across([data["L"]], classes=int(data["k"]), rounds=3)
    assert accuracy(model.predict(data["Lt"]), data["yt"]) >= least


def fifty_answers(data: dict[str, NDArray[np.int64]], seed: int) -> NDArray[np.int64]:
    """Draw positions among validation items, which crowds have none of apart from the rest."""
    items = len(data["Lv"]) if "Lv" in data else len(data["L"])
    return np.random.default_rng(seed).permutation(items)[:50]


def test_fifty_answers_make_probabilities_more_honest() -> None:
    bare, told, calibrated = [], [], []
    for name in SETS:
        data = load(name)
        classes = int(data["k"])
        bare.append(
            log_loss(fit_across([data["L"]], classes=classes).predict(data["Lt"]), data["yt"])
        )
        for seed in range(3):
            picked = fifty_answers(data, seed)
            votes = data.get("Lv", data["L"])[picked]
            labels = data.get("yv", data["y"])[picked]
            anchors = AnchorSummary.from_votes(votes, labels, classes=classes)
            model = fit_across([data["L"]], classes=classes, anchors=anchors)
            told.append(log_loss(model.predict(data["Lt"]), data["yt"]))
            model = with_temperature(model, temperature_losses(model, votes, labels))
            calibrated.append(log_loss(model.predict(data["Lt"]), data["yt"]))
    assert np.mean(told) < np.mean(bare) - 0.01
    assert np.mean(calibrated) < np.mean(told)


@pytest.mark.parametrize("name", ["wrench_youtube", "wrench_trec", "crowd_dog"])
def test_the_model_is_as_good_as_snorkel_and_more_honest(name: str) -> None:
    data = load(name)
    classes = int(data["k"])
    theirs = SnorkelModel.fit(OverlapSummary.from_votes(data["L"], classes=classes), seed=0)
    p, q = theirs.predict(data["Lt"]), fit_across([data["L"]], classes=classes).predict(data["Lt"])
    assert accuracy(q, data["yt"]) > accuracy(p, data["yt"]) + 0.5
    assert log_loss(q, data["yt"]) < log_loss(p, data["yt"]) + 0.02


def test_majority_is_not_better_than_the_model_beyond_chance_on_any_set() -> None:
    for name in SETS:
        data = load(name)
        model = fit_across([data["L"]], classes=int(data["k"]))
        judged = PairedComparison.from_votes(model, data["Lt"], data["yt"])
        assert not judged.majority_is_better
        assert judged.difference > 0


@pytest.mark.parametrize("name", SETS)
def test_real_votes_give_the_same_bits_however_they_are_dealt(name: str) -> None:
    data = load(name)
    votes = data["L"].astype(np.int8)
    whole = fit_across([votes], classes=int(data["k"])).to_vector()
    dealt = shard(np.random.default_rng(0), votes, 30)
    assert np.array_equal(fit_across(dealt, classes=int(data["k"])).to_vector(), whole)
