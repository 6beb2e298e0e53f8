"""A whole fleet on one machine, running the very programs a deployment runs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulations.rehearsal import run
    from simulations.report import Report
    from simulations.scenario import Scenario

__all__ = ["Report", "Scenario", "run"]

_HOMES = {"Report": "report", "Scenario": "scenario", "run": "rehearsal"}


def __getattr__(name: str) -> object:
    """Import what is asked for, when it is: a rehearsal brings Flower with it, the room does not.

    Raises:
        AttributeError: the room promises no such name.
    """
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'simulations' has no attribute '{name}'")
    home = import_module(f"simulations.{_HOMES[name]}")
    found: object = getattr(home, name)
    return found
