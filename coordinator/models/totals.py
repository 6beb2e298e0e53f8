"""What the summed replies amount to: a label model, a first head, a sketch."""

from coordinator.inbox import ANCHORS, LABELED, MOMENTS, VOTED, VOTED_ITEMS, VOTES, Shapes
from coordinator.models.training import first_model
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from fieldvote.errors import UnavailableError
from fieldvote.records import HeadModel
from fieldvote.task import Task
from strategies.aggregation.summed_head import HeadSums
from strategies.labeling import AnchorSummary, LabelModel, VoteSummary
from strategies.representation import Moments


def shapes_of(task: Task) -> Shapes:
    """Return the lengths of the vectors that devices of this task send."""
    m, k = len(task.functions), len(task.classes)
    return Shapes(
        votes=len(VoteSummary.empty(functions=m, classes=k).to_vector()),
        anchors=len(AnchorSummary.empty(functions=m, classes=k).to_vector()),
        classes=k,
    )


class Totals:
    """Reads the sums of a campaign; every answer is a function of what the store holds."""

    def __init__(self, store: Store, task: Task, settings: CampaignSettings) -> None:
        """Read from this store."""
        self._store = store
        self._settings = settings
        self._functions, self._classes = len(task.functions), len(task.classes)

    def label_model(self) -> LabelModel:
        """Return the label model of every vote and anchor summed so far."""
        shape = {"functions": self._functions, "classes": self._classes}
        votes, anchors = self._store.total(VOTES), self._store.total(ANCHORS)
        return LabelModel.fit(
            VoteSummary.empty(**shape)
            if votes is None
            else VoteSummary.from_vector(votes, **shape),
            anchors=None if anchors is None else AnchorSummary.from_vector(anchors, **shape),
        )

    def first_model(self) -> HeadModel:
        """Return the model to start from: the fleet's moments, and weights of zero.

        Raises:
            UnavailableError: no device was surveyed yet.
        """
        moments = self._store.total(MOMENTS)
        if moments is None:
            raise UnavailableError("no device was surveyed yet; there is nothing to train on")
        return first_model(
            Moments.from_vector(moments),
            self._settings.inputs,
            classes=self._classes,
            seed=self._settings.seed,
        )

    def vote_weight(self) -> float:
        """Return the weight of one voted item: the campaign's weight, shared among them all."""
        voted = self._store.total(VOTED_ITEMS)
        if voted is None or not voted[0] or not self._functions:
            return 0.0
        return min(self._settings.vote_weight / float(voted[0]), 1.0)

    def head_sums(self, model: HeadModel, vote_weight: float) -> HeadSums:
        """Return the sketch of what teaches; voted items count at their largest weight.

        The solver takes its first guess at the curvature from it, and checks every step.
        """
        labeled, voted = self._store.total(LABELED), self._store.total(VOTED)
        width = len(model.weights) // model.classes
        total = HeadSums.empty(width=width) if labeled is None else HeadSums.from_vector(labeled)
        if vote_weight > 0 and voted is not None:
            total = total + HeadSums.from_vector(voted).scaled(vote_weight)
        return total
