"""The label model: from summed votes to probabilistic labels.

Devices turn votes into a VoteSummary; summaries add up; LabelModel.fit reads the sum and
LabelModel.predict labels each device's own items. fit_across rehearses the whole exchange.

What fits and judges a model is imported when it is first asked for: a device starts without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from strategies.labeling.anchors import AnchorSummary
from strategies.labeling.calibration import brier_score, expected_calibration_error, log_loss
from strategies.labeling.majority import majority_vote
from strategies.labeling.model import LabelModel
from strategies.labeling.summary import VoteSummary

if TYPE_CHECKING:
    from strategies.labeling.across import fit_across
    from strategies.labeling.analysis import FunctionReport, analyse
    from strategies.labeling.comparison import PairedComparison
    from strategies.labeling.exchanges import VoteQuestion, fit_exchanges
else:
    _LATER = {
        "FunctionReport": "analysis",
        "PairedComparison": "comparison",
        "VoteQuestion": "exchanges",
        "analyse": "analysis",
        "fit_across": "across",
        "fit_exchanges": "exchanges",
    }

    def __getattr__(name: str) -> object:
        """Import what only a coordinator needs (PEP 562)."""
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


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
