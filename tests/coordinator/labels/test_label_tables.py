"""Tables of labels go out with their provenance and come back."""

import sys
from pathlib import Path

import pytest

from coordinator.labels.label_tables import PROVENANCE, LabelRow, read_labels, write_labels
from fieldvote.errors import DataError, InputError, MissingExtraError

ROWS: list[LabelRow] = [
    {
        "trace": f"3/{number:02x}",
        "class": "späm",
        "source": "people",
        "method": "majority",
        "confidence": 0.5 + number / 8,
        "schema": "a1b2",
        "device": number,
        "model": None if number == 2 else "c3d4",
    }
    for number in range(3)
]


@pytest.fixture(params=[".jsonl", ".parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == ".parquet":
        pytest.importorskip("pyarrow", reason="no pyarrow: pip install 'fieldvote[parquet]'")
    return tmp_path / f"labels{request.param}"


def test_labels_come_back_with_every_column_and_type(path: Path) -> None:
    write_labels(ROWS, path)
    assert read_labels(path) == ROWS
    assert [list(row) for row in read_labels(path)] == [list(row) for row in ROWS]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_no_labels_are_a_table_too(path: Path) -> None:
    write_labels([], path)
    assert read_labels(path) == []


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([{k: v for k, v in ROWS[0].items() if k != column}], id=f"no {column}")
        for column in PROVENANCE
    ]
    + [
        pytest.param([ROWS[0], {**ROWS[1], "more": 1}], id="a column more"),
        pytest.param([{**ROWS[0], "confidence": float("nan")}], id="not a number"),
        pytest.param([{**ROWS[0], "answers": ["a"]}], id="a list"),
    ],
)
def test_rows_that_cannot_be_traced_or_kept_are_not_written(
    tmp_path: Path, rows: list[LabelRow]
) -> None:
    with pytest.raises(InputError):
        write_labels(rows, tmp_path / "labels.jsonl")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text", ["secret\n", "[1]\n", '{"trace": "1/a"}\n', '{"trace": 1, "class": NaN}\n', "\xff"]
)
def test_a_broken_table_is_refused_without_quoting_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.jsonl").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError) as refusal:
        read_labels(tmp_path / "labels.jsonl")
    assert "secret" not in str(refusal.value)


def test_a_parquet_of_others_is_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="no pyarrow: pip install 'fieldvote[parquet]'")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "labels.parquet")
    with pytest.raises(DataError):
        read_labels(tmp_path / "labels.parquet")
    (tmp_path / "labels.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError):
        read_labels(tmp_path / "labels.parquet")


def test_without_pyarrow_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"fieldvote\[parquet\]"):
        write_labels(ROWS, tmp_path / "labels.parquet")
    assert not list(tmp_path.iterdir())


def test_another_suffix_and_no_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_labels(ROWS, tmp_path / "labels.xls")
    with pytest.raises(InputError):
        read_labels(tmp_path / "labels.xls")
    with pytest.raises(DataError, match="no such file"):
        read_labels(tmp_path / "labels.jsonl")
