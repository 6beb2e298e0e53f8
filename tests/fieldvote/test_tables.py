"""What commands print for people fits where it is printed, and never looks like nothing."""

import doctest
import json
import os
import sys

import pytest

from fieldvote import tables
from fieldvote.tables import print_one, print_table, table_of

WIDE = [{"trace": "1/" + "ab" * 16, "answers": "ann: offer, " * 4, "note": ""}] * 2


def test_the_examples_are_true() -> None:
    assert doctest.testmod(tables).failed == 0


def test_a_terminal_that_is_too_narrow_gets_a_block_for_each_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(WIDE, as_json=False)
    assert capsys.readouterr().out.count("\n") == 3  # to a file or a pipe: one line a row, for grep
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(tables.shutil, "get_terminal_size", lambda: os.terminal_size((80, 24)))
    print_table(WIDE, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] if line else "" for line in lines] == [
        "trace", "answers", "", "trace", "answers",
    ]  # fmt: skip
    assert max(map(len, lines)) <= 80


def test_a_table_without_rows_says_so_beside_its_output(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([], as_json=False)
    assert capsys.readouterr() == ("", "none yet\n")
    print_table([], as_json=True)
    assert json.loads(capsys.readouterr().out) == []


def test_what_is_empty_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    print_one({"faults": "", "round": 0}, as_json=False)
    assert capsys.readouterr().out == "faults  none\nround   0\n"


def test_a_row_may_lack_a_column_of_another() -> None:
    assert table_of([{"a": 1}, {"b": "x"}]) == ["a  b", "1", "   x"]
