"""The label model: from summed votes to probabilistic labels.

Devices turn votes into a VoteSummary; summaries add up; LabelModel.fit reads the sum and
LabelModel.predict labels each device's own items. fit_across rehearses the whole exchange.
"""

from strategies.labeling.analysis import FunctionReport, analyse
from strategies.labeling.anchors import AnchorSummary
from strategies.labeling.calibration import brier_score, expected_calibration_error, log_loss
from strategies.labeling.expected_counts import fit_across
from strategies.labeling.majority import majority_vote
from strategies.labeling.model import LabelModel
from strategies.labeling.summary import VoteSummary

__all__ = [
    "AnchorSummary",
    "FunctionReport",
    "LabelModel",
    "VoteSummary",
    "analyse",
    "brier_score",
    "expected_calibration_error",
    "fit_across",
    "log_loss",
    "majority_vote",
]
