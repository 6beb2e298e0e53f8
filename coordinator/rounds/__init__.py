"""Rounds as a pure state machine, and the scheduler that turns it."""
