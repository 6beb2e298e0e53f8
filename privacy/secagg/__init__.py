"""Secure aggregation: a sum over a cohort, and nothing about any device in it.

The protocol, and what each side checks, is written down in docs/guide/secure-sums.md.
"""

from privacy.secagg.client import Participant
from privacy.secagg.floors import Floors
from privacy.secagg.layout import Layout, Section
from privacy.secagg.parameters import Parameters, choose_parameters
from privacy.secagg.quantize import Quantizer
from privacy.secagg.roster import Epoch, check_roster, make_roster, sign_epoch_key
from privacy.secagg.server import Summation

__all__ = [
    "Epoch",
    "Floors",
    "Layout",
    "Parameters",
    "Participant",
    "Quantizer",
    "Section",
    "Summation",
    "check_roster",
    "choose_parameters",
    "make_roster",
    "sign_epoch_key",
]
