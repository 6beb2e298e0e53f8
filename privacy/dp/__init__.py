"""What a device gives away, what it costs in privacy, and when it refuses to give more."""

from privacy.dp.accountant import Accountant, SecretSampling, micro_rho_within
from privacy.dp.chain import LedgerEntry
from privacy.dp.ledger import Ledger, LedgerStore, MemoryLedgerStore
from privacy.dp.mechanisms import Noise, noise_within, sure_shares
from privacy.dp.spending import Limits

__all__ = [
    "Accountant",
    "Ledger",
    "LedgerEntry",
    "LedgerStore",
    "Limits",
    "MemoryLedgerStore",
    "Noise",
    "SecretSampling",
    "micro_rho_within",
    "noise_within",
    "sure_shares",
]
