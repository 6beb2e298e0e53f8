"""What teaches on a device: which item, what it is said to be, how much it weighs and how deep.

Four kinds of label, each with its source. What a person answered about the device's own item
teaches all layers with weight 1, and it is the unmasked item that is learned from. Items only
functions voted on teach what the label model makes of the votes, softly. The model's own labels
count above thresholds that answers vouch for, as a capped share. And second views of items (see
``edge.learning.views``) may teach what the lesson does, or of other items what the model says.

A lesson names an item and holds no input. What is learned *from* is made of items alone, so who
answered, what was voted and how sure anybody was can never become a feature.

Sources: ``strategies.governance`` for weights and depths; Xie et al. 2020, arXiv:1904.12848, for
second views with the model's own word as a soft target.
"""

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from fieldvote.teaching import TeachingRule
from strategies.governance import DepthReport, DepthRule, Source, govern, support
from strategies.governance.confidence import MOST_WEIGHT, Support
from strategies.governance.pseudo_labels import choose
from strategies.labeling import LabelModel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lessons:
    """What teaches, row by row.

    Attributes:
        positions: Of the items, in the pool. Shape (n,), int64.
        targets: What each is said to be; rows sum to 1. Shape (n, k), float64.
        weights: Relative to one answered item. Shape (n,), float64.
        gates: 1 teaches all layers, 0 the head alone. Shape (n,), float32.
        sources: A Source each. Shape (n,), int8.
        second: Whether the input is the item's second view. Shape (n,), bool.
    """

    positions: NDArray[np.int64]
    targets: NDArray[np.float64]
    weights: NDArray[np.float64]
    gates: NDArray[np.float32]
    sources: NDArray[np.int8]
    second: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Refuse columns that do not speak of the same rows."""
        rows = (len(self.positions),)
        if self.targets.ndim != 2 or len(self.targets) != rows[0]:
            raise ShapeError("targets", self.targets.shape, (*rows, "k"))
        for name in ("positions", "weights", "gates", "sources", "second"):
            if getattr(self, name).shape != rows:
                raise ShapeError(name, getattr(self, name).shape, rows)

    @classmethod
    def of_answers(
        cls, positions: NDArray[np.int64], labels: NDArray[np.int64], *, classes: int
    ) -> "Lessons":
        """Return what people's answers teach.

        >>> Lessons.of_answers(np.array([7]), np.array([1]), classes=2).targets.tolist()
        [[0.0, 1.0]]
        """
        n = len(positions)
        return cls(
            positions=positions,
            targets=np.eye(classes)[labels],
            weights=np.ones(n),
            gates=np.ones(n, dtype=np.float32),
            sources=np.full(n, Source.VERIFIED, dtype=np.int8),
            second=np.zeros(n, dtype=np.bool_),
        )

    def __len__(self) -> int:
        """Return the number of rows, n."""
        return len(self.positions)

    def __add__(self, other: "Lessons") -> "Lessons":
        """Return the rows of both, in order."""
        if not isinstance(other, Lessons):
            return NotImplemented
        return Lessons(
            **{
                each.name: np.concatenate([getattr(self, each.name), getattr(other, each.name)])
                for each in fields(self)
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    """What a device knows of its items, by position.

    Attributes:
        answers: The class a person gave; -1 where none did. Shape (n,), int64.
        free: Which items may teach; the others are for evaluation. Shape (n,), bool.
        votes: Of the functions, -1 abstains. Shape (n, m), int8.
        ranks: Distinct numbers that break ties, the same wherever an item lies. Shape (n,), int64.
        classes: k.
    """

    answers: NDArray[np.int64]
    free: NDArray[np.bool_]
    votes: NDArray[np.int8]
    ranks: NDArray[np.int64]
    classes: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beliefs:
    """What the items without an answer are taken to be, and how far that is trusted.

    Attributes:
        label_model: Reads the votes; None leaves them out.
        vote_weight: Largest weight of one voted item; an answered one weighs 1.
        rule: How sure is sure enough for what.
        teacher: What the model that labels items by itself says of each. Shape (n, k); None: it
            says nothing.
    """

    label_model: LabelModel | None = None
    vote_weight: float = 0.0
    rule: TeachingRule = field(default_factory=TeachingRule)
    teacher: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Taught:
    """What a device's items teach, and what came of the rest.

    Attributes:
        lessons: What teaches.
        report: How many samples of which confidence teach how deep; a lesson seen again is one.
        asked: Positions of voted items too doubtful to teach: a person is to be asked. Shape (q,).
    """

    lessons: Lessons
    report: DepthReport
    asked: NDArray[np.int64]


def what_teaches(known: Known, beliefs: Beliefs) -> Taught:
    """Return everything on this device that teaches; no randomness, rows in order of the items.

    Raises:
        ShapeError: the label model, the rule or the teacher are of other functions or classes.
        InputError: a number of the rule is none that tiers or shares could be.
    """
    rule = beliefs.rule
    answered = np.flatnonzero((known.answers >= 0) & known.free)
    verified = Lessons.of_answers(answered, known.answers[answered], classes=known.classes)
    voted, behind = _voted(known, beliefs)
    told = _governed(verified + voted, behind, rule)
    own = _governed(_pseudo_labels(known, beliefs, told.lessons), None, rule)
    both = told.lessons + own.lessons
    alike = _governed(_consistency(known, beliefs, both), None, rule)
    return Taught(
        lessons=_seen_again(both + alike.lessons, rule.second_views),
        report=told.report + own.report + alike.report,
        asked=told.asked,
    )


def certainty(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each distribution is from saying nothing: 0 uniform, 1 certain. Shape (n,).

    >>> certainty(np.array([[0.5, 0.5], [1.0, 0.0]]))
    array([0., 1.])
    """
    base = 1.0 / probabilities.shape[1]
    share: NDArray[np.float64] = (probabilities.max(axis=1) - base) / (1.0 - base)
    return np.clip(share, 0.0, 1.0)


def depth_rule(rule: TeachingRule) -> DepthRule:
    """Return the tiers of a rule; its weights are in the lessons already.

    Raises:
        InputError: they are not in order, or out of range.
    """
    if not 0.0 <= rule.sharpness < np.inf:
        raise InputError(f"expected a finite sharpness of 0 or more, got {rule.sharpness}")
    return DepthRule(
        high=rule.high,
        middle=rule.middle,
        voices=rule.voices,
        agreement=rule.agreement,
        most_weight=rule.most_weight,
        safety_critical=rule.verified_only,
    )


def soft_labels(known: Known, beliefs: Beliefs) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which items teach by their votes alone, and what the votes say. Shapes (v,), (v, k).

    Raises:
        ShapeError: the label model is one of other classes or functions.
        InputError: one vote would outweigh what any lesson may.
    """
    model = beliefs.label_model
    if not beliefs.vote_weight <= MOST_WEIGHT:
        raise InputError(f"a vote's weight is {MOST_WEIGHT:g} at most, got {beliefs.vote_weight}")
    if model is None or not beliefs.vote_weight > 0:
        return np.empty(0, dtype=np.int64), np.empty((0, known.classes))
    voted = np.flatnonzero((known.votes >= 0).any(axis=1) & (known.answers < 0) & known.free)
    if model.classes != known.classes:
        raise ShapeError("label model", (model.classes,), (known.classes,))
    return voted, model.predict(known.votes[voted])


def _voted(known: Known, beliefs: Beliefs) -> tuple[Lessons, Support]:
    """Return a row for every voted item, and who stands behind it."""
    rule = beliefs.rule
    places, soft = soft_labels(known, beliefs)
    n = len(places)
    behind = support(
        known.votes[places],
        soft.argmax(axis=1),
        classes=known.classes,
        groups=rule.groups if len(rule.groups) else None,
    )
    return Lessons(
        positions=places,
        targets=soft,
        weights=beliefs.vote_weight * certainty(soft) ** rule.sharpness,
        gates=np.ones(n, dtype=np.float32),
        sources=np.full(n, Source.VOTED, dtype=np.int8),
        second=np.zeros(n, dtype=np.bool_),
    ), behind


def _pseudo_labels(known: Known, beliefs: Beliefs, others: Lessons) -> Lessons:
    """Return what the model's own labels teach: each weighs what the others do on average."""
    teacher, rule = beliefs.teacher, beliefs.rule
    if teacher is None or not len(rule.thresholds) or not len(others) or rule.verified_only:
        return _nothing(known.classes)
    _check_teacher(teacher, known)
    unlabeled = (known.answers < 0) & known.free
    unlabeled[others.positions] = False
    places = np.flatnonzero(unlabeled)
    found = choose(
        teacher[places],
        rule.thresholds,
        labeled=len(others),
        most_share=rule.most_pseudo,
        ids=known.ranks[places],
    )
    q = len(found.items)
    return Lessons(
        positions=places[found.items],
        targets=np.eye(known.classes)[found.labels],
        weights=np.full(q, others.weights.mean()),
        gates=np.zeros(q, dtype=np.float32),
        sources=np.full(q, Source.PSEUDO, dtype=np.int8),
        second=np.zeros(q, dtype=np.bool_),
    )


def _consistency(known: Known, beliefs: Beliefs, others: Lessons) -> Lessons:
    """Return a row for the second view of each item that teaches nothing else.

    It shall be what the teacher says of the item itself. Together they weigh the rule's share of
    all other lessons.
    """
    teacher, share = beliefs.teacher, beliefs.rule.consistency
    if not 0.0 <= share < np.inf:
        raise InputError(f"expected a finite weight of consistency of 0 or more, got {share}")
    if teacher is None or not share or not len(others) or beliefs.rule.verified_only:
        return _nothing(known.classes)
    _check_teacher(teacher, known)
    rest = known.free & (known.answers < 0)
    rest[others.positions] = False
    places = np.flatnonzero(rest)
    n = len(places)
    return Lessons(
        positions=places,
        targets=teacher[places],
        weights=np.full(n, share * others.weights.sum() / max(n, 1)),
        gates=np.zeros(n, dtype=np.float32),
        sources=np.full(n, Source.PSEUDO, dtype=np.int8),
        second=np.ones(n, dtype=np.bool_),
    )


def _seen_again(lessons: Lessons, share: float) -> Lessons:
    """Return the lessons with the second view of each, which teaches the same as deep.

    Args:
        lessons: What teaches.
        share: What a view weighs, relative to its lesson.
    """
    if not 0.0 <= share <= 1.0:
        raise InputError(f"a second view weighs 0 to 1 of its lesson, got {share}")
    if not share:
        return lessons
    first = np.flatnonzero(~lessons.second)
    return lessons + Lessons(
        positions=lessons.positions[first],
        targets=lessons.targets[first],
        weights=lessons.weights[first] * share,
        gates=lessons.gates[first],
        sources=lessons.sources[first],
        second=np.ones(len(first), dtype=np.bool_),
    )


def _governed(rows: Lessons, behind: Support | None, rule: TeachingRule) -> Taught:
    """Return what of these rows may teach, with its weight and gate.

    Args:
        rows: What would teach; voted rows last.
        behind: Who stands behind the voted rows; None where there is none.
        rule: The tiers.
    """
    unvoted = len(rows) - (0 if behind is None else len(behind.voices))
    silent = np.zeros(unvoted, dtype=np.int64)
    everyone = Support(
        voices=silent if behind is None else np.concatenate([silent, behind.voices]),
        agreeing=silent if behind is None else np.concatenate([silent, behind.agreeing]),
    )
    told = govern(rows.targets, everyone, depth_rule(rule), source=rows.sources, base=rows.weights)
    taught = np.flatnonzero(told.weight > 0)
    lessons = Lessons(
        positions=rows.positions[taught],
        targets=rows.targets[taught],
        weights=told.weight[taught],
        gates=told.gate[taught],
        sources=rows.sources[taught],
        second=rows.second[taught],
    )
    report = DepthReport.of(rows.targets, told, source=rows.sources)
    return Taught(lessons=lessons, report=report, asked=rows.positions[told.asked])


def _check_teacher(teacher: NDArray[np.float64], known: Known) -> None:
    """Refuse what is not one distribution per item."""
    wanted = (len(known.answers), known.classes)
    if teacher.shape != wanted:
        raise ShapeError("teacher", teacher.shape, wanted)


def _nothing(classes: int) -> Lessons:
    """Return no rows."""
    none = np.empty(0, dtype=np.int64)
    return Lessons.of_answers(none, none, classes=classes)
