"""What a device has given away, and when it refuses to give more."""

from privacy.dp.chain import LedgerEntry
from privacy.dp.ledger import Ledger, LedgerStore, Limits, MemoryLedgerStore

__all__ = ["Ledger", "LedgerEntry", "LedgerStore", "Limits", "MemoryLedgerStore"]
