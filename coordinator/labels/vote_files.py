"""Vote matrices as files other tools read and write.

A suffix names the format; in all of them -1 abstains, Snorkel's convention:

- `.npy`: the matrix alone, as Snorkel's LFApplier returns it;
- `.npz`: `votes` (or `L`), and where known `labels` (or `y`) and `classes` (or `k`);
- `.csv`: a line of function names, then a line per item; a column `label` holds the labels;
- `.json`: WRENCH's data sets: an object of items, each with `weak_labels` and `label`, beside a
  `label.json` that names the classes.

Where a file does not say how many classes there are, its largest class does, unless the caller
knows better. A file is refused whole or read whole, and written whole or not at all.
"""

import csv
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO, StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.array_errors import UNREADABLE
from fieldvote.errors import DataError, InputError, StoreError
from strategies.labeling.votes import ABSTAIN, checked_labels, checked_votes

UNKNOWN = -1  # WRENCH and csv: an item without a label
LABEL_COLUMN = "label"
CLASS_NAMES = "label.json"
_EXPECTED = {
    ".npy": "a matrix of integers, items by functions, -1 abstains",
    ".npz": "'votes', items by functions, -1 abstains; perhaps 'labels' and 'classes'",
    ".csv": "a line of function names, then as many integers for each item, -1 abstains",
    ".json": "an object of items with 'weak_labels', and a label.json beside it",
}
_UNREADABLE: tuple[type[Exception], ...] = (*UNREADABLE, StopIteration)


class VoteFile(NamedTuple):
    """What a file of votes holds.

    Attributes:
        votes: Shape (n, m), int8, -1 abstains.
        classes: Number of classes, k.
        labels: True classes, shape (n,), int64; None unless every item has one.
        functions: Their names, where the file has names for them; else empty.
    """

    votes: NDArray[np.int8]
    classes: int
    labels: NDArray[np.int64] | None
    functions: tuple[str, ...] = ()


def read_votes(path: Path, *, classes: int | None = None) -> VoteFile:
    """Return the votes in a file.

    Args:
        path: The file; its suffix names the format.
        classes: How many classes there are; None takes it from the file.

    Raises:
        InputError: An unknown suffix, or fewer classes than votes are for.
        DataError: There is no such file, or it is not what its suffix promises.
    """
    read = _format(path).read
    try:
        found, labels, said, *named = read(path)
    except FileNotFoundError as err:
        raise DataError(f"{path}: no such file") from err
    except _UNREADABLE as err:
        # not the error's own text: it may quote the file, and a file of votes holds items too
        raise DataError(
            f"{path.name} is not votes as {path.suffix} ({type(err).__name__}): expected"
            f" {_EXPECTED[path.suffix]}"
        ) from err
    if not np.issubdtype(found.dtype, np.integer) or found.ndim != 2:
        raise DataError(f"{path.name} holds {found.dtype} of shape {found.shape}, no vote matrix")
    if classes is None:
        known = 0 if labels is None else int(labels.max(initial=0)) + 1
        classes = said or max(int(found.max(initial=0)) + 1, known, 2)
    votes = checked_votes(found, classes)
    if labels is None or (labels == UNKNOWN).any():
        labels = None
    else:
        labels = checked_labels(labels, classes, items=len(votes))
    return VoteFile(votes, classes, labels, tuple(named))


def write_votes(
    path: Path, votes: ArrayLike, *, classes: int, labels: ArrayLike | None = None
) -> None:
    """Write votes as a file; what was at path is replaced in one step.

    Args:
        path: The file; its suffix names the format.
        votes: Shape (n, m), integers, -1 abstains.
        classes: Number of classes, k. A `.npy` or `.csv` has no place for it.
        labels: True classes, if they are known. Shape (n,). A `.npy` has no place for them.

    Raises:
        InputError, ShapeError: An unknown suffix, or votes or labels that are none.
        DataError: A `label.json` beside it names another number of classes.
        StoreError: The disk would not take it.
    """
    write = _format(path).write
    matrix = checked_votes(votes, classes)
    truth = None if labels is None else checked_labels(labels, classes, items=len(matrix))
    if path.suffix == ".npy" and truth is not None:
        raise InputError("a .npy holds votes alone: write labels as .npz, .csv or .json")
    if path.suffix == ".json":
        _name_classes(path.with_name(CLASS_NAMES), classes)
    replace_file(path, write(matrix, classes, truth))


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole, or leave what was there.

    Raises:
        StoreError: The disk would not take it.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(name, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise
    except OSError as err:
        raise StoreError(f"could not write {path}: {err.strerror}") from err


Found = tuple[NDArray[np.int64], NDArray[np.int64] | None, int | None, *tuple[str, ...]]


class _Format(NamedTuple):
    """How a format is read (votes, labels, classes) and written."""

    read: Callable[[Path], Found]
    write: Callable[[NDArray[np.int8], int, NDArray[np.int64] | None], bytes]


def _format(path: Path) -> _Format:
    """Return the format of a suffix."""
    chosen = FORMATS.get(path.suffix)
    if chosen is None:
        raise InputError(f"a file of votes ends in {', '.join(FORMATS)}; got {path.name}")
    return chosen


def _read_npy(path: Path) -> Found:
    # no pickles: they would run what the file says
    with path.open("rb") as file:
        array = np.load(file, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise TypeError("an archive")
    return array, None, None


def _write_npy(votes: NDArray[np.int8], _: int, __: NDArray[np.int64] | None) -> bytes:
    buffer = BytesIO()
    np.save(buffer, votes, allow_pickle=False)
    return buffer.getvalue()


def _read_npz(path: Path) -> Found:
    with path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, Mapping):
            raise TypeError("not an archive")
        held = dict(archive)
    # of a member that is no array NumPy returns the bytes
    if not all(isinstance(array, np.ndarray) for array in held.values()):
        raise TypeError("a member is no array")
    votes = held["votes"] if "votes" in held else held["L"]
    labels = held.get("labels", held.get("y"))
    classes = held.get("classes", held.get("k"))
    return votes, labels, None if classes is None else int(classes)


def _write_npz(votes: NDArray[np.int8], classes: int, labels: NDArray[np.int64] | None) -> bytes:
    buffer = BytesIO()
    if labels is None:
        np.savez_compressed(buffer, votes=votes, classes=np.int64(classes))
    else:
        np.savez_compressed(buffer, votes=votes, classes=np.int64(classes), labels=labels)
    return buffer.getvalue()


def _read_csv(path: Path) -> Found:
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        names = next(lines)
        rows = [[int(entry) if entry else ABSTAIN for entry in line] for line in lines]
    if any(len(row) != len(names) for row in rows):
        raise ValueError("a line of another length")
    table = np.array(rows, dtype=np.int64).reshape(len(rows), len(names))
    if LABEL_COLUMN not in names:
        return table, None, None, *names
    column = names.index(LABEL_COLUMN)
    functions = names[:column] + names[column + 1 :]
    return np.delete(table, column, axis=1), table[:, column], None, *functions


def _write_csv(votes: NDArray[np.int8], _: int, labels: NDArray[np.int64] | None) -> bytes:
    names = [f"lf_{position}" for position in range(votes.shape[1])]
    table = votes.astype(np.int64)
    if labels is not None:
        names.append(LABEL_COLUMN)
        table = np.column_stack([table, labels])
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(names)
    lines.writerows(table.tolist())
    return text.getvalue().encode()


def _read_wrench(path: Path) -> Found:
    items = json.loads(path.read_bytes())
    beside = path.with_name(CLASS_NAMES)
    classes = len(json.loads(beside.read_bytes())) if beside.exists() else None
    rows = [item["weak_labels"] for item in items.values()]
    given = [item.get("label") for item in items.values()]
    labels = np.array([UNKNOWN if label is None else label for label in given])
    if not rows:
        return np.empty((0, 0), dtype=np.int64), labels.astype(np.int64), classes
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError("labels that are not integers")
    return np.array(rows), labels, classes


def _write_wrench(votes: NDArray[np.int8], _: int, labels: NDArray[np.int64] | None) -> bytes:
    given = [UNKNOWN] * len(votes) if labels is None else labels.tolist()
    items = {
        str(number): {"label": label, "weak_labels": row, "data": {}}
        for number, (label, row) in enumerate(zip(given, votes.tolist(), strict=True))
    }
    return json.dumps(items).encode()


def _name_classes(path: Path, classes: int) -> None:
    """Write WRENCH's class names, unless they are there."""
    try:
        known = len(json.loads(path.read_bytes())) if path.exists() else None
    except (ValueError, TypeError) as err:
        raise DataError(f"{path.name} beside it does not name classes") from err
    if known is None:
        names = {str(position): str(position) for position in range(classes)}
        replace_file(path, json.dumps(names).encode())
    elif known != classes:
        raise DataError(f"{path.name} beside it names {known} classes, the votes are for {classes}")


FORMATS: Mapping[str, _Format] = {
    ".npy": _Format(_read_npy, _write_npy),
    ".npz": _Format(_read_npz, _write_npz),
    ".csv": _Format(_read_csv, _write_csv),
    ".json": _Format(_read_wrench, _write_wrench),
}
