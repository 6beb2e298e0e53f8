"""How much an item is worth a label, for a device that knows the votes of its functions as well.

What the votes say counts by how far the functions are known to beat chance. A function that
guesses, or that is always wrong, has a reliability of 0, and items that only such functions vote on
rank as they do without votes. However wrong that estimate is, an item moves by no more than the
weights allow (see most_moved).

Sources: Lin 1991, IEEE Transactions on Information Theory 37(1), section IV (Jensen-Shannon
divergence); Cohen 1960, Educational and Psychological Measurement 20(1), equation 1 (agreement
beyond chance); Wilson 1927, JASA 22(158) (what a share is at least, from few cases).
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.acquisition.committee import disagreement
from strategies.acquisition.sketches import hamming
from strategies.acquisition.uncertainty import entropy_scores, margin_scores
from strategies.labeling.anchors import AnchorSummary

DEVIATIONS = 2.33
"""One guessing function in a hundred passes for one that knows something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteWeights:
    """How much each part counts beside the model's uncertainty, which counts 1.

    Attributes:
        label_entropy: Of what the label model does not know.
        disagreement: Between the model and the label model.
        novelty: Against what is labeled.

    Raises:
        InputError: A weight that is negative or not finite.
    """

    label_entropy: float = 0.25
    disagreement: float = 0.25
    novelty: float = 0.25

    def __post_init__(self) -> None:
        for part in fields(self):
            weight = getattr(self, part.name)
            if not np.isfinite(weight) or weight < 0:
                raise InputError(f"{part.name} must be a finite number of 0 or more, got {weight}")

    @property
    def total(self) -> float:
        """All of them together."""
        return self.label_entropy + self.disagreement + self.novelty


def vote_scores(
    probabilities: NDArray[np.float64],
    posterior: NDArray[np.float64],
    trust: NDArray[np.float64],
    novelty: NDArray[np.float64] | None = None,
    *,
    weights: VoteWeights,
) -> NDArray[np.float64]:
    """Return the score of each item, 0 to 1; with weights of 0 that of margin_scores, to the bit.

    Args:
        probabilities: What the model says. Shape (n, k).
        posterior: What the label model makes of the votes. Shape (n, k).
        trust: How far to go by the votes on each item, 0 to 1 (see vote_trust). Shape (n,).
        novelty: 0 to 1; None for nothing known of it. Shape (n,).
        weights: Of the parts.

    Raises:
        ShapeError: Not one row, or one number, per item.
        InputError: Trust or novelty outside 0 to 1, or a probability that is not finite.

    >>> unsure, votes = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> just = VoteWeights(label_entropy=0.0, disagreement=1.0, novelty=0.0)
    >>> vote_scores(unsure, votes, np.array([0.0, 1.0]), weights=just).tolist()
    [0.5, 0.5]
    """
    items, classes = probabilities.shape
    new = np.zeros(items) if novelty is None else novelty
    if posterior.shape != probabilities.shape:
        raise ShapeError("posterior", posterior.shape, probabilities.shape)
    if not (np.isfinite(probabilities).all() and np.isfinite(posterior).all()):
        raise InputError("probabilities must be finite")
    for name, column in (("trust", trust), ("novelty", new)):
        if column.shape != (items,):
            raise ShapeError(name, column.shape, (items,))
        if not ((column >= 0) & (column <= 1)).all():
            raise InputError(f"{name} must be 0 to 1")
    doubt = entropy_scores(posterior) / np.log(max(classes, 2))
    apart = disagreement(np.stack([probabilities, posterior])) / np.log(2)
    votes = trust * (weights.label_entropy * doubt + weights.disagreement * apart)
    plain = np.asarray(margin_scores(probabilities), dtype=np.float64)
    together = plain + votes + weights.novelty * new
    # the limits are kept in exact arithmetic; the last bit of a logarithm may pass them
    return np.asarray(np.clip(together / (1.0 + weights.total), 0.0, 1.0))


def most_moved(trust: NDArray[np.float64], weights: VoteWeights) -> float:
    """Return how much less uncertain than the last plain pick an item may be and still be picked.

    Whatever the votes say: of the k best by vote_scores, each has a margin score of at least that
    of the k-th best margin score, less this.

    Args:
        trust: As given to vote_scores. Shape (n,).
        weights: As given to vote_scores.

    >>> most_moved(np.array([0.0, 0.5]), VoteWeights(novelty=0.0))
    0.25
    """
    most = float(trust.max(initial=0.0))
    return most * (weights.label_entropy + weights.disagreement) + weights.novelty


def function_reliability(anchors: AnchorSummary) -> NDArray[np.float64]:
    """Return how far each function surely beats chance: 0 for guessing or worse, 1 at most.

    Chance is what the function would get right if it cast the same votes blindly; a function that
    always names the commonest class is right often, and knows nothing.

    Args:
        anchors: Votes on items whose class people told.

    Returns:
        Shape (m,). 0 where there are no anchors.

    >>> right, wrong = [[0, 1]] * 40, [[1, 0]] * 40
    >>> anchors = AnchorSummary.from_votes(right + wrong, [0] * 40 + [1] * 40, classes=2)
    >>> function_reliability(anchors).round(2).tolist()
    [0.87, 0.0]
    """
    given = anchors.given.astype(np.float64)
    share = anchors.right / np.maximum(given, 1)
    spread = DEVIATIONS**2 / np.maximum(given, 1)
    half = np.sqrt(spread * (share * (1 - share) + spread / 4))
    least = (share + spread / 2 - half) / (1 + spread)
    cast = anchors.tables.sum(axis=2) / np.maximum(given, 1)[:, None]
    # of the items it votes on: where it abstains, the classes may be others
    there = anchors.tables.sum(axis=1) / np.maximum(given, 1)[:, None]
    chance = (cast * there).sum(axis=1)
    beyond = (least - chance) / np.maximum(1 - chance, np.finfo(np.float64).tiny)
    return np.where((given > 0) & (chance < 1), np.clip(beyond, 0.0, 1.0), 0.0)


def vote_trust(
    votes: NDArray[np.int64], reliability: NDArray[np.float64], *, calibration_error: float
) -> NDArray[np.float64]:
    """Return how far to go by the votes on each item: 0 where nobody reliable votes.

    Args:
        votes: -1 abstains. Shape (n, m).
        reliability: Of each function, 0 to 1. Shape (m,).
        calibration_error: Mean gap between the label model's confidence and how often it is right,
            on anchors (see expected_calibration_error). At one half it is not to be believed.

    Returns:
        Mean reliability of the functions that vote, less what calibration takes. Shape (n,).

    Raises:
        ShapeError: Not one reliability per function.
        InputError: A reliability outside 0 to 1, or a negative calibration error.

    >>> vote_trust(np.array([[0, 1], [-1, 1], [-1, -1]]), np.array([1.0, 0.0]),
    ...     calibration_error=0.25).tolist()
    [0.25, 0.0, 0.0]
    """
    if votes.ndim != 2 or reliability.shape != votes.shape[1:]:
        raise ShapeError("reliability", reliability.shape, votes.shape[1:])
    if not ((reliability >= 0) & (reliability <= 1)).all() or not calibration_error >= 0:
        raise InputError("expected reliabilities of 0 to 1, and a calibration error of 0 or more")
    fires = votes >= 0
    mean = (fires @ reliability) / np.maximum(fires.sum(axis=1), 1)
    return np.asarray(np.clip(mean * max(1.0 - 2.0 * calibration_error, 0.0), 0.0, 1.0))


def novelty(points: ArrayLike, labeled: ArrayLike) -> NDArray[np.float64]:
    """Return the angle between each item and the nearest labeled one, 1 for a right angle or more.

    Args:
        points: Embeddings. Shape (n, d).
        labeled: Those of labeled items; without any, everything is new. Shape (l, d).

    Raises:
        ShapeError: Embeddings of another width.
        InputError: A value that is not finite.

    >>> novelty([[1.0, 0.0], [1.0, 1.0], [0.0, 3.0]], [[2.0, 0.0]]).round(3).tolist()
    [0.0, 0.5, 1.0]
    """
    a, b = (np.asarray(rows, dtype=np.float64) for rows in (points, labeled))
    if a.ndim != 2 or a.shape[1:] != b.shape[1:]:
        raise ShapeError("labeled", b.shape, ("l", *a.shape[1:]))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("embeddings must be finite")
    nearest = np.zeros(len(a))
    scaled = a / np.maximum(np.linalg.norm(a, axis=1), np.finfo(np.float64).tiny)[:, None]
    for row in b:
        length = max(float(np.linalg.norm(row)), float(np.finfo(np.float64).tiny))
        np.maximum(nearest, scaled @ (row / length), out=nearest)
    return np.asarray(np.arccos(np.minimum(nearest, 1.0)) / (np.pi / 2))


def sketch_novelty(sketches: NDArray[np.uint8], labeled: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return what novelty would be of the embeddings, as far as their sketches tell.

    Args:
        sketches: Shape (n, b), b > 0.
        labeled: Those of labeled or pending items. Shape (l, b).

    Raises:
        ShapeError: Sketches of another length, or of none.

    >>> both = np.array([[0b1111], [0b1100]], dtype=np.uint8)
    >>> sketch_novelty(both, both[:1]).tolist()
    [0.0, 0.5]
    """
    if sketches.ndim != 2 or not sketches.shape[1] or sketches.shape[1:] != labeled.shape[1:]:
        raise ShapeError("labeled", labeled.shape, ("l", *sketches.shape[1:]))
    right_angle = 4 * sketches.shape[1]
    nearest = np.full(len(sketches), right_angle)
    for row in labeled:
        np.minimum(nearest, hamming(sketches, row), out=nearest)
    return np.asarray(nearest / right_angle)
