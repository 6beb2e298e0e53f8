"""What a check found once, and whether it is still so: the regression test of labeling functions.

A baseline is a JSON file to be kept beside the task. It holds no time and no content of an item,
and the same task on the same items gives the same bytes.

==============  ==================================================================
regression      where
==============  ==================================================================
coverage fell   of a function, a class, or all functions together
accuracy fell   of a function or a class, where labels are known
conflict rose   of a function or all together
errors rose     of a function
lost            a class that was voted for and no longer is
==============  ==================================================================

A function that is gone or new is no regression in itself: what it did shows in the classes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from fieldvote.errors import DataError, InputError, StoreError

if TYPE_CHECKING:
    from edge.check_conduct import Tally
    from edge.check_report import CheckReport

_FORMAT = 1
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How much worse something may be than in the baseline, as shares.

    Attributes:
        coverage: How much coverage may fall.
        accuracy: How much accuracy may fall.
        conflict: How much conflict may rise.
        errors: How much the share of items without an answer may rise.
    """

    coverage: float = 0.02
    accuracy: float = 0.02
    conflict: float = 0.02
    errors: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        for name in ("coverage", "accuracy", "conflict", "errors"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"tolerance of {name}: expected 0 to 1")


def items_digest(payloads: Sequence[bytes], labels: Sequence[int] | None) -> str:
    """Return the name of a set of items and labels; a baseline holds for these alone."""
    digest = sha256()
    for payload in payloads:
        digest.update(b"%d:" % len(payload) + payload)
    digest.update(b"labels" + b",".join(b"%d" % each for each in labels or ()))
    return digest.hexdigest()[:16]


def baseline_of(report: "CheckReport") -> str:
    """Return the baseline of a check on items, as JSON.

    Raises:
        InputError: The check had no items.
    """
    if report.items is None or report.all is None:
        raise InputError("a baseline says how functions did on items: give --items")
    said = {
        "format": _FORMAT,
        "task": report.task,
        "items": report.items_digest,
        "all": _numbers(report.all),
        "functions": {
            each.id: {
                "version": each.version,
                "errors": round(each.conduct.errors / report.items, _DIGITS),
                **_numbers(each.conduct.tally),
            }
            for each in report.functions
            if each.conduct is not None
        },
        "classes": {
            each.name: _numbers(each.tally) for each in report.classes if each.tally is not None
        },
    }
    return json.dumps(said, indent=2, sort_keys=True) + "\n"


def save_baseline(report: "CheckReport", file: Path) -> None:
    """Write the baseline of a check.

    Raises:
        InputError: The check had no items.
        StoreError: The disk would not take it.
    """
    content = baseline_of(report)
    try:
        file.write_text(content, encoding="utf-8")
    except OSError as err:
        raise StoreError(f"{file}: cannot be written ({err.strerror or err})") from err


def regressions(report: "CheckReport", file: Path, tolerance: Tolerance) -> tuple[str, ...]:
    """Return what is worse than in a baseline, one sentence each.

    Raises:
        InputError: The check had no items, or the baseline is of other items.
        DataError: The file is no baseline.
    """
    now = json.loads(baseline_of(report))
    then = _read(file)
    if then["items"] != now["items"]:
        raise InputError(f"{file}: is of other items; make a new one with --save-baseline")
    try:
        return tuple(_worse(then, now, tolerance))
    except (KeyError, TypeError, AttributeError) as err:
        raise DataError(f"{file}: not a baseline of this program") from err


def _worse(
    then: dict[str, dict[str, object]], now: dict[str, dict[str, object]], tolerance: Tolerance
) -> Iterator[str]:
    """Yield what is worse."""
    yield from _compared("all functions", then["all"], now["all"], tolerance, accuracy=False)
    for name, before in then["functions"].items():
        if name in now["functions"]:
            yield from _compared(f"function {name}", before, now["functions"][name], tolerance)
    for name, before in then["classes"].items():
        after = now["classes"].get(name)
        if after is None or (_share(before, "coverage") > 0 and _share(after, "coverage") == 0):
            yield f"class {name}: lost, no function votes for it any more"
        else:
            yield from _compared(f"class {name}", before, after, tolerance, conflict=False)


def _compared(
    what: str,
    before: object,
    after: object,
    tolerance: Tolerance,
    *,
    accuracy: bool = True,
    conflict: bool = True,
) -> Iterator[str]:
    """Yield in what one thing is worse."""
    questions = [("coverage", tolerance.coverage, -1)]
    if accuracy:
        questions.append(("accuracy", tolerance.accuracy, -1))
    if conflict:
        questions.append(("conflict", tolerance.conflict, 1))
    questions.append(("errors", tolerance.errors, 1))
    for name, allowed, worse in questions:
        if _is_share(before, name) and _is_share(after, name):
            old, new = _share(before, name), _share(after, name)
            if (new - old) * worse > allowed + 10**-_DIGITS:
                word = "rose" if worse > 0 else "fell"
                yield f"{what}: {name} {word} from {old:.1%} to {new:.1%}"


def _is_share(said: object, name: str) -> bool:
    """Say whether a number is there; accuracy is not where there are no labels or no votes."""
    return isinstance(said, dict) and isinstance(said.get(name), int | float)


def _share(said: object, name: str) -> float:
    """Return a number of a baseline."""
    if not isinstance(said, dict):
        raise TypeError(name)
    return float(said[name])


def _numbers(each: "Tally") -> dict[str, float | None]:
    """Return a tally, rounded so that it is the same everywhere."""
    accuracy = None if each.accuracy is None else round(each.accuracy, _DIGITS)
    return {
        "coverage": round(each.coverage, _DIGITS),
        "overlap": round(each.overlap, _DIGITS),
        "conflict": round(each.conflict, _DIGITS),
        "accuracy": accuracy,
    }


def _read(file: Path) -> dict[str, dict[str, object]]:
    """Read a baseline."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except OSError as err:
        raise DataError(f"{file}: cannot be read ({err.strerror or err})") from err
    except ValueError as err:
        raise DataError(f"{file}: not a baseline of this program") from err
    if not isinstance(said, dict) or said.get("format") != _FORMAT or "items" not in said:
        raise DataError(f"{file}: not a baseline of this program")
    return said
