"""What `fieldvote labels keys` does and says: the lines that go into every device's file."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coordinator.labels.desk_keys import is_locked_folder, make_keys, rotate_keys
from coordinator.labels.terminal import passphrase_for


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLines:
    """The desk's public keys, as devices need them.

    Attributes:
        newest: By the name of the setting.
        before: The same of the keys before; empty where there are none.
        ends: Until when those are good.
    """

    newest: dict[str, str]
    before: dict[str, str]
    ends: str = ""

    def to_json(self) -> dict[str, object]:
        """Return the keys for a program to read."""
        if not self.before:
            return {**self.newest}
        lists = {f"{n}s": [{"key": key, "ends": self.ends}] for n, key in self.before.items()}
        return {**self.newest, **lists}

    def to_toml(self) -> str:
        """Return the lines of a device's file."""
        lines = [f'{name} = "{key}"' for name, key in self.newest.items()]
        for name, key in self.before.items():
            lines += ["", f"[[{name}s]]", f'key = "{key}"', f'ends = "{self.ends}"']
        return "\n".join(lines)


def first_keys(folder: Path, *, locked: bool) -> KeyLines:
    """Make a desk's first keys.

    Raises:
        InputError: there are keys already, or nobody can be asked for a passphrase.
    """
    said = passphrase_for(folder, new=True) if locked else ""
    return KeyLines(newest=make_keys(folder, os.urandom, passphrase=said), before={})


def change_keys(folder: Path, *, days: int, locked: bool) -> KeyLines:
    """Make a desk's next keys; locked ones stay so, by the same passphrase.

    Raises:
        InputError: there are no keys yet, or nobody can be asked for the passphrase.
    """
    now, overlap = datetime.now(UTC), timedelta(days=days)
    said = passphrase_for(folder) if locked or is_locked_folder(folder) else ""
    after, before = rotate_keys(folder, os.urandom, now=now, overlap=overlap, passphrase=said)
    ends = (now + overlap).isoformat(timespec="seconds")
    return KeyLines(newest=after, before=before, ends=ends)
