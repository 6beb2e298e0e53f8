"""Whether depth by confidence beats training all alike, on noisy votes of weak functions."""

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from strategies.governance.confidence import DepthRule, govern, support
from strategies.governance.tiers import confidence_histogram, tiers_by_share
from strategies.labeling import LabelModel, VoteSummary
from strategies.labeling.temperature import temperature_losses, with_temperature

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]
SEEDS = range(100, 110)
STUDENT_95 = 2.262  # of ten seeds
TRAIN, ANSWERED, ITEMS = 1500, 50, 5000
RULE = DepthRule(voices=1, agreement=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    features: Matrix
    truth: Labels
    votes: NDArray[np.int8]
    classes: int


def weak_votes(x: Matrix, truth: Labels, rng: Generator, *, of: int) -> NDArray[np.int8]:
    """Ten functions that see a few features, know eight items per class, and err together."""
    classes, columns = int(truth.max()) + 1, []
    for _ in range(10):
        seen = x[:, rng.choice(x.shape[1], of, replace=False)]
        known = [rng.choice(np.flatnonzero(truth == c), 8) for c in range(classes)]
        means = np.stack([seen[rows].mean(axis=0) for rows in known])
        apart = ((seen[:, None] - means) ** 2).sum(axis=2)
        nearest = np.sort(apart, axis=1)
        margin = nearest[:, 1] - nearest[:, 0]
        columns.append(np.where(margin < np.median(margin), -1, apart.argmin(axis=1)))
    return np.stack(columns, axis=1).astype(np.int8)


def made(seed: int) -> Votes:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, 12)) * 1.1  # three to a class: no plane divides them
    centre = rng.integers(12, size=ITEMS)
    x, truth = centres[centre] + rng.normal(size=(ITEMS, 12)), centre % 4
    return Votes(features=x, truth=truth, votes=weak_votes(x, truth, rng, of=3), classes=4)


def data(name: str) -> dict[str, NDArray[np.generic]]:
    path = Path(os.environ.get("FIELDVOTE_DATA", "")) / name
    if not os.environ.get("FIELDVOTE_DATA") or not path.exists():
        pytest.skip(f"no {name} under FIELDVOTE_DATA")
    with np.load(path) as file:
        return dict(file)


def movements(seed: int) -> Votes:
    file, rng = data("uci_har265.npz"), np.random.default_rng(seed)
    x, truth = file["X"].astype(np.float64), file["y"].astype(np.int64)
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)
    rows = rng.permutation(len(x))[:ITEMS]
    x, truth = x[rows], truth[rows] - truth.min()
    return Votes(features=x, truth=truth, votes=weak_votes(x, truth, rng, of=4), classes=6)


def messages(seed: int) -> Votes:
    file = data("sms_spam.npz")
    truth = file["y"].astype(np.int64)
    texts = file["utf8"].tobytes().decode().split("\n")[: len(truth)]
    words = [set(re.findall(r"[a-z']+|\d+", text.lower())) for text in texts]
    seen = Counter(word for each in words for word in sorted(each) if not word.isdigit())
    common = [word for word, _ in seen.most_common(400)]
    x = np.array([[word in each for word in common] for each in words], dtype=np.float64)
    spam = ("free", "win won prize", "call", "txt text stop", "claim urgent cash", "mobile phone")
    ham = ("ok lol haha", "love home sorry", "i'm i me", "later going come")
    rules = [(set(each.split()), 1) for each in spam] + [(set(each.split()), 0) for each in ham]
    columns = [[said if each & some else -1 for each in words] for some, said in rules]
    columns += [
        [1 if any(word.isdigit() and len(word) > 4 for word in each) else -1 for each in words],
        [0 if len(each) < 8 else -1 for each in words],
        [0 if len(text) < 60 else -1 for text in texts],
    ]
    rows = np.random.default_rng(seed).permutation(len(truth))[:ITEMS]
    x = ((x - x.mean(axis=0)) / (x.std(axis=0) + 0.05))[rows]
    votes = np.array(columns).T[rows].astype(np.int8)
    return Votes(features=x, truth=truth[rows], votes=votes, classes=2)


def network(
    x: Matrix, targets: Matrix, weight: Matrix, gate: Matrix, rng: Generator
) -> Callable[[Matrix], Labels]:
    """One hidden layer, Adam; a sample's gradient passes below the head as its gate says."""
    wide = 64
    parameters = [
        rng.normal(size=(x.shape[1], wide)) * np.sqrt(2 / x.shape[1]),
        np.zeros(wide),
        rng.normal(size=(wide, targets.shape[1])) / np.sqrt(wide),
        np.zeros(targets.shape[1]),
    ]
    mean, square = ([np.zeros_like(each) for each in parameters] for _ in range(2))
    taught = np.flatnonzero(weight > 0)
    for step in range(1, 704):  # thirty passes
        rows = rng.choice(taught, 64)
        hidden = np.maximum(x[rows] @ parameters[0] + parameters[1], 0)
        logits = hidden @ parameters[2] + parameters[3]
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = odds / odds.sum(axis=1, keepdims=True) - targets[rows]
        error *= weight[rows, None] / 64
        below = (error @ parameters[2].T) * (hidden > 0) * gate[rows, None]
        gradients = [
            x[rows].T @ below + 1e-4 * parameters[0],
            below.sum(axis=0),
            hidden.T @ error + 1e-4 * parameters[2],
            error.sum(axis=0),
        ]
        for i, gradient in enumerate(gradients):
            mean[i] = 0.9 * mean[i] + 0.1 * gradient
            square[i] = 0.999 * square[i] + 0.001 * gradient**2
            step_size = np.sqrt(square[i] / (1 - 0.999**step)) + 1e-8
            parameters[i] = parameters[i] - 3e-3 * mean[i] / (1 - 0.9**step) / step_size

    def answer(fresh: Matrix) -> Labels:
        hidden = np.maximum(fresh @ parameters[0] + parameters[1], 0)
        return np.asarray((hidden @ parameters[2] + parameters[3]).argmax(axis=1))

    return answer


def macro_f1(said: Labels, truth: Labels) -> float:
    found = [
        2 * ((said == c) & (truth == c)).sum() / max(((said == c).sum() + (truth == c).sum()), 1)
        for c in np.unique(truth)
    ]
    return float(100 * np.mean(found))


def gain(of: Votes, seed: int, rule: DepthRule | None = None) -> float:
    """Points of macro-F1 on fresh items that gates bring over training all alike."""
    train, answered = slice(0, TRAIN), slice(TRAIN, TRAIN + ANSWERED)
    summary = VoteSummary.from_votes(of.votes[train], classes=of.classes)
    losses_on = (of.votes[answered], of.truth[answered])
    model = LabelModel.fit(summary)
    model = with_temperature(model, temperature_losses(model, *losses_on))
    labels, voted = model.predict(of.votes[train]), (of.votes[train] >= 0).any(axis=1)
    if rule is None:
        rule = tiers_by_share(confidence_histogram(labels, voted=voted), RULE)
    behind = support(of.votes[train], labels.argmax(axis=1), classes=of.classes)
    governed = govern(labels, behind, rule)
    scores = []
    alike = (np.asarray(voted, dtype=np.float64), np.ones(TRAIN))
    gated = (governed.weight, np.asarray(governed.gate, dtype=np.float64))
    for weight, gate in (gated, alike):
        rng = np.random.default_rng([seed, 9])
        answer = network(of.features[train], labels, weight, gate, rng)
        fresh = slice(TRAIN + ANSWERED, None)
        scores.append(macro_f1(answer(of.features[fresh]), of.truth[fresh]))
    return scores[0] - scores[1]


def gains(make: Callable[[int], Votes], rule: DepthRule | None = None) -> tuple[float, float]:
    """Mean gain over the seeds, and half of its 95 % interval."""
    found = np.array([gain(make(seed), seed, rule) for seed in SEEDS])
    return float(found.mean()), float(STUDENT_95 * found.std(ddof=1) / np.sqrt(len(found)))


@pytest.mark.slow
@pytest.mark.parametrize("make", [made, pytest.param(movements, marks=pytest.mark.nightly)])
def test_depth_by_confidence_beats_training_all_alike(make: Callable[[int], Votes]) -> None:
    mean, half = gains(make)
    assert mean - half > 0, f"{mean:+.2f} ± {half:.2f} points"


@pytest.mark.nightly
def test_on_messages_depth_by_confidence_brings_little_either_way() -> None:
    mean, half = gains(messages)
    assert abs(mean) < 3, f"{mean:+.2f} ± {half:.2f} points"


@pytest.mark.slow
def test_fixed_tiers_starve_the_body_where_few_labels_are_sure() -> None:
    mean, half = gains(made, DepthRule())
    assert mean < -3, f"{mean:+.2f} ± {half:.2f} points"  # a wide interval: some runs collapse
