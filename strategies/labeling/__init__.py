"""The label model: from summed votes to probabilistic labels.

Devices turn votes into a VoteSummary; summaries add up; LabelModel.fit reads the sum and
LabelModel.predict labels each device's own items. fit_across rehearses the whole exchange.
"""

from strategies.labeling.across import fit_across
from strategies.labeling.analysis import FunctionReport, analyse
from strategies.labeling.anchors import AnchorSummary
from strategies.labeling.calibration import brier_score, expected_calibration_error, log_loss
from strategies.labeling.comparison import PairedComparison
from strategies.labeling.exchanges import VoteQuestion, fit_exchanges
from strategies.labeling.majority import majority_vote
from strategies.labeling.model import LabelModel
from strategies.labeling.summary import VoteSummary

__all__ = [
    "AnchorSummary",
    "FunctionReport",
    "LabelModel",
    "PairedComparison",
    "VoteQuestion",
    "VoteSummary",
    "analyse",
    "brier_score",
    "expected_calibration_error",
    "fit_across",
    "fit_exchanges",
    "log_loss",
    "majority_vote",
]
