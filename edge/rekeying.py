"""Changing the key that locks a device's pool, without writing an item anew."""

from dataclasses import replace
from pathlib import Path

from edge.status import alone, look
from fieldvote.custody import CustodySettings, change_key, locked_in


def change_pool_key(config: Path, to: CustodySettings | None) -> str:
    """Let another key open the pool; refuse while the agent is up. Return what is left to do.

    Args:
        config: The device's file.
        to: Where the new key shall be; None changes it where it is.
    """
    settings, _, pool = look(config)
    old = locked_in(settings.custody, Path(settings.folder))
    try:
        with alone(Path(settings.folder)):
            new = old if to is None else replace(old, settings=to)
            return change_key(old, new, pool.secret, pool.rewrap)
    finally:
        pool.close()
