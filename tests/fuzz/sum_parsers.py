"""Readers of sums: vectors of whole numbers that any device may send, and models sent back."""

from collections.abc import Callable

import numpy as np

from coordinator.releases.report import Conduct
from fieldvote.rng import stream
from strategies.aggregation.clipping import ClippedUpdate, clip_update
from strategies.aggregation.moments import Moments
from strategies.aggregation.private_ridge import RidgeSums
from strategies.aggregation.sketch import HeadSums, head_sums
from strategies.aggregation.summed_head import GradientSums, gradient_length
from strategies.calibration_sums import CalibrationSums
from strategies.governance.depth_report import DepthReport
from strategies.governance.fisher import FisherSums
from strategies.governance.influence import InfluenceSums
from strategies.governance.pseudo_labels import PseudoLabelCounts
from strategies.governance.tiers import ConfidenceCounts
from strategies.labeling import AnchorSummary, LabelModel, VoteSummary
from strategies.labeling.comparison import PairedComparison
from strategies.labeling.exchanges import VoteQuestion
from strategies.labeling.expected_counts import ExpectedCounts
from strategies.labeling.grid_losses import GridLosses
from strategies.labeling.quality import LabelQuality
from strategies.labeling.thresholds import BINS
from tests.fuzz.harness import Parser
from tests.fuzz.samples import (
    CLASSES,
    FUNCTIONS,
    label_model,
    numbers,
    vectors,
    votes,
    whole_numbers,
)

_ROWS = stream(2, "fuzz rows").normal(size=(20, 5)).round(1)
_SHAPE = {"functions": FUNCTIONS, "classes": CLASSES}

_TRUE = np.array([0, 1, 1, 0])
_SAID = np.where(_TRUE[:, None] == [[0, 1]], 0.75, 0.25)


def _calibration(vector: np.ndarray) -> None:
    CalibrationSums.from_vector(vector, heads=2).check(right=4, items=4, classes=2)


def _sum(name: str, read: Callable[[np.ndarray], object], seeds: Callable[[], object], covers: str,
         share: int = 3) -> Parser:  # fmt: skip
    """Return a reader of one vector as a parser of bytes."""
    return Parser(
        name,
        lambda blob: read(whole_numbers(blob)),
        lambda: vectors(seeds()),
        (covers,),
        share=share,
    )


def _question(blob: bytes) -> None:
    about, _, rest = blob.partition(b" ")
    one_in = int.from_bytes(rest[:1], "big", signed=True)
    said = about.decode("latin-1")
    VoteQuestion.unpacked(said, label_model(), copies=rest[1:], one_in=one_in)


SUMS = (
    _sum("votes", lambda v: VoteSummary.from_vector(v, **_SHAPE),
         lambda: VoteSummary.from_votes(votes(), classes=CLASSES).to_vector(),
         "strategies.labeling.summary:VoteSummary.from_vector"),
    _sum("anchors", lambda v: AnchorSummary.from_vector(v, **_SHAPE),
         lambda: AnchorSummary.from_votes(votes(), votes()[:, 0] % CLASSES, classes=CLASSES)
         .to_vector(), "strategies.labeling.anchors:AnchorSummary.from_vector"),
    _sum("moments", Moments.from_vector, lambda: Moments.from_embeddings(_ROWS).to_vector(),
         "strategies.aggregation.moments:Moments.from_vector"),
    _sum("head sums", HeadSums.from_vector,
         lambda: head_sums(np.trunc(_ROWS), np.ones(len(_ROWS)), seed=1).to_vector(),
         "strategies.aggregation.sketch:HeadSums.from_vector"),
    _sum("gradients", lambda v: GradientSums.from_vector(v, classes=3),
         lambda: np.arange(gradient_length(width=5, classes=3)),
         "strategies.aggregation.summed_head:GradientSums.from_vector"),
    _sum("ridge sums", lambda v: RidgeSums.from_vector(v, width=4, classes=2),
         lambda: RidgeSums.empty(width=4, classes=2).to_vector(),
         "strategies.aggregation.private_ridge:RidgeSums.from_vector"),
    _sum("clipped updates", ClippedUpdate.from_vector,
         lambda: clip_update(_ROWS[0], 1.0).to_vector(),
         "strategies.aggregation.clipping:ClippedUpdate.from_vector"),
    _sum("expected counts", lambda v: ExpectedCounts.from_vector(v, model=label_model()),
         lambda: np.arange(VoteQuestion(about="expected", model=label_model(),
                                        copies=np.zeros((FUNCTIONS, FUNCTIONS), bool)).length),
         "strategies.labeling.expected_counts:ExpectedCounts.from_vector"),
    _sum("losses", lambda v: GridLosses.from_vector(v, points=4),
         lambda: GridLosses.none(4).to_vector(),
         "strategies.labeling.grid_losses:GridLosses.from_vector"),
    _sum("quality", lambda v: LabelQuality.from_vector(v, classes=CLASSES),
         lambda: LabelQuality.none(classes=CLASSES).to_vector(),
         "strategies.labeling.quality:LabelQuality.from_vector"),
    _sum("comparisons", PairedComparison.from_vector,
         lambda: PairedComparison.none().to_vector(),
         "strategies.labeling.comparison:PairedComparison.from_vector"),
    _sum("conduct", lambda v: Conduct.from_vector(v, FUNCTIONS),
         lambda: np.arange(3 * FUNCTIONS + 3),
         "coordinator.releases.report:Conduct.from_vector"),
    _sum("confidence counts", ConfidenceCounts.from_vector,
         lambda: np.zeros(3 * BINS, dtype=np.int64),
         "strategies.governance.tiers:ConfidenceCounts.from_vector"),
    _sum("calibration sums", _calibration,
         lambda: CalibrationSums.of([_SAID, _SAID], _TRUE).to_vector(),
         "strategies.calibration_sums:CalibrationSums.from_vector"),
    _sum("pseudo-label counts", lambda v: PseudoLabelCounts.from_vector(v, classes=CLASSES),
         lambda: PseudoLabelCounts.none(classes=CLASSES).to_vector(),
         "strategies.governance.pseudo_labels:PseudoLabelCounts.from_vector"),
    _sum("depth reports", DepthReport.from_vector,
         lambda: DepthReport.none().to_vector(),
         "strategies.governance.depth_report:DepthReport.from_vector"),
    _sum("fisher sums", FisherSums.from_vector,
         lambda: FisherSums(weight=3, diagonal=np.arange(4)).to_vector(),
         "strategies.governance.fisher:FisherSums.from_vector"),
    _sum("influence", lambda v: InfluenceSums.from_vector(v, behaviours=2),
         lambda: InfluenceSums(steps=np.arange(6).reshape(3, 2), items=5).to_vector(),
         "strategies.governance.influence:InfluenceSums.from_vector"),
    Parser("label models", lambda blob: LabelModel.from_vector(numbers(blob)),
           lambda: [label_model().to_vector().astype("<f8").tobytes()],
           ("strategies.labeling.model:LabelModel.from_vector",)),
    Parser("questions", _question, lambda: [b"expected \x01" + bytes((FUNCTIONS**2 + 7) // 8)],
           ("strategies.labeling.exchanges:VoteQuestion.unpacked",), share=3),
)  # fmt: skip
