"""Snorkel's fit from summed overlaps: its loss, its steps, and where it is at hand, its numbers."""

import itertools
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.overlaps import OverlapSummary
from strategies.labeling.snorkel_mode import SnorkelModel, _assign, _slope, loss
from tests.strategies.labeling.made_votes import any_votes, known_votes, shard

PEER = Path(__file__).resolve().parents[3] / ".venv-peers" / "bin" / "python"
SNORKEL = """
import sys
import numpy as np
from snorkel.labeling.model import LabelModel
for name in sys.argv[1:]:
    file = np.load(name)
    model = LabelModel(cardinality=int(file["k"]), verbose=False)
    model.fit(file["votes"], n_epochs=100, seed=7, progress_bar=False)
    np.save(name + ".npy", model.predict_proba(file["votes"]))
"""


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(0, 60),
    functions=st.integers(0, 5),
    classes=st.integers(2, 4),
    pieces=st.integers(1, 5),
)
def test_overlaps_add_up_to_those_of_the_one_hot_matrix(
    seed: int, items: int, functions: int, classes: int, pieces: int
) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    one_hot = (votes[:, :, None] == np.arange(classes)).astype(np.int64)
    one_hot = one_hot.reshape(items, functions * classes)
    parts = [OverlapSummary.from_votes(d, classes=classes) for d in shard(rng, votes, pieces)]
    total = sum(parts[1:], start=parts[0])
    assert total.items == items
    assert np.array_equal(total.overlaps, one_hot.T @ one_hot)


def test_the_loss_is_snorkels_and_its_slope_the_difference_quotient() -> None:
    rng = np.random.default_rng(0)
    votes = any_votes(rng, items=200, functions=4, classes=3)
    overlaps = OverlapSummary.from_votes(votes, classes=3).overlaps / 200
    mu, p = rng.random((12, 3)), np.array([0.5, 0.3, 0.2])
    function = np.arange(12) // 3
    expected = 0.0
    for a, b in itertools.product(range(12), range(12)):
        if function[a] != function[b]:
            expected += (overlaps[a, b] - sum(mu[a, c] * p[c] * mu[b, c] for c in range(3))) ** 2
    for a in range(12):
        expected += (sum(mu[a, c] * p[c] for c in range(3)) - overlaps[a, a]) ** 2
    assert loss(mu, overlaps, p) == pytest.approx(expected)
    slope = _slope(mu, overlaps, function[:, None] != function, np.diag(overlaps), p)
    for a, c in ((0, 0), (5, 2), (11, 1)):
        nudge = np.zeros_like(mu)
        nudge[a, c] = 1e-6
        quotient = (loss(mu + nudge, overlaps, p) - loss(mu - nudge, overlaps, p)) / 2e-6
        assert slope[a, c] == pytest.approx(quotient, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_assignment_is_the_cheapest_of_all(size: int) -> None:
    for seed in range(10):
        cost = np.random.default_rng([seed, size]).normal(size=(size, size))
        rows = np.arange(size)
        cheapest = min(cost[rows, list(p)].sum() for p in itertools.permutations(range(size)))
        chosen = _assign(cost)
        assert sorted(chosen.tolist()) == rows.tolist()
        assert cost[rows, chosen].sum() == pytest.approx(cheapest)


def test_shards_give_the_bits_of_the_whole_and_labels_are_found() -> None:
    known = known_votes(1, items=3_000, functions=10, classes=3, abstain=0.3)
    whole = SnorkelModel.fit(OverlapSummary.from_votes(known.votes, classes=3))
    dealt = shard(np.random.default_rng(0), known.votes, 20)
    parts = [OverlapSummary.from_votes(d, classes=3) for d in dealt]
    summed = SnorkelModel.fit(sum(parts[1:], start=parts[0]))
    assert np.array_equal(summed.mu, whole.mu)
    predicted = whole.predict(known.votes)
    assert np.allclose(predicted.sum(axis=1), 1)
    assert (predicted.argmax(axis=1) == known.labels).mean() > known.oracle_accuracy(3) - 0.03


def test_probabilities_are_those_snorkel_gave() -> None:
    # written down from snorkel 0.10.0 with torch 2.13.0, seed 7
    votes = np.array(
        [
            [0, 0, 1, -1],
            [1, 1, 1, 0],
            [0, -1, 0, 0],
            [1, 1, -1, 1],
            [0, 1, 0, 0],
            [-1, 1, 1, 1],
            [0, 0, -1, 0],
            [1, 0, 1, 1],
        ]
    )
    total = OverlapSummary.from_votes(votes, classes=2)
    uniform = [0.137062, 0.886276, 0.000169, 0.998743, 0.000306, 0.997605, 0.011109, 0.999408]
    ours = SnorkelModel.fit(total, seed=7).predict(votes)[:, 1]
    assert ours == pytest.approx(uniform, abs=1e-5)
    skewed = [0.037596, 0.121443, 0.000318, 0.438886, 0.00031, 0.444012, 0.007669, 0.394427]
    ours = SnorkelModel.fit(total, balance=[0.7, 0.3], epochs=50, seed=7).predict(votes)[:, 1]
    assert ours == pytest.approx(skewed, abs=1e-5)


@pytest.mark.slow
def test_snorkel_itself_gives_the_same_probabilities(tmp_path: Path) -> None:
    if not PEER.exists():
        pytest.skip("no .venv-peers with snorkel")
    cases = {}
    for classes, copies in ((2, 0), (3, 3)):
        known = known_votes(2, items=2_000, functions=9, classes=classes, copies=copies)
        file = tmp_path / f"{classes}.npz"
        np.savez(file, votes=known.votes, k=classes)
        cases[file] = known.votes, classes
    # both in one go: importing it takes longer than what it does
    done = subprocess.run(
        [str(PEER), "-c", SNORKEL, *map(str, cases)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"snorkel does not run in .venv-peers: {done.stderr[-200:]}")
    for file, (votes, classes) in cases.items():
        ours = SnorkelModel.fit(OverlapSummary.from_votes(votes, classes=classes), seed=7)
        theirs = np.load(f"{file}.npy")
        assert np.abs(ours.predict(votes) - theirs).max() < 1e-4, f"{classes} classes"


def test_what_snorkel_cannot_fit_is_refused() -> None:
    two = OverlapSummary.from_votes(np.zeros((5, 2), dtype=np.int8), classes=2)
    three = OverlapSummary.from_votes(np.zeros((5, 3), dtype=np.int8), classes=2)
    for refused in (
        lambda: SnorkelModel.fit(two),
        lambda: SnorkelModel.fit(three, balance=[1.0, 0.0]),
        lambda: SnorkelModel.fit(OverlapSummary.from_votes(np.zeros((0, 3), np.int8), classes=2)),
        lambda: OverlapSummary.from_votes(np.zeros((1, 1_200), np.int8), classes=56),
    ):
        with pytest.raises(InputError):
            refused()
    with pytest.raises(ShapeError):
        two + three
