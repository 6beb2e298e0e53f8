"""Files of items are read whole or refused."""

from pathlib import Path

import numpy as np
import pytest

from edge.item_file import load_items
from fieldvote.errors import DataError
from fieldvote.task import TabularInput, TextInput
from tests.edge.test_checking import text_task as text_task

ROWS = TabularInput(fields=("a", "b"))
TEXT = TextInput(width=64)
UTF8 = np.frombuffer(b"one\ntwo", np.uint8)


@pytest.mark.parametrize(
    ("given", "arrays", "message"),
    [
        (ROWS, {"utf8": UTF8}, "expected numbers under X; it has"),
        (ROWS, {"X": np.ones((2, 3))}, r"X has shape \(2, 3\), expected \(n, 2\)"),
        (ROWS, {"X": np.ones(2)}, r"X has shape \(2,\), expected"),
        (ROWS, {"X": np.array([["a", "b"]])}, "expected numbers under X"),
        (ROWS, {"X": np.array([[1, np.inf]])}, "infinity at row 0, column 1"),
        (ROWS, {"X": np.ones((0, 2))}, "holds no items"),
        (
            ROWS,
            {"X": np.ones((2, 2)), "y": np.array([0, 2])},
            "y goes from 0 to 2, expected 0 to 1",
        ),
        (ROWS, {"X": np.ones((2, 2)), "y": np.array([0])}, "y is int64 of shape"),
        (ROWS, {"X": np.ones((2, 2)), "y": np.array([0.0, 1.0])}, "y is float64"),
        (TEXT, {"X": np.ones((2, 2))}, "expected texts under utf8"),
        (TEXT, {"utf8": np.array(["one"])}, "expected texts under utf8"),
        (TEXT, {"utf8": np.frombuffer(b"a\xff", np.uint8)}, "utf8: not UTF-8 at byte 1"),
        (TEXT, {"utf8": np.array([{}], dtype=object)}, "not an .npz of plain arrays"),
    ],
)
def test_an_archive_of_something_else_is_refused(
    tmp_path: Path,
    given: TextInput | TabularInput,
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]],
    message: str,
) -> None:
    file = tmp_path / "items.npz"
    np.savez(file, **arrays)  # type: ignore[arg-type]  # names from a table, as keywords
    with pytest.raises(DataError, match=message):
        load_items(file, given, 2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", None, "cannot be read"),
        ("none.npz", None, "no such file"),
        ("items.csv", b"a", "expected a .txt of one text a line, or an .npz"),
        ("items.npz", b"a", "not an .npz of plain arrays"),
        ("items.txt", b"\n \n", "holds no items"),
        ("items.txt", b"one\n\xff", "not UTF-8 at byte 4"),
    ],
)
def test_a_file_of_something_else_is_refused(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_items(tmp_path / name, TEXT, 2)


def test_a_missing_value_stays_missing(tmp_path: Path) -> None:
    np.savez(tmp_path / "i.npz", X=np.array([[1.0, np.nan]]))
    payloads = load_items(tmp_path / "i.npz", ROWS, 2).payloads
    assert np.array_equal(np.frombuffer(payloads[0]), [1.0, np.nan], equal_nan=True)
