"""Items in a file of anyone's making: a .txt of one text a line, or an .npz of plain arrays.

The .npz is the one `fieldvote simulate --data` takes: `X` (n, d) float, NaN where missing, or
`utf8` (uint8 bytes of n newline-joined texts), and optionally `y` (n,) int, a position among the
task's classes. It may hold `rights` (n,) as well, the words "none", "sum" or "ship" of
:mod:`fieldvote.rights`: what the person or contract behind each item allows.

Items are read in parts, so that a device may be given a file larger than its memory.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.item_arrays import ArrayFile
from edge.items import text_payload
from fieldvote.errors import DataError, nearest
from fieldvote.rights import Rights
from fieldvote.task import TabularInput, TextInput

PART = 1024  # items that are in memory at a time
_BLOCK = 2**16  # bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ItemFile:
    """What the file held, or a part of it.

    Attributes:
        payloads: n items as the pool keeps them.
        labels: Their classes, -1 never. Shape (n,); None where the file has no `y`.
        rights: What may be done with each; None where the file has no `rights`.
    """

    payloads: tuple[bytes, ...]
    labels: NDArray[np.int64] | None
    rights: tuple[Rights, ...] | None = None


def load_items(path: Path, given: TextInput | TabularInput, classes: int) -> ItemFile:
    """Read all items of this input from a file.

    Args:
        path: A .txt or .npz file.
        given: What an item of the task is.
        classes: Number of classes, k; labels lie below it.

    Raises:
        DataError: What is wrong, under which key, and what to write instead.
    """
    parts = list(item_parts(path, given, classes))
    labels = [part.labels for part in parts if part.labels is not None]
    flags = [part.rights for part in parts if part.rights is not None]
    return ItemFile(
        payloads=tuple(payload for part in parts for payload in part.payloads),
        labels=np.concatenate(labels) if labels else None,
        rights=tuple(flag for part in flags for flag in part) if flags else None,
    )


def item_parts(
    path: Path, given: TextInput | TabularInput, classes: int, *, part: int = PART
) -> Iterator[ItemFile]:
    """Yield the items of a file in parts, in order; see load_items.

    Raises:
        DataError: What is wrong; parts before it may have come.
    """
    if path.suffix not in (".txt", ".npz"):
        raise DataError(f"{path}: expected a .txt of one text a line, or an .npz")
    if path.suffix == ".txt":
        if isinstance(given, TabularInput):
            raise DataError(f"{path}: a .txt holds texts, but the input of this task is tabular")
        texts = _lines(_blocks(path), str(path))
        lines = (text_payload(text.rstrip("\r")) for text in texts if text.strip())
        yield from _told(path, lines, None, None, part)
        return
    arrays = ArrayFile.look(path)
    told: Iterator[bytes]
    if isinstance(given, TextInput):
        if "utf8" not in arrays.shapes or arrays.shapes["utf8"][1] != np.uint8:
            found = sorted(arrays.shapes)
            raise DataError(f"{path}: expected texts under utf8, as uint8; it has {found}")
        n = 1 + sum(block.count(b"\n") for block in _bytes(arrays))
        texts = _lines(_bytes(arrays), f"{path}: utf8")
        told = map(text_payload, texts)
    else:
        n = _row_count(arrays, given.width)
        told = _rows(arrays)
    labels = _labels(arrays, n, classes) if n and "y" in arrays.shapes else None
    rights = _rights(arrays, n) if n and "rights" in arrays.shapes else None
    yield from _told(path, told, labels, rights, part)


def _told(
    path: Path,
    told: Iterator[bytes],
    labels: NDArray[np.int64] | None,
    rights: tuple[Rights, ...] | None,
    part: int,
) -> Iterator[ItemFile]:
    """Yield items with what is said of them; refuse a file of none."""
    start = 0
    while payloads := tuple(islice(told, part)):
        end = start + len(payloads)
        yield ItemFile(
            payloads=payloads,
            labels=None if labels is None else labels[start:end],
            rights=None if rights is None else rights[start:end],
        )
        start = end
    if not start:
        raise DataError(f"{path}: holds no items")


def _rights(arrays: ArrayFile, items: int) -> tuple[Rights, ...]:
    """Return the flag of each item; a word we do not know allows nothing, so it is refused."""
    shape, kind = arrays.shapes["rights"]
    if kind.kind != "U" or shape != (items,):
        raise DataError(f"{arrays.path}: rights is {kind} of shape {shape}, expected {items} words")
    known = {each.value: each for each in Rights}
    words = [str(word) for word in arrays.whole("rights").tolist()]
    for place, word in enumerate(words):
        if word not in known:
            raise DataError(f"{arrays.path}: rights of item {place}: {nearest(word, known)}")
    return tuple(known[word] for word in words)


def _labels(arrays: ArrayFile, items: int, classes: int) -> NDArray[np.int64]:
    """Return y, refused where it does not fit the items or the classes."""
    shape, kind = arrays.shapes["y"]
    if kind.kind not in "iu" or shape != (items,):
        raise DataError(f"{arrays.path}: y is {kind} of shape {shape}, expected {items} integers")
    numbers = arrays.whole("y").astype(np.int64)
    if numbers.min() < 0 or numbers.max() >= classes:
        raise DataError(
            f"{arrays.path}: y goes from {numbers.min()} to {numbers.max()},"
            f" expected 0 to {classes - 1}"
        )
    return numbers


def _row_count(arrays: ArrayFile, width: int) -> int:
    """Return how many rows X has; refuse one that is not of this task's fields."""
    if "X" not in arrays.shapes or arrays.shapes["X"][1].kind not in "fiu":
        found = sorted(arrays.shapes)
        raise DataError(f"{arrays.path}: expected numbers under X; it has {found}")
    shape, _ = arrays.shapes["X"]
    if len(shape) != 2 or shape[1] != width:
        raise DataError(f"{arrays.path}: X has shape {shape}, expected (n, {width})")
    return shape[0]


def _rows(arrays: ArrayFile) -> Iterator[bytes]:
    """Yield the rows of X."""
    done = 0
    for part in arrays.parts("X", rows=PART):
        rows = part.astype(np.float64)
        if np.isinf(rows).any():
            row, column = np.argwhere(np.isinf(rows))[0]
            raise DataError(
                f"{arrays.path}: X holds infinity at row {done + row}, column {column};"
                " NaN is missing"
            )
        content, size = rows.astype("<f8").tobytes(), 8 * rows.shape[1]  # as row_payload makes them
        yield from (content[at : at + size] for at in range(0, len(content), size))
        done += len(rows)


def read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read every array; object arrays are refused, for unpickling runs code."""
    arrays = ArrayFile.look(path)
    return {name: arrays.whole(name) for name in arrays.shapes}


def _bytes(arrays: ArrayFile) -> Iterator[bytes]:
    """Yield the bytes of texts."""
    return (part.tobytes() for part in arrays.parts("utf8", rows=_BLOCK))


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file."""
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
    except OSError as err:
        raise DataError(f"{path}: cannot be read ({err.strerror or err})") from err


def _lines(blocks: Iterable[bytes], where: str) -> Iterator[str]:
    """Yield what stands between the ends of lines, after the last one too."""
    begun, done = list[bytes](), 0
    for block in blocks:
        begun.append(block)
        if b"\n" not in block:
            continue  # a line may be long
        *whole, rest = b"".join(begun).split(b"\n")
        begun = [rest]
        for line in whole:
            yield _decode(line, where, done)
            done += len(line) + 1
    yield _decode(b"".join(begun), where, done)


def _decode(content: bytes, where: str, before: int = 0) -> str:
    """Return bytes as text; the error tells a position, never the bytes around it."""
    try:
        return content.decode()
    except UnicodeDecodeError as err:
        raise DataError(f"{where}: not UTF-8 at byte {before + err.start}") from None
