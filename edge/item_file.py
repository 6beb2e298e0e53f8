"""Items in a file of anyone's making: a .txt of one text a line, or an .npz of plain arrays.

The .npz is the one `fieldvote simulate --data` takes: `X` (n, d) float, NaN where missing, or
`utf8` (uint8 bytes of n newline-joined texts), and optionally `y` (n,) int, a position among the
task's classes. It may hold `rights` (n,) as well, the words "none", "sum" or "ship" of
:mod:`fieldvote.rights`: what the person or contract behind each item allows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.items import row_payload, text_payload
from fieldvote.array_errors import UNREADABLE
from fieldvote.errors import DataError, nearest
from fieldvote.rights import Rights
from fieldvote.task import TabularInput, TextInput


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ItemFile:
    """What the file held.

    Attributes:
        payloads: n items as the pool keeps them.
        labels: Their classes, -1 never. Shape (n,); None where the file has no `y`.
        rights: What may be done with each; None where the file has no `rights`.
    """

    payloads: tuple[bytes, ...]
    labels: NDArray[np.int64] | None
    rights: tuple[Rights, ...] | None = None


def load_items(path: Path, given: TextInput | TabularInput, classes: int) -> ItemFile:
    """Read items of this input from a file.

    Args:
        path: A .txt or .npz file.
        given: What an item of the task is.
        classes: Number of classes, k; labels lie below it.

    Raises:
        DataError: What is wrong, under which key, and what to write instead.
    """
    if path.suffix not in (".txt", ".npz"):
        raise DataError(f"{path}: expected a .txt of one text a line, or an .npz")
    if path.suffix == ".txt":
        if isinstance(given, TabularInput):
            raise DataError(f"{path}: a .txt holds texts, but the input of this task is tabular")
        texts = [line for line in _decode(_read(path), str(path)).split("\n") if line.strip()]
        return _checked(path, [text_payload(text.rstrip("\r")) for text in texts], None, classes)
    arrays = read_arrays(path)
    if isinstance(given, TextInput):
        if "utf8" not in arrays or arrays["utf8"].dtype != np.uint8:
            raise DataError(f"{path}: expected texts under utf8, as uint8; it has {sorted(arrays)}")
        texts = _decode(arrays["utf8"].tobytes(), f"{path}: utf8").split("\n")
        held = _checked(path, [text_payload(text) for text in texts], arrays.get("y"), classes)
        return replace(held, rights=_rights(path, arrays.get("rights"), len(texts)))
    rows = _rows(path, arrays, given.width)
    held = _checked(path, [row_payload(row) for row in rows], arrays.get("y"), classes)
    return replace(held, rights=_rights(path, arrays.get("rights"), len(rows)))


def _rights(path: Path, given: NDArray[np.generic] | None, items: int) -> tuple[Rights, ...] | None:
    """Return the flag of each item; a word we do not know allows nothing, so it is refused."""
    if given is None:
        return None
    if given.dtype.kind != "U" or given.shape != (items,):
        got = f"{given.dtype} of shape {given.shape}"
        raise DataError(f"{path}: rights is {got}, expected {items} words")
    known = {each.value: each for each in Rights}
    words = [str(word) for word in given.tolist()]
    for place, word in enumerate(words):
        if word not in known:
            raise DataError(f"{path}: rights of item {place}: {nearest(word, known)}")
    return tuple(known[word] for word in words)


def _rows(path: Path, arrays: Mapping[str, NDArray[np.generic]], width: int) -> NDArray[np.float64]:
    """Return X as this task's fields."""
    if "X" not in arrays or arrays["X"].dtype.kind not in "fiu":
        raise DataError(f"{path}: expected numbers under X; it has {sorted(arrays)}")
    rows = arrays["X"].astype(np.float64)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise DataError(f"{path}: X has shape {rows.shape}, expected (n, {width})")
    if np.isinf(rows).any():
        row, column = np.argwhere(np.isinf(rows))[0]
        raise DataError(f"{path}: X holds infinity at row {row}, column {column}; NaN is missing")
    return rows


def _checked(
    path: Path, payloads: list[bytes], labels: NDArray[np.generic] | None, classes: int
) -> ItemFile:
    """Refuse an empty file and labels that do not fit the items or the classes."""
    if not payloads:
        raise DataError(f"{path}: holds no items")
    if labels is None:
        return ItemFile(payloads=tuple(payloads), labels=None)
    if labels.dtype.kind not in "iu" or labels.shape != (len(payloads),):
        got = f"{labels.dtype} of shape {labels.shape}"
        raise DataError(f"{path}: y is {got}, expected {len(payloads)} integers")
    numbers = labels.astype(np.int64)
    if numbers.min() < 0 or numbers.max() >= classes:
        raise DataError(
            f"{path}: y goes from {numbers.min()} to {numbers.max()}, expected 0 to {classes - 1}"
        )
    return ItemFile(payloads=tuple(payloads), labels=numbers)


def read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read every array; object arrays are refused, for unpickling runs code."""
    try:
        # a handle of our own: one that is no archive would be left open by numpy
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except FileNotFoundError as err:
        raise DataError(f"{path}: no such file") from err
    except UNREADABLE as err:
        raise DataError(f"{path}: not an .npz of plain arrays") from err
    # of a member that is no array NumPy returns the bytes
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise DataError(f"{path}: not an .npz of plain arrays")
    return arrays


def _read(path: Path) -> bytes:
    """Return the file's bytes."""
    try:
        return path.read_bytes()
    except OSError as err:
        raise DataError(f"{path}: cannot be read ({err.strerror or err})") from err


def _decode(content: bytes, where: str) -> str:
    """Return bytes as text; the error tells a position, never the bytes around it."""
    try:
        return content.decode()
    except UnicodeDecodeError as err:
        raise DataError(f"{where}: not UTF-8 at byte {err.start}") from None
