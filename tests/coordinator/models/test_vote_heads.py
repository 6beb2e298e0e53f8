"""Heads at several weights of the votes, each judged by devices that did not teach it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coordinator.models.totals import Snapshot
from coordinator.models.training import first_model, head_of
from coordinator.models.vote_heads import FoldLeg, fits, tried_weights, weighing
from coordinator.recipe_settings import RecipeSettings
from coordinator.rounds.recipe_choice import weigh
from coordinator.settings import CampaignSettings, InputSettings
from fieldvote.codec import IntVector
from fieldvote.conversation import converse
from fieldvote.heads import HeadModel
from fieldvote.recasting import JUDGE
from strategies.aggregation.summed_head import gradient_sums, head_sums
from strategies.representation import Moments, Representation
from strategies.vote_choice import loss_sums

FOLDS, WIDTH, FULL = 4, 24, 40.0
SETTINGS = CampaignSettings(
    name="made",
    recipes=RecipeSettings(rounds=(1,), folds=FOLDS, vote_weights=(FULL, FULL / 10)),
)
NONE = np.empty(0, dtype=np.int64)
Votes = Callable[[NDArray[np.float64], NDArray[np.int64], np.random.Generator], NDArray[np.float64]]


def right_in(share: float) -> Votes:
    """Return votes that are right so often, by chance, and say how sure one may be of them."""

    def votes(
        _: NDArray[np.float64], truth: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        said = np.where(rng.random(len(truth)) < share, truth, 1 - truth)
        return np.where(np.eye(2)[said] > 0, share, 1 - share)

    return votes


def for_one_class(
    rows: NDArray[np.float64], _: NDArray[np.int64], __: np.random.Generator
) -> NDArray[np.float64]:
    """Vote for one class wherever a word that has nothing to do with it is said."""
    return np.where(rows[:, -1:] > 0.0, np.array([[0.1, 0.9]]), np.array([[0.5, 0.5]]))


@dataclass(frozen=True, slots=True)
class Fleet:
    """Forty labels and six hundred votes on devices in four folds."""

    model: HeadModel
    inputs: NDArray[np.float64]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    voted: NDArray[np.float64]
    said: NDArray[np.float64]
    voted_folds: NDArray[np.int64]

    @classmethod
    def of(cls, votes: Votes, seed: int) -> "Fleet":
        """Make one: items lie about two centres, and labels are drawn by lot."""
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, size=640)
        rows = rng.normal(size=(640, WIDTH))
        rows[:, :8] += 0.8 * truth[:, None]
        moments = Moments.from_embeddings(rows)
        model = first_model(moments, InputSettings(norm=3.0), classes=2, seed=1)
        names = Representation.__dataclass_fields__
        made = Representation(**{name: getattr(model, name) for name in names})
        inputs = made.inputs(rows, made.centre(rows))
        folds = rng.integers(0, FOLDS, size=640)
        return cls(
            model=model,
            inputs=inputs[:40],
            labels=truth[:40],
            folds=folds[:40],
            voted=inputs[40:],
            said=votes(rows[40:], truth[40:], rng),
            voted_folds=folds[40:],
        )

    @property
    def snapshot(self) -> Snapshot:
        """What the sketches of these items come to."""
        answered = head_sums(self.inputs, np.ones(40), seed=self.model.seed)
        voted = head_sums(self.voted, np.ones(600), seed=self.model.seed)
        return Snapshot(
            task="", settings="", environment="", votes=NONE, anchors=NONE,
            voted_items=np.array([600]), labeled=answered.to_vector(), voted=voted.to_vector(),
        )  # fmt: skip

    def answer(self, leg: FoldLeg) -> IntVector:
        """Return what all devices of a leg say together."""
        heads = [
            head_of(replace(self.model, weights=weights))
            for weights in np.split(leg.heads, len(leg.vote_weights))
        ]
        if leg.about == JUDGE:
            own = self.folds == leg.fold
            return loss_sums(self.inputs[own], self.labels[own], heads)
        rest, others = self.folds != leg.fold, self.voted_folds != leg.fold
        sure = 2.0 * self.said[others].max(axis=1) - 1.0
        parts = []
        for head, weight in zip(heads, leg.vote_weights, strict=True):
            told = gradient_sums(
                self.inputs[rest], np.eye(2)[self.labels[rest]], np.ones(int(rest.sum())), head
            )
            votes = gradient_sums(self.voted[others], self.said[others], weight * sure, head)
            parts.append((told + votes).to_vector())
        return np.concatenate(parts)

    def weight(self) -> float:
        """Return what the folds say that votes shall weigh."""
        judged = converse(weighing(self.model, self.snapshot, SETTINGS), self.answer)
        return weigh(judged, SETTINGS).vote_weight[0]


def test_votes_that_teach_end_with_weight_and_those_that_mislead_with_none() -> None:
    """Of eight fleets each: chance gives some of the good ones too few labels to be sure by."""
    seeds = range(8)
    good = [Fleet.of(right_in(0.9), seed).weight() for seed in seeds]
    even = [Fleet.of(right_in(0.55), seed).weight() for seed in seeds]
    biased = [Fleet.of(for_one_class, seed).weight() for seed in seeds]
    assert sum(weight == FULL for weight in good) >= 4
    assert sum(weight > 0 for weight in good) > 2 * sum(weight > 0 for weight in even)
    assert biased == [0.0] * 8


def test_what_a_fold_says_reaches_no_head_that_it_judges() -> None:
    """Its labels turned round, its own heads are the same to the bit; those of others are not."""
    fleet = Fleet.of(right_in(0.9), 1)
    turned = replace(fleet, labels=np.where(fleet.folds == 2, 1 - fleet.labels, fleet.labels))
    heads: list[dict[int, IntVector]] = [{}, {}]
    for kept, each in zip(heads, (fleet, turned), strict=True):

        def answer(
            leg: FoldLeg, kept: dict[int, IntVector] = kept, each: Fleet = each
        ) -> IntVector:
            if leg.judges:
                kept[leg.fold] = leg.heads
            return each.answer(leg)

        converse(weighing(fleet.model, fleet.snapshot, SETTINGS), answer)
    same = [np.array_equal(heads[0][fold], heads[1][fold]) for fold in range(FOLDS)]
    assert same == [False, False, True, False]


def test_folds_nobody_answers_for_count_as_nothing() -> None:
    fleet = Fleet.of(right_in(0.9), 1)
    silent = np.zeros(4, dtype=np.int64)  # what is kept of a leg nobody answered
    heard = converse(
        weighing(fleet.model, fleet.snapshot, SETTINGS),
        lambda leg: silent if leg.fold == 1 else fleet.answer(leg),
    )
    assert heard[0] == (fleet.folds != 1).sum()
    nothing = converse(weighing(fleet.model, fleet.snapshot, SETTINGS), lambda _: silent)
    assert weigh(nothing, SETTINGS).vote_weight == ()


def test_only_what_a_device_could_have_said_is_of_use() -> None:
    fleet = Fleet.of(right_in(0.9), 1)
    asked: list[FoldLeg] = []

    def answer(leg: FoldLeg) -> IntVector:
        asked.append(leg)
        return fleet.answer(leg)

    converse(weighing(fleet.model, fleet.snapshot, SETTINGS), answer)
    for leg in (asked[0], asked[-1]):
        said = fleet.answer(leg)
        assert fits(leg, said)
        assert not fits(leg, said[:-1])
        assert not fits(leg, np.concatenate([said, said]))
    assert not fits(asked[-1], -fleet.answer(asked[-1]))


def test_weights_are_tried_once_and_in_order() -> None:
    assert tried_weights(SETTINGS) == (0.0, FULL / 10, FULL)
