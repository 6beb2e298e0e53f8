"""Real votes of real labeling functions and crowd workers, where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.labeling import AnchorSummary, fit_across, log_loss, majority_vote
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
        predicted = fit_across([data["L"]], classes=classes, rounds=30).predict(data["Lt"])
        voted = majority_vote(data["Lt"], classes)
        gains.append(accuracy(predicted, data["yt"]) - accuracy(voted, data["yt"]))
        losses.append(log_loss(predicted, data["yt"]))
    assert np.mean(gains) > 3.0
    assert np.mean(losses) < 0.75


@pytest.mark.parametrize(
    ("name", "least"), [("wrench_youtube", 87.9), ("wrench_trec", 66.4), ("crowd_dog", 84.2)]
)
def test_known_accuracies_are_reached(name: str, least: float) -> None:
    data = load(name)
    model = fit_across([data["L"]], classes=int(data["k"]), rounds=30)
    assert accuracy(model.predict(data["Lt"]), data["yt"]) >= least


def test_anchors_settle_items_without_votes() -> None:
    data = load("wrench_sms")
    anchors = AnchorSummary.from_votes(data["Lv"][:50], data["yv"][:50], classes=2)
    bare = fit_across([data["L"]], classes=2).predict(data["Lt"])
    anchored = fit_across([data["L"]], classes=2, anchors=anchors).predict(data["Lt"])
    assert accuracy(anchored, data["yt"]) > accuracy(bare, data["yt"]) + 15
    assert log_loss(anchored, data["yt"]) < log_loss(bare, data["yt"]) - 0.1


@pytest.mark.parametrize("name", SETS)
def test_real_votes_give_the_same_bits_however_they_are_dealt(name: str) -> None:
    data = load(name)
    votes = data["L"].astype(np.int8)
    whole = fit_across([votes], classes=int(data["k"])).to_vector()
    dealt = shard(np.random.default_rng(0), votes, 30)
    assert np.array_equal(fit_across(dealt, classes=int(data["k"])).to_vector(), whole)
