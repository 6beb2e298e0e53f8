"""Every lock and mask: redaction, sealing, and the ledger.

Clock, store and entropy are arguments.
"""
