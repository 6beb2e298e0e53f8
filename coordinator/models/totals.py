"""What the summed replies amount to: a label model, a first head, a sketch.

Training starts from a snapshot of the sums, not from the sums: those go on growing while a round
trains, and a round can be rebuilt from its snapshot to the same bytes.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from platform import machine
from typing import Self

import numpy as np

from coordinator.inbox import ANCHORS, LABELED, MOMENTS, VOTED, VOTED_ITEMS, VOTES, Shapes
from coordinator.models.compiling import first_parameters
from coordinator.models.private_start import first_private_model
from coordinator.models.training import first_model
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from fieldvote.codec import LATER, FloatVector, IntVector, decode, encode
from fieldvote.errors import DataError, SettingsError, UnavailableError
from fieldvote.heads import HeadModel
from fieldvote.settings import parse_settings
from fieldvote.task import Task
from strategies.aggregation.summed_head import HeadSums
from strategies.labeling import AnchorSummary, LabelModel, VoteSummary
from strategies.labeling.exchanges import VoteQuestion, fit_exchanges
from strategies.representation import Moments

_NOTHING = np.empty(0, dtype=np.int64)


def shapes_of(task: Task) -> Shapes:
    """Return the lengths of the vectors that devices of this task send."""
    m, k = len(task.functions), len(task.classes)
    return Shapes(
        votes=len(VoteSummary.empty(functions=m, classes=k).to_vector()),
        anchors=len(AnchorSummary.empty(functions=m, classes=k).to_vector()),
        classes=k,
        functions=m,
        task=task.digest,
        family=task.family,
        policy=bytes.fromhex(task.policy_digest),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """Everything a round's training starts from but its first head.

    Attributes:
        task: Digest of the task.
        settings: The campaign's settings, as text.
        environment: The programs that summed and trained.
        votes: Summed votes; each sum is empty while nothing was added to it.
        voted_items: How many items were voted on.
        anchors: Summed anchors.
        labeled: Head sums of answered items.
        voted: Head sums of voted items.
        chosen: Weight of all voted items together, where devices left out have chosen it; empty:
            it is as the settings say.
    """

    task: str
    settings: str
    environment: str
    votes: IntVector
    voted_items: IntVector
    anchors: IntVector
    labeled: IntVector
    voted: IntVector
    chosen: FloatVector = field(default_factory=lambda: np.empty(0), metadata=LATER)

    @classmethod
    def of(
        cls, store: Store, task: Task, settings: CampaignSettings, *, chosen: Sequence[float] = ()
    ) -> Self:
        """Return the sums as they are now, and what votes weigh if that was chosen."""
        return cls(
            task=task.digest,
            settings=dump_settings(settings),
            environment=environment(),
            votes=_sum(store, VOTES),
            voted_items=_sum(store, VOTED_ITEMS),
            anchors=_sum(store, ANCHORS),
            labeled=_sum(store, LABELED),
            voted=_sum(store, VOTED),
            chosen=np.array(chosen, dtype=np.float64),
        )

    def to_bytes(self) -> bytes:
        """Return this as it is kept."""
        return encode(self, _KINDS)

    @staticmethod
    def from_bytes(blob: bytes) -> "Snapshot":
        """Undo to_bytes."""
        return decode(blob, _KINDS, (Snapshot,))

    def vote_weight(self, settings: CampaignSettings, functions: int) -> float:
        """Return the weight of one voted item: the campaign's weight, shared among them all."""
        if not functions:
            return 0.0
        whole = float(self.chosen[0]) if len(self.chosen) else settings.vote_weight
        return self.weight_of_one(whole)

    def weight_of_one(self, whole: float) -> float:
        """Return the weight of one voted item, where all together weigh so much."""
        if not len(self.voted_items) or not self.voted_items[0]:
            return 0.0
        return min(whole / float(self.voted_items[0]), 1.0)

    def head_sums(self, model: HeadModel, vote_weight: float) -> HeadSums:
        """Return the sketch of what teaches; voted items count at their largest weight.

        The solver takes its first guess at the curvature from it, and checks every step.
        """
        width = len(model.weights) // model.classes
        total = (
            HeadSums.from_vector(self.labeled) if len(self.labeled) else HeadSums.empty(width=width)
        )
        if vote_weight > 0 and len(self.voted):
            total = total + HeadSums.from_vector(self.voted).scaled(vote_weight)
        return total


_KINDS: dict[int, type] = {1: Snapshot}


def environment() -> str:
    """Return what the bits of a trained head depend on, beside its inputs."""
    return f"fieldvote {version('fieldvote')}, numpy {np.__version__}, {machine()}"


def dump_settings(settings: CampaignSettings) -> str:
    """Return settings as text that load_settings_text reads back."""
    return json.dumps(_given(asdict(settings)), sort_keys=True, separators=(",", ":"))


def load_settings_text(text: str) -> CampaignSettings:
    """Undo dump_settings.

    Raises:
        SettingsError: it is not what this program's settings are.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise SettingsError(f"a kept settings text of {len(text)} characters is no JSON") from err
    return parse_settings(said, CampaignSettings, "a kept settings text")


def _given(table: Mapping[str, object]) -> dict[str, object]:
    """Return a table without what was left out of it."""
    return {
        name: _given(value) if isinstance(value, dict) else value
        for name, value in table.items()
        if value is not None
    }


def fit_in_exchanges(
    task: Task, kept: Snapshot, *, exchanges: int
) -> Generator[VoteQuestion, IntVector, LabelModel]:
    """Return the fit of a label model that asks devices so often at most; see fit_exchanges."""
    shape = {"functions": len(task.functions), "classes": len(task.classes)}
    votes, anchors = _summaries(kept.votes, kept.anchors, **shape)
    return fit_exchanges(votes, anchors=anchors, exchanges=exchanges)


def label_model_of(store: Store, task: Task, *, kept: str = "") -> LabelModel:
    """Return the label model that is kept under a digest, or what the sums make of it so far."""
    if kept:
        return LabelModel.from_vector(read_parameters(store.artifact(kept)))
    shape = {"functions": len(task.functions), "classes": len(task.classes)}
    return LabelModel.fit(*_summaries(_sum(store, VOTES), _sum(store, ANCHORS), **shape))


def _summaries(
    votes: IntVector, anchors: IntVector, *, functions: int, classes: int
) -> tuple[VoteSummary, AnchorSummary | None]:
    """Return sums as summaries; empty ones are those of no device."""
    shape = {"functions": functions, "classes": classes}
    return (
        VoteSummary.from_vector(votes, **shape) if len(votes) else VoteSummary.empty(**shape),
        AnchorSummary.from_vector(anchors, **shape) if len(anchors) else None,
    )


def write_parameters(model: LabelModel) -> bytes:
    """Return a label model as it is kept."""
    return model.to_vector().astype("<f8").tobytes()


def read_parameters(blob: bytes) -> FloatVector:
    """Undo write_parameters, to the vector devices are sent.

    Raises:
        DataError: these are not whole numbers of eight bytes.
    """
    if len(blob) % 8:
        raise DataError(f"{len(blob)} bytes that are no parameters of a label model")
    return np.frombuffer(blob, dtype="<f8").astype(np.float64)


def model_to_start_from(store: Store, task: Task, settings: CampaignSettings) -> HeadModel:
    """Return the head before the first: the fleet's moments, and weights of zero.

    Raises:
        UnavailableError: no device was surveyed yet.
    """
    if task.policy.privacy.on:
        return first_private_model(task, settings)
    moments = _sum(store, MOMENTS)
    if not len(moments):
        raise UnavailableError("no device was surveyed yet; there is nothing to train on")
    model = first_model(
        Moments.from_vector(moments),
        settings.inputs,
        classes=len(task.classes),
        seed=settings.seed,
    )
    if settings.learner == "deep":
        model = replace(model, deep=first_parameters(task))
    return model


def _sum(store: Store, name: str) -> IntVector:
    """Return a sum over devices; empty if nothing was added yet."""
    found = store.total(name)
    return _NOTHING if found is None else found
