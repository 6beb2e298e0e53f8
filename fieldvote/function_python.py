"""Labeling functions in Python: named, never carried.

No code travels. A definition names an entry point that must already be installed on the device, and
the device runs it only where its own policy pins the digest of what is installed
(`edge.labeling.python_functions`). Of the bundle's word alone it runs nothing.
"""

import math
from dataclasses import dataclass
from typing import Literal

from fieldvote.errors import SettingsError
from fieldvote.function_definition import Definition, Source
from fieldvote.settings import check_names

ENTRY_POINTS = "fieldvote.functions"
DIGEST_LETTERS = 64

_LONGEST_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonFunction(Definition):
    """Votes as an installed Python function says.

    The function takes a list of n texts, or a dict of n numbers by field, NaN where missing, and
    returns n class names, None where it abstains.

    Attributes:
        votes_for: The classes it may vote for; any other answer is an error.
        entry_point: Its name in the group `fieldvote.functions`.
        digest: SHA-256 of the installed distribution, hex, as `fieldvote check` prints it.
        inputs: The fields it is given; empty for a function over texts.
        timeout_s: How long it may take for one batch of items before it is stopped.
    """

    kind: Literal["python"] = "python"
    votes_for: tuple[str, ...]
    entry_point: str
    digest: str
    inputs: tuple[str, ...] = ()
    timeout_s: float = 5.0

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes it may vote for."""
        return self.votes_for

    @property
    def reads(self) -> Source:
        """Fields where it names some, else a text."""
        return Source.FIELDS if self.inputs else Source.TEXT

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields it is given."""
        return tuple(dict.fromkeys((*self.inputs, *(name for name, _ in self.contract))))

    def check(self) -> None:
        """A name, a digest, and an end."""
        check_names(self.votes_for, "votes_for", least=1)
        check_names(self.inputs, "inputs", least=0)
        if not self.entry_point.strip():
            raise SettingsError("entry_point: is empty")
        letters = set(self.digest) - set("0123456789abcdef")
        if len(self.digest) != DIGEST_LETTERS or letters:
            raise SettingsError(f"digest: expected {DIGEST_LETTERS} hexadecimal digits")
        if not (math.isfinite(self.timeout_s) and 0.0 < self.timeout_s <= _LONGEST_S):
            raise SettingsError(f"timeout_s: expected more than 0, at most {_LONGEST_S:.0f}")

    def meaning(self) -> dict[str, object]:
        """Return what is installed under which name, and what it is given."""
        return {
            "kind": self.kind, "classes": sorted(self.votes_for), "entry_point": self.entry_point,
            "digest": self.digest, "inputs": list(self.inputs), "timeout_s": self.timeout_s,
        }  # fmt: skip
