"""Why a label is what it is: what each function's vote added, to the last bit of the prediction."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strategies.labeling.evidence import damping_scale
from strategies.labeling.exponential import UNIT
from strategies.labeling.model import LabelModel
from strategies.labeling.votes import checked_votes

Row = dict[str, str | int | float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contribution:
    """What one vote says of the classes.

    Attributes:
        function: Position of the function.
        vote: The class it votes for.
        weight: How much of an independent voice the function is: 1, or less for copies.
        accuracy: How often it is right when it votes, as the model has it.
        nats: Log-likelihood it adds to each class, beyond the mean of all classes; after weight,
            temperature and damping. Shape (k,).
    """

    function: int
    vote: int
    weight: float
    accuracy: float
    nats: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explanation:
    """Why an item's probabilities are what they are.

    Attributes:
        probabilities: What the model predicts. Shape (k,).
        before: What it would say of an item without any of these votes. Shape (k,).
        prior_nats: Log-likelihood the class balance adds, beyond its mean. Shape (k,).
        contributions: One per vote; the vote that says most for the likeliest class is first.
    """

    probabilities: NDArray[np.float64]
    before: NDArray[np.float64]
    prior_nats: NDArray[np.float64]
    contributions: tuple[Contribution, ...]


def explain(model: LabelModel, votes: ArrayLike) -> Explanation:
    """Explain the label of one item.

    The nats of prior and contributions add up to the logits of the prediction, before the share of
    it that is spread evenly over the classes because no set of votes is certain.

    Args:
        model: The label model.
        votes: The item's votes. Shape (m,), integers, -1 abstains.

    Raises:
        ShapeError, InputError: votes are not those of one item on m functions.

    >>> from strategies.labeling.summary import VoteSummary
    >>> seen = np.array([[0, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 1]] * 20)
    >>> model = LabelModel.fit(VoteSummary.from_votes(seen, classes=2))
    >>> told = explain(model, [1, -1, -1])
    >>> [(each.function, each.vote) for each in told.contributions]
    [(0, 1)]
    """
    row = checked_votes(np.asarray(votes)[None, ...], model.classes, functions=model.functions)
    evidence = model.evidence
    cast = np.flatnonzero(row[0] >= 0)
    voices = np.asarray([evidence.weights[cast].sum()])
    scale = float(damping_scale(voices, model.damping)[0])
    probabilities = model.predict(row)[0]
    likeliest = int(probabilities.argmax())
    said = [
        Contribution(
            function=int(j),
            vote=int(row[0, j]),
            weight=float(model.weights[j]),
            accuracy=float(model.accuracies[j]),
            nats=_beyond_mean(evidence.votes[j, row[0, j]] * scale),
        )
        for j in cast
    ]
    return Explanation(
        probabilities=probabilities,
        before=model.prior.copy(),
        prior_nats=_beyond_mean(evidence.prior * scale),
        contributions=tuple(sorted(said, key=lambda each: -each.nats[likeliest])),
    )


def to_rows(
    told: Explanation, *, functions: Sequence[tuple[str, str]], classes: Sequence[str]
) -> list[Row]:
    """Return an explanation as lines to print: the class balance, the votes, what comes of them.

    Args:
        told: The explanation.
        functions: Id and version of every function, in the order of vote columns.
        classes: Their names.
    """
    blank: Row = {"version": "", "votes": "", "accuracy": "", "weight": ""}

    def added(nats: NDArray[np.float64]) -> Row:
        return {name: f"{n:+.2f}" for name, n in zip(classes, nats, strict=True)}

    rows: list[Row] = []
    if told.contributions:
        rows.append({"function": "class balance", **blank, **added(told.prior_nats)})
    for each in told.contributions:
        name, version = functions[each.function]
        rows.append(
            {
                "function": name,
                "version": version,
                "votes": classes[each.vote],
                "accuracy": round(each.accuracy, 3),
                "weight": round(each.weight, 3),
                **added(each.nats),
            }
        )
    shares = {name: f"{p:.1%}" for name, p in zip(classes, told.probabilities, strict=True)}
    return [*rows, {"function": "probability", **blank, **shares}]


def _beyond_mean(evidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return evidence in nats, without what it says for every class alike."""
    nats = evidence / UNIT
    return np.asarray(nats - nats.mean())
