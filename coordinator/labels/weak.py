"""Weak labels of a file of votes: fitted, compared with a majority vote, and written with reasons.

For votes that are already in one place, such as those another tool made. In a campaign votes stay
on their devices, and the same fit runs over their sums.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coordinator.labels.label_tables import LabelRow, write_labels
from coordinator.labels.vote_files import VoteFile, read_votes
from fieldvote.errors import InputError
from strategies.labeling import (
    LabelModel,
    PairedComparison,
    analyse,
    brier_score,
    fit_across,
    log_loss,
    majority_vote,
)

Row = dict[str, str | int | float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeakLabels:
    """What became of a file of votes.

    Attributes:
        functions: A line per function.
        summary: What holds of all together.
        probabilities: Of each item's classes, by the model or by majority, whichever is used.
            Shape (n, k).
    """

    functions: tuple[Row, ...]
    summary: Row
    probabilities: NDArray[np.float64]


def fit_votes(path: Path, *, classes: int | None = None, exchanges: int = 3) -> WeakLabels:
    """Fit the label model to a file of votes.

    Args:
        path: See coordinator.labels.vote_files for what it may be.
        classes: How many classes there are; None takes it from the file.
        exchanges: How often expected counts refine the fit at most.

    Raises:
        InputError: It is none we read, or holds no votes.
        DataError: There is no such file, or what is in it is no vote matrix.
    """
    found = read_votes(path, classes=classes)
    if not found.votes.size:
        raise InputError(f"{path.name}: holds no votes")
    model = fit_across([found.votes], classes=found.classes, rounds=exchanges)
    soft, majority = model.predict(found.votes), majority_vote(found.votes, found.classes)
    summary = _summary(found, soft)
    used = soft
    if found.labels is not None:
        paired = PairedComparison.from_votes(model, found.votes, found.labels)
        used = majority if paired.majority_is_better else soft
        low, high = paired.interval
        summary |= {
            "accuracy": _share_right(soft, found.labels),
            "majority_accuracy": _share_right(majority, found.labels),
            "gain_low": round(low, 4),
            "gain_high": round(high, 4),
            "log_loss": round(log_loss(soft, found.labels), 4),
            "brier": round(brier_score(soft, found.labels), 4),
        }
    summary["used"] = "model" if used is soft else "majority"
    return WeakLabels(
        functions=tuple(_functions(found, model)), summary=summary, probabilities=used
    )


def write_weak_labels(labels: WeakLabels, out: Path, *, source: Path) -> None:
    """Write a line per item: its likeliest class, and how likely every class is.

    Raises:
        InputError: Another suffix than .jsonl or .parquet.
        StoreError: The disk would not take it.
    """
    rows: list[LabelRow] = []
    for number, row in enumerate(labels.probabilities):
        likely = {f"p{c}": round(float(p), 6) for c, p in enumerate(row)}
        rows.append(
            {
                "trace": f"{source.name}/{number}",
                "class": str(int(row.argmax())),
                "source": "functions",
                "method": str(labels.summary["used"]),
                "schema": "",
                "model": "",
                "confidence": round(float(row.max()), 6),
                **likely,
            }
        )
    write_labels(rows, out)


def _summary(found: VoteFile, soft: NDArray[np.float64]) -> Row:
    """Return what holds of all functions together."""
    voters = (found.votes >= 0).sum(axis=1)
    present = np.where(found.votes >= 0, found.votes, found.votes.max(axis=1, keepdims=True))
    low = np.where(found.votes >= 0, found.votes, found.classes).min(axis=1)
    conflict = (voters > 0) & (present.max(axis=1) != low)
    nats = -(soft * np.log(soft)).sum(axis=1)
    quartiles = np.quantile(nats / np.log(found.classes), [0.25, 0.5, 0.75])
    return {
        "items": len(found.votes),
        "functions": found.votes.shape[1],
        "classes": found.classes,
        "coverage": round(float((voters > 0).mean()), 4),
        "conflict": round(float(conflict.sum() / max((voters > 0).sum(), 1)), 4),
        # how unsure the labels are: 0 is certain, 1 knows nothing
        "entropy_quartiles": " ".join(f"{q:.2f}" for q in quartiles),
    }


def _functions(found: VoteFile, model: LabelModel) -> list[Row]:
    """Return what each function does, and what the model makes of it."""
    rows: list[Row] = []
    for report in analyse(found.votes, classes=found.classes, labels=found.labels):
        row: Row = {
            "function": found.functions[report.position] if found.functions else report.position,
            "coverage": round(report.coverage, 4),
            "overlap": round(report.overlap, 4),
            "conflict": round(report.conflict, 4),
            "estimated_accuracy": round(float(model.accuracies[report.position]), 4),
            "weight": round(float(model.weights[report.position]), 4),
        }
        if found.labels is not None:
            known = report.accuracy
            row["accuracy"] = "" if known is None else round(known, 4)
        rows.append(row)
    return rows


def _share_right(soft: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return how often the likeliest class is right; whoever shares first place gets a share."""
    best = soft >= soft.max(axis=1, keepdims=True) - 1e-12
    return round(float((best[np.arange(len(soft)), labels] / best.sum(axis=1)).mean()), 4)
