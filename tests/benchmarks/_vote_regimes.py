"""Votes made in the image of real sets that cannot be shipped: their shapes, their kinds of error.

Real functions are not independent: items are hard for all of them at once, key words of a class
come together, workers share a bias. Each regime here has such a fault, and a known truth.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Votes = NDArray[np.int8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSet:
    """A set of votes with its truth.

    Attributes:
        votes: To fit on. Shape (n, m).
        labels: Their truth. Shape (n,).
        test: To score on. Shape (t, m).
        truth: Its truth. Shape (t,).
        classes: Number of classes, k.
    """

    votes: Votes
    labels: Labels
    test: Votes
    truth: Labels
    classes: int


def keywords(
    rng: Generator,
    *,
    items: int,
    functions: int,
    classes: int,
    fires: float,
    noise: float,
    themes: float,
    skew: float,
    held_out: int,
) -> MadeSet:
    """One-class functions, such as key words, that speak where an item touches their class.

    An item touches its true class, most often strongly, and some others by the way. Functions of
    one class then speak together whether they are right or not, as key words do.

    Args:
        rng: Where the draws come from.
        items: How many to fit on.
        functions: How many functions; classes take turns.
        classes: Number of classes.
        fires: How often a function speaks on an item that touches its class, on average.
        noise: Most of how often it speaks on any other item; drawn per function.
        themes: How many other classes an item touches, on average.
        skew: Class balance falls as exp(-skew * rank).
        held_out: How many more to score on.
    """
    total = items + held_out
    balance = np.exp(-skew * np.arange(classes))
    balance = rng.permutation(balance / balance.sum())
    labels = rng.choice(classes, total, p=balance)
    touched = rng.random((total, classes)) < themes / classes
    salience = np.where(touched, rng.uniform(0.1, 0.9, (total, classes)), 0.0)
    salience[np.arange(total), labels] = rng.uniform(0.3, 1.0, total)
    votes = np.full((total, functions), -1, dtype=np.int8)
    for j in range(functions):
        c = j % classes
        rate = min(fires * np.exp(rng.normal(0, 0.6)), 0.95)
        stray = noise * rng.random() ** 2
        votes[rng.random(total) < stray + rate * salience[:, c], j] = c
    return _split(votes, labels, items, classes)


def crowd(
    rng: Generator,
    *,
    items: int,
    workers: int,
    classes: int,
    answers: int,
    skill: tuple[float, float],
    hardness: float,
    first_class: float,
    bias: float,
) -> MadeSet:
    """Workers who answer some items each; hard items have one wrong answer that tempts all.

    Args:
        rng: Where the draws come from.
        items: How many, fitted and scored on.
        workers: How many.
        classes: Number of classes.
        answers: How many workers answer an item.
        skill: Range of their accuracies on easy items.
        hardness: Share of items on which the tempting answer wins as often as the true one.
        first_class: Share of the first class; the others share the rest evenly.
        bias: How much workers lean to an answer of their own where they err.
    """
    balance = np.full(classes, (1 - first_class) / (classes - 1))
    balance[0] = first_class
    labels = rng.choice(classes, items, p=balance)
    tempting = (labels + rng.integers(1, classes, items)) % classes
    hard = rng.random(items) < hardness
    skills = rng.uniform(*skill, workers)
    leaning = rng.integers(0, classes, workers)
    activity = rng.dirichlet(np.full(workers, 0.6)) + 1e-6
    activity /= activity.sum()
    votes = np.full((items, workers), -1, dtype=np.int8)
    for i in range(items):
        who = rng.choice(workers, min(answers, workers), replace=False, p=activity)
        wrong = np.where(rng.random(len(who)) < bias, leaning[who], tempting[i])
        right = np.where(hard[i], 0.5, skills[who])
        votes[i, who] = np.where(rng.random(len(who)) < right, labels[i], wrong)
    return MadeSet(votes=votes, labels=labels, test=votes, truth=labels, classes=classes)


def heuristics(
    rng: Generator,
    *,
    items: int,
    functions: int,
    classes: int,
    accuracy: tuple[float, float],
    abstain: float,
    hardness: float,
    held_out: int,
) -> MadeSet:
    """Functions that vote for every class and share hard items.

    Args:
        rng: Where the draws come from.
        items: How many to fit on.
        functions: How many functions.
        classes: Number of classes.
        accuracy: Range of their accuracies on ordinary items.
        abstain: Share of items a function is silent on.
        hardness: Share of items on which all do worse, and err alike.
        held_out: How many more to score on.
    """
    total = items + held_out
    labels = rng.integers(0, classes, total)
    tempting = (labels + rng.integers(1, classes, total)) % classes
    hard = rng.random(total) < hardness
    votes = np.full((total, functions), -1, dtype=np.int8)
    for j in range(functions):
        right = np.where(hard, 0.35, rng.uniform(*accuracy))
        another = np.where(hard, tempting, (labels + rng.integers(1, classes, total)) % classes)
        said = np.where(rng.random(total) < right, labels, another)
        votes[:, j] = np.where(rng.random(total) < abstain, -1, said)
    return _split(votes, labels, items, classes)


def copied(
    seed: int,
    *,
    items: int,
    functions: int,
    classes: int,
    copies: int,
    abstain: float,
    flips: float = 0.05,
) -> tuple[MadeSet, NDArray[np.bool_], float]:
    """Independent functions of accuracy .55 to .85 and copies of the worst, some votes flipped.

    Returns:
        The votes, which pairs are copies of one (m, m), and the accuracy of who knows all
        accuracies and leaves the copies out, in percent.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, items)
    accuracies = rng.uniform(0.55, 0.85, functions - copies)
    columns = []
    for right in accuracies:
        another = (labels + rng.integers(1, classes, items)) % classes
        votes = np.where(rng.random(items) < right, labels, another)
        columns.append(np.where(rng.random(items) < abstain, -1, votes))
    worst = int(accuracies.argmin())
    odds = np.log(accuracies * (classes - 1) / (1 - accuracies))
    known = np.stack(columns, axis=1)
    scores = np.stack([(known == c) @ odds for c in range(classes)], axis=1)
    for _ in range(copies):
        original = columns[worst]
        another = (original + rng.integers(1, classes, items)) % classes
        flipped = (rng.random(items) < flips) & (original >= 0)
        columns.append(np.where(flipped, another, original))
    clique = np.zeros(functions, dtype=np.bool_)
    clique[worst] = clique[functions - copies :] = True
    pairs = np.outer(clique, clique) & ~np.eye(functions, dtype=np.bool_)
    matrix = np.stack(columns, axis=1).astype(np.int8)
    made = MadeSet(votes=matrix, labels=labels, test=matrix, truth=labels, classes=classes)
    return made, pairs, float(100 * (scores.argmax(axis=1) == labels).mean())


def relations(rng: Generator) -> MadeSet:
    """Ten relation types, 26 weak patterns in conflict, classes from 24 % to 2 %."""
    return keywords(
        rng,
        items=6_000,
        functions=26,
        classes=10,
        fires=0.3,
        noise=0.12,
        themes=2.0,
        skew=0.25,
        held_out=1_600,
    )


REGIMES: Mapping[str, Callable[[Generator], MadeSet]] = {
    "relations": relations,
    "topics, few": lambda rng: keywords(
        rng, items=2_000, functions=19, classes=5, fires=0.35, noise=0.1, themes=1.2, skew=0.1,
        held_out=600,
    ),
    "topics, skewed": lambda rng: keywords(
        rng, items=1_300, functions=19, classes=7, fires=0.35, noise=0.08, themes=1.5, skew=0.35,
        held_out=380,
    ),
    "many patterns": lambda rng: keywords(
        rng, items=1_700, functions=164, classes=9, fires=0.08, noise=0.004, themes=0.5, skew=0.1,
        held_out=600,
    ),
    "news": lambda rng: keywords(
        rng, items=9_000, functions=9, classes=4, fires=0.45, noise=0.05, themes=0.8, skew=0.0,
        held_out=1_200,
    ),
    "rare class": lambda rng: keywords(
        rng, items=8_000, functions=40, classes=2, fires=0.12, noise=0.04, themes=0.7, skew=1.2,
        held_out=2_000,
    ),
    "spam": lambda rng: keywords(
        rng, items=4_500, functions=70, classes=2, fires=0.03, noise=0.004, themes=0.2, skew=1.8,
        held_out=500,
    ),
    "reviews": lambda rng: heuristics(
        rng, items=8_000, functions=8, classes=2, accuracy=(0.6, 0.85), abstain=0.6,
        hardness=0.15, held_out=1_500,
    ),
    "video": lambda rng: heuristics(
        rng, items=6_900, functions=6, classes=2, accuracy=(0.8, 0.95), abstain=0.15,
        hardness=0.12, held_out=1_100,
    ),
    "small crowd": lambda rng: crowd(
        rng, items=108, workers=39, classes=2, answers=39, skill=(0.45, 0.9), hardness=0.15,
        first_class=0.55, bias=0.5,
    ),
    "matches": lambda rng: crowd(
        rng, items=6_000, workers=170, classes=2, answers=3, skill=(0.6, 0.99), hardness=0.05,
        first_class=0.88, bias=0.3,
    ),
    "faces": lambda rng: crowd(
        rng, items=584, workers=27, classes=4, answers=9, skill=(0.5, 0.85), hardness=0.35,
        first_class=0.3, bias=0.3,
    ),
    "breeds": lambda rng: crowd(
        rng, items=800, workers=109, classes=4, answers=10, skill=(0.4, 0.95), hardness=0.2,
        first_class=0.25, bias=0.2,
    ),
}  # fmt: skip # a table: one regime, one entry


def _split(votes: Votes, labels: Labels, items: int, classes: int) -> MadeSet:
    return MadeSet(
        votes=votes[:items],
        labels=labels[:items],
        test=votes[items:],
        truth=labels[items:],
        classes=classes,
    )
