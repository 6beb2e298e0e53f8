"""What a trial came to: each function that is new, changed or retired, and all before and after."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fieldvote.codec import IntVector
from fieldvote.errors import DataError, SettingsError, ShapeError
from fieldvote.settings import parse_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionRow:
    """One function that the release brings, changes, or retires.

    Attributes:
        function: Its id.
        change: What becomes of it.
        version: The next one; of a retired function the last.
        items: How many items it was counted on.
        coverage: Share of them it voted on.
        conflict: Share of the votes it shares an item with that are for another class.
        accuracy: How often the label model takes it to be right.
        coverage_before: The same of the version before; of a changed function only.
        conflict_before: Likewise.
        accuracy_before: Likewise.
        agreement: How often both versions voted the same where both voted.
        errors: Share of items it could not answer for.
        ms_per_1000: What a thousand items take on a device, in milliseconds.
    """

    function: str
    change: Literal["new", "changed", "retired"]
    version: str
    items: int
    coverage: float | None = None
    conflict: float | None = None
    accuracy: float | None = None
    coverage_before: float | None = None
    conflict_before: float | None = None
    accuracy_before: float | None = None
    agreement: float | None = None
    errors: float | None = None
    ms_per_1000: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a trial came to.

    Attributes:
        devices: How many devices answered.
        items: How many items new functions voted on in shadow.
        kept: How many functions stay as they are.
        conflict: How often two votes on an item differ, before and after.
        accuracy: Estimated accuracy of a vote, before and after.
        error: Standard error of the change of that accuracy, from the functions that differ.
        functions: What differs.
        breaches: Limits that are broken, a sentence each.
        doubts: Why a rule cannot promote it, a sentence each.
    """

    devices: int
    items: int
    kept: int
    conflict: tuple[float, ...]
    accuracy: tuple[float, ...]
    error: float
    functions: tuple[FunctionRow, ...]
    breaches: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """Return this as it is kept."""
        whole = asdict(self)
        whole["functions"] = [
            {name: value for name, value in row.items() if value is not None}
            for row in whole["functions"]
        ]
        return json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_json(body: bytes) -> "Report":
        """Undo to_json.

        Raises:
            DataError: it is no report of this program's.
        """
        try:
            return parse_settings(json.loads(body), Report, "a report")
        except (ValueError, RecursionError, SettingsError) as err:
            raise DataError(f"the report of a release cannot be read: {err}") from err


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """What devices said of new functions beside their votes.

    Attributes:
        devices: How many answered.
        items: How many items were voted on in shadow.
        seen: How many of them each function was new to. Shape (m',), by position among the new.
        errors: How many of those it could not answer for. Shape (m',).
        micros: A thousand items in microseconds, summed over devices that had any. Shape (m',).
        timed: How many devices those are.
    """

    devices: int
    items: int
    seen: NDArray[np.int64]
    errors: NDArray[np.int64]
    micros: NDArray[np.int64]
    timed: int

    @staticmethod
    def from_vector(vector: IntVector | None, functions: int) -> "Conduct":
        """Read what is kept of a trial; None is a trial of nobody.

        Raises:
            ShapeError: it is of other functions.
        """
        if vector is None:
            vector = np.zeros(3 + 3 * functions, dtype=np.int64)
        if len(vector) != 3 + 3 * functions:
            raise ShapeError("conduct", vector.shape, (3 + 3 * functions,))
        seen, errors, micros = vector[3:].reshape(3, functions)
        return Conduct(
            devices=int(vector[0]),
            items=int(vector[1]),
            timed=int(vector[2]),
            seen=seen,
            errors=errors,
            micros=micros,
        )

    def to_vector(self) -> IntVector:
        """Return this as it adds up."""
        head = np.array([self.devices, self.items, self.timed], dtype=np.int64)
        return np.concatenate([head, self.seen, self.errors, self.micros])
