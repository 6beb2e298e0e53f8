"""Labels from a file of votes: what is said of them is what counting says."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from coordinator.labels.cli import app
from coordinator.labels.label_tables import read_labels
from coordinator.labels.vote_files import write_votes
from coordinator.labels.weak import fit_votes, write_weak_labels
from fieldvote.errors import DataError, InputError
from strategies.labeling import fit_across, majority_vote
from tests.strategies.labeling.made_votes import KnownVotes, known_votes


@pytest.fixture(scope="module")
def known() -> KnownVotes:
    return known_votes(3, items=3000, functions=8, classes=3, copies=2)


@pytest.fixture
def path(tmp_path: Path, known: KnownVotes) -> Path:
    path = tmp_path / "votes.npz"
    write_votes(path, known.votes, classes=3, labels=known.labels)
    return path


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def test_the_labels_are_the_model_s_and_the_figures_those_of_counting(
    path: Path, known: KnownVotes
) -> None:
    found = fit_votes(path)
    soft = fit_across([known.votes], classes=3).predict(known.votes)
    assert np.array_equal(found.probabilities, soft)
    said, votes = found.summary, known.votes
    covered = (votes >= 0).any(axis=1)
    differing = [len(set(row[row >= 0].tolist())) > 1 for row in votes[covered]]
    assert said["coverage"] == round(float(covered.mean()), 4)
    assert said["conflict"] == round(float(np.mean(differing)), 4)
    assert said["accuracy"] == pytest.approx((soft.argmax(axis=1) == known.labels).mean(), abs=1e-3)
    assert said["accuracy"] > said["majority_accuracy"] > 0.5
    assert said["used"] == "model"
    assert float(said["gain_low"]) > 0
    for j, row in enumerate(found.functions):
        cast = votes[:, j] >= 0
        assert row["coverage"] == round(float(cast.mean()), 4)
        assert row["accuracy"] == round(float((votes[cast, j] == known.labels[cast]).mean()), 4)
    copied = [found.functions[j]["weight"] for j in known.clique]
    assert max(copied) < 0.5


def test_majority_is_used_where_it_is_surely_better(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 4000)
    # seven that are right and alike, three that err alike: by votes alone the seven are one voice
    good = np.where(rng.random(4000) < 0.95, labels, 1 - labels)
    trend = np.where(rng.random(4000) < 0.4, labels, 1 - labels)
    bad = [np.where(rng.random(4000) < 0.8, trend, 1 - trend) for _ in range(3)]
    copies = [np.where(rng.random(4000) < 0.99, good, 1 - good) for _ in range(7)]
    votes = np.stack([*copies, *bad], axis=1).astype(np.int8)
    write_votes(tmp_path / "v.npz", votes, classes=2, labels=labels)
    found = fit_votes(tmp_path / "v.npz")
    assert float(found.summary["gain_high"]) < 0
    assert found.summary["used"] == "majority"
    assert np.array_equal(found.probabilities, majority_vote(votes, 2))


def test_without_labels_nothing_is_said_of_being_right(tmp_path: Path, known: KnownVotes) -> None:
    np.save(tmp_path / "snorkel.npy", known.votes.astype(np.int64))
    found = fit_votes(tmp_path / "snorkel.npy")
    assert not {"accuracy", "log_loss", "gain_low"} & set(found.summary)
    assert "accuracy" not in found.functions[0]
    assert found.summary["used"] == "model"


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_the_table_holds_every_item_with_its_probabilities(
    path: Path, tmp_path: Path, suffix: str
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"labels.{suffix}"
    found = fit_votes(path)
    write_weak_labels(found, out, source=path)
    rows = read_labels(out)
    assert len(rows) == 3000
    for row, p in zip(rows[:50], found.probabilities, strict=False):
        assert row["class"] == str(p.argmax())
        assert [row[f"p{c}"] for c in range(3)] == pytest.approx(p.tolist(), abs=1e-6)
        assert row["source"] == "functions"
    assert rows[7]["trace"] == "votes.npz/7"


def test_the_command_prints_functions_and_what_holds_of_all(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    shown = invoke("fit", str(path), "--out", str(out))
    assert shown.exit_code == 0
    assert "estimated accuracy" in shown.stdout.splitlines()[0]
    assert "entropy quartiles" in shown.stdout
    assert len(out.read_text().splitlines()) == 3000
    told = json.loads(invoke("fit", str(path), "--json").stdout)
    assert told["summary"] == fit_votes(path).summary
    assert len(told["functions"]) == 8


def test_what_is_no_file_of_votes_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        fit_votes(tmp_path / "none.npz")
    (tmp_path / "votes.txt").write_text("0,1\n")
    with pytest.raises(InputError):
        fit_votes(tmp_path / "votes.txt")
    np.save(tmp_path / "empty.npy", np.empty((0, 3), dtype=np.int8))
    with pytest.raises(InputError, match="holds no votes"):
        fit_votes(tmp_path / "empty.npy", classes=2)
