"""Every error this project raises on purpose, grouped by what the caller can do about it.

::

    FieldvoteError                      exit
    ├── InputError                      2   fix what was given
    │   ├── ShapeError                      an array of another shape than promised
    │   ├── SettingsError                   a TOML file says something we do not know
    │   ├── TaskError                       a task folder contradicts itself
    │   ├── DataError                       a data file is not what it should be
    │   └── WireError                       bytes that are not a message of ours
    ├── RefusalError                    3   the policy says no; asking again does not help
    │   ├── LedgerSpentError                the device has given away all it may
    │   ├── BudgetSpentError                the campaign has spent all it may
    │   ├── LeakError                       the second scan found personal data at the door
    │   ├── SignatureError                  not signed by who must have signed
    │   └── SealError                       an envelope that does not open
    ├── UnavailableError                4   wait and retry, or install what is missing
    │   ├── MissingExtraError               an optional part is not installed
    │   ├── MissingDataError                a data set is neither here nor reachable
    │   ├── StoreError                      the disk would not take a write
    │   │   └── StoreBusyError              somebody else was writing for too long
    │   └── FencedError                     another holder leads; this one writes nothing
    └── InternalError                   5   a bug: tell us

A message says what was expected, what came, and what to do. It never holds the content of an item:
kind, length and position must do.
"""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST_QUOTED = 100  # characters


class FieldvoteError(Exception):
    """The root; its exit code is what a command ends with."""

    exit_code = 5


class InputError(FieldvoteError):
    """What was given cannot be used; nothing was changed."""

    exit_code = 2


class ShapeError(InputError):
    """An array has another shape than its place promises."""

    def __init__(self, name: str, got: tuple[int, ...], expected: tuple[int | str, ...]) -> None:
        """Remember the name of the array, its shape, and the shape it should have."""
        super().__init__(f"{name} has shape {got}, expected {expected}")
        self.name, self.got, self.expected = name, got, expected


class SettingsError(InputError):
    """A settings or scenario file says something we do not know."""


class TaskError(InputError):
    """A task folder contradicts itself."""


class DataError(InputError):
    """A data file is not what it should be."""


class WireError(InputError):
    """Bytes that are not a message of ours, or not the one expected here."""


class RefusalError(FieldvoteError):
    """The policy says no; asking again does not help."""

    exit_code = 3


class LedgerSpentError(RefusalError):
    """The device has given away all it may."""


class BudgetSpentError(RefusalError):
    """The campaign has spent all it may of one resource; nothing was reserved."""

    def __init__(self, resource: str, *, asked: int, left: int, limit: int) -> None:
        """Remember the resource and what is left of it, in its own unit."""
        super().__init__(
            f"{resource}: {asked} asked for, {left} of {limit} left; raise the limit, or stop here"
        )
        self.resource, self.asked, self.left, self.limit = resource, asked, left, limit


class LeakError(RefusalError):
    """The second scan found personal data at the door; the item stays."""


class SignatureError(RefusalError):
    """Not signed by who must have signed."""


class SealError(RefusalError):
    """An envelope that does not open with this key in this context."""


class UnavailableError(FieldvoteError):
    """Not now: wait and retry, or install what is missing."""

    exit_code = 4


class MissingExtraError(UnavailableError):
    """An optional part is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        """Remember what was wanted and the extra that brings it."""
        super().__init__(f"{what} needs an extra: pip install 'fieldvote[{extra}]'")
        self.extra = extra


class MissingDataError(UnavailableError):
    """A data set is neither here nor reachable."""


class StoreError(UnavailableError):
    """The disk would not take a write; what was stored before is whole."""


class StoreBusyError(StoreError):
    """Somebody else was writing for longer than we wait; a moment later it may be free."""


class FencedError(UnavailableError):
    """Another holder leads; whoever is fenced off can write nothing."""

    def __init__(self, name: str, holder: str) -> None:
        """Remember what is led, and who leads it."""
        super().__init__(f"{name} is led by {holder}; nothing was written: wait, or stop that one")
        self.name, self.holder = name, holder


class InternalError(FieldvoteError):
    """A bug of ours."""

    exit_code = 5


def quoted(word: str) -> str:
    """Return somebody's word as a message names it: as far as a person would have written one.

    >>> quoted("shakes"), len(quoted("x" * 5000))
    ("'shakes'", 102)
    """
    return f"'{word[:_LONGEST_QUOTED]}'"


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known word was probably meant, or list what is known.

    >>> nearest("thresold", ["threshold", "keyword"])
    "did you mean 'threshold'?"
    >>> nearest("zzz", ["b", "a"])
    'known: a, b'
    """
    names = sorted(known)
    close = get_close_matches(word[:_LONGEST_QUOTED], names, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names)}"
