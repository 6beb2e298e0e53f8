"""A baseline is the same bytes for the same conduct, and whatever got worse is named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge.check_baseline import (
    Tolerance,
    baseline_of,
    items_digest,
    regressions,
    save_baseline,
)
from edge.check_conduct import Tally
from edge.check_report import CheckReport, ClassCheck, Conduct, FunctionCheck
from fieldvote.errors import DataError, InputError, StoreError

GOOD = Tally(coverage=0.5, overlap=0.2, conflict=0.1, accuracy=0.9)


def function(name: str, seen: Tally = GOOD, errors: int = 0, version: str = "v") -> FunctionCheck:
    conduct = Conduct(
        coverage=seen.coverage, overlap=seen.overlap, conflict=seen.conflict,
        accuracy=seen.accuracy, latency_us=1.0, errors=errors,
    )  # fmt: skip
    return FunctionCheck(
        id=name, kind="regex", version=version, classes=("a",), examples=0, failed=(),
        conduct=conduct,
    )  # fmt: skip


REPORT = CheckReport(
    task="t", digest="d", width=1, embedding=1, items=1000, items_digest="i", all=GOOD,
    functions=(function("f"), function("g")),
    classes=(
        ClassCheck(name="a", functions=("f", "g"), tally=GOOD),
        ClassCheck(name="b", functions=(), tally=replace(GOOD, coverage=0.0, accuracy=None)),
    ),
)  # fmt: skip


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    save_baseline(REPORT, tmp_path / "b.json")
    return tmp_path / "b.json"


def test_a_baseline_holds_no_time_and_compares_equal_to_itself(baseline: Path) -> None:
    slower = replace(REPORT, latency_us=9.0, model_latency_us=9.0)
    assert baseline_of(slower) == baseline.read_text()
    assert regressions(slower, baseline, Tolerance()) == ()
    assert "latency" not in baseline.read_text()


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (
            replace(REPORT, functions=(function("f", replace(GOOD, coverage=0.47)),)),
            ["function f: coverage fell from 50.0% to 47.0%"],
        ),
        (
            replace(REPORT, functions=(function("f", replace(GOOD, accuracy=0.87)),)),
            ["function f: accuracy fell from 90.0% to 87.0%"],
        ),
        (
            replace(REPORT, functions=(function("f", replace(GOOD, conflict=0.13)),)),
            ["function f: conflict rose from 10.0% to 13.0%"],
        ),
        (
            replace(REPORT, functions=(function("f", errors=1),)),
            ["function f: errors rose from 0.0% to 0.1%"],
        ),
        (
            replace(REPORT, all=replace(GOOD, coverage=0.1, conflict=0.3)),
            [
                "all functions: coverage fell from 50.0% to 10.0%",
                "all functions: conflict rose from 10.0% to 30.0%",
            ],
        ),
        (
            replace(
                REPORT, classes=(replace(REPORT.classes[0], tally=replace(GOOD, coverage=0.0)),)
            ),
            [
                "class a: lost, no function votes for it any more",
                "class b: lost, no function votes for it any more",
            ],
        ),
        (
            replace(
                REPORT,
                classes=(
                    replace(REPORT.classes[0], tally=replace(GOOD, accuracy=0.5)),
                    REPORT.classes[1],
                ),
            ),
            ["class a: accuracy fell from 90.0% to 50.0%"],
        ),
        (replace(REPORT, functions=()), []),
        (replace(REPORT, functions=(function("f"), function("g", version="w"))), []),
        (replace(REPORT, functions=(function("f", replace(GOOD, coverage=0.49)),)), []),
        (replace(REPORT, functions=(function("f", replace(GOOD, accuracy=None)),)), []),
        (replace(REPORT, functions=(function("f", Tally(
            coverage=0.9, overlap=0.9, conflict=0.0, accuracy=1.0)),)), []),
    ],
)  # fmt: skip
def test_what_is_worse_is_named_and_what_is_not_is_not(
    baseline: Path, report: CheckReport, said: list[str]
) -> None:
    assert list(regressions(report, baseline, Tolerance())) == said


def test_a_tolerance_decides_what_is_worse(baseline: Path) -> None:
    report = replace(REPORT, functions=(function("f", replace(GOOD, coverage=0.45)),))
    assert regressions(report, baseline, Tolerance(coverage=0.05)) == ()
    assert len(regressions(report, baseline, Tolerance(coverage=0.049))) == 1
    with pytest.raises(InputError, match="tolerance of coverage: expected 0 to 1"):
        Tolerance(coverage=1.5)


def test_a_baseline_of_other_items_compares_with_nothing(baseline: Path) -> None:
    with pytest.raises(InputError, match="is of other items"):
        regressions(replace(REPORT, items_digest="j"), baseline, Tolerance())
    with pytest.raises(InputError, match="give --items"):
        regressions(replace(REPORT, items=None), baseline, Tolerance())


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": 2}', '{"format": 1, "items": "i"}',
     '{"format": 1, "items": "i", "all": 3, "functions": 4, "classes": 5}', "\ud800"],
)  # fmt: skip
def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "b.json"
    file.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match="not a baseline of this program"):
        regressions(REPORT, file, Tolerance())


def test_a_baseline_that_cannot_be_read_or_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        regressions(REPORT, tmp_path / "none.json", Tolerance())
    with pytest.raises(StoreError, match="cannot be written"):
        save_baseline(REPORT, tmp_path / "none" / "b.json")


def test_items_and_labels_name_a_set_of_items() -> None:
    names = {
        items_digest([b"ab", b"c"], None), items_digest([b"a", b"bc"], None),
        items_digest([b"ab", b"c"], [0, 1]), items_digest([b"ab", b"c"], [1, 0]),
        items_digest([b"c", b"ab"], None),
    }  # fmt: skip
    assert len(names) == 5


def test_a_baseline_is_sorted_json(baseline: Path) -> None:
    said = json.loads(baseline.read_text())
    assert baseline.read_text() == json.dumps(said, indent=2, sort_keys=True) + "\n"
    assert list(said["functions"]) == ["f", "g"]
