"""Votes made up for tests: what is true of them is known."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray


def any_votes(rng: Generator, *, items: int, functions: int, classes: int) -> NDArray[np.int8]:
    """Votes without rhyme or reason, a third of them abstentions."""
    votes = rng.integers(-1, classes, (items, functions))
    return np.where(rng.random(votes.shape) < 1 / 3, -1, votes).astype(np.int8)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVotes:
    """Votes with their truth; the last `copies` functions copy the worst of the others."""

    votes: NDArray[np.int8]
    labels: NDArray[np.int64]
    accuracies: NDArray[np.float64]  # of the originals
    worst: int
    copies: int

    @property
    def originals(self) -> int:
        return len(self.accuracies)

    @property
    def clique(self) -> list[int]:
        """Positions of the worst function and its copies."""
        return [self.worst, *range(self.originals, self.originals + self.copies)]

    def oracle_accuracy(self, classes: int) -> float:
        """Accuracy of who knows all accuracies and leaves the copies out."""
        odds = np.log(self.accuracies * (classes - 1) / (1 - self.accuracies))
        scores = np.stack(
            [(self.votes[:, : self.originals] == c) @ odds for c in range(classes)], axis=1
        )
        return float((scores.argmax(axis=1) == self.labels).mean())


def known_votes(
    seed: int,
    *,
    items: int,
    functions: int,
    classes: int,
    copies: int = 0,
    abstain: float = 0.5,
    flips: float = 0.05,
) -> KnownVotes:
    """Independent functions of accuracy .55 to .85, and copies of the worst with some flips."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, items)
    accuracies = rng.uniform(0.55, 0.85, functions - copies)

    def another(truth: NDArray[np.int64]) -> NDArray[np.int64]:
        return (truth + rng.integers(1, classes, truth.shape)) % classes

    truth = np.repeat(labels[:, None], len(accuracies), axis=1)
    votes = np.where(rng.random(truth.shape) < accuracies, truth, another(truth))
    votes = np.where(rng.random(truth.shape) < abstain, -1, votes)
    worst = int(accuracies.argmin())
    copied = np.repeat(votes[:, [worst]], copies, axis=1)
    flipped = (rng.random(copied.shape) < flips) & (copied >= 0)
    copied = np.where(flipped, another(copied), copied)
    return KnownVotes(
        votes=np.concatenate([votes, copied], axis=1).astype(np.int8),
        labels=labels,
        accuracies=accuracies,
        worst=worst,
        copies=copies,
    )


def shard(rng: Generator, votes: NDArray[np.int8], pieces: int) -> list[NDArray[np.int8]]:
    """Deal rows to devices at random, in random order; some devices get none."""
    owner = rng.integers(0, pieces, len(votes))
    dealt = [votes[owner == piece] for piece in range(pieces)]
    return [piece[rng.permutation(len(piece))] for piece in dealt]
