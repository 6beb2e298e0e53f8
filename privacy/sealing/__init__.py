"""Keys, envelopes, and the roles that sign what a fleet goes by."""

from privacy.sealing.envelope import open_envelope, seal
from privacy.sealing.keys import SealingKey, SigningKey
from privacy.sealing.trusted import Trusted

__all__ = [
    "SealingKey",
    "SigningKey",
    "Trusted",
    "open_envelope",
    "seal",
]
