import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from fieldvote.cli import app
from fieldvote.errors import DataError, InputError, MissingDataError, StoreError
from simulations import commands
from simulations.commands import choose_scenario, rehearse, run_demo, show, write_report
from simulations.report import CurvePoint, LabelModelReport, Report
from simulations.scenario import Scenario
from tests.simulations.data_files import rows_file

EMPTY = {"devices": None, "rounds": None, "strategy": None}


def made_report(**changes: object) -> Report:
    """Return a report with large numbers and long names, as the worst that must fit."""
    curve = tuple(CurvePoint(round=n, labels=12 * n, metric=1 - 1 / (n + 1)) for n in range(1, 101))
    report = Report(
        scenario="a-scenario-with-a-long-name", seed=123456, engine="in-process",
        strategy="entropy",
        devices=100_000, rounds=100, metric="macro-F1", full_data_metric=0.987654,
        own_ceiling_metric=0.99, curve=curve, labels_to={"0.95": 123456.7, "0.99": None},
        random_curve=curve, random_labels_to={"0.95": 234567.8, "0.99": None},
        bytes_up=10**12,
        bytes_up_by_kind={
            "summaries": 10**11, "offers": 999, "candidates": 10**9, "updates": 0, "overhead": 1000,
        },
        bytes_down=10**12, raw_bytes=10**13, epsilon=None, candidates=123456, pii_planted=123456,
        pii_leaked=0,
        label_model=LabelModelReport(
            accuracy=0.98765, brier=0.1, majority_accuracy=0.9, coverage=0.5
        ),
        annotator_accuracy=0.98765, labels_cost=1234.5, wall_s=1.0, client_rounds_per_s=9.9,
        peak_rss_mb=500,
    )  # fmt: skip
    return replace(report, **changes)  # type: ignore[arg-type]  # a table of fields


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rows_file(tmp_path_factory.mktemp("data") / "pumps.npz", devices=5, items=6)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands report without a rehearsal."""
    monkeypatch.setattr(commands, "run", lambda *_args, **_named: made_report())


def called(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def simulated(*arguments: str | Path) -> Result:
    return called("simulate", *arguments)


def test_json_to_standard_output_is_nothing_but_the_report(table: Path) -> None:
    done = simulated("--data", table, "--rounds", "1", "--seed", "5", "--json", "-")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["scenario"], report["rounds"], report["seed"]) == ("pumps", 1, 5)
    assert done.stdout == json.dumps(report, indent=2) + "\n"


@pytest.mark.usefixtures("quick")
def test_json_to_a_file_leaves_the_table_on_the_screen(tmp_path: Path) -> None:
    done = simulated("digits", "--json", tmp_path / "r.json")
    assert done.exit_code == 0
    assert (tmp_path / "r.json").read_text() == made_report().to_json()
    assert "Labels needed" in done.stdout
    assert "{" not in done.stdout


@pytest.mark.usefixtures("quick")
def test_without_json_only_the_table_is_printed(tmp_path: Path) -> None:
    done = simulated("digits")
    assert "What left the devices" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("place", ["no/such/folder/r.json", "."])
def test_a_path_that_cannot_be_written_is_exit_4_and_one_line(tmp_path: Path, place: str) -> None:
    done = simulated("digits", "--json", tmp_path / place)
    assert done.exit_code == 4
    [line] = [line for line in done.stderr.splitlines() if "cannot be written" in line]
    assert str(tmp_path / place) in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "name a scenario, or give --data"),
        (["digit"], 2, "did you mean 'digits'"),
        (["gone.toml"], 2, "cannot be read"),
        (["--data", "gone.npz"], 2, "no such file"),
        (["digits", "--rounds", "0"], 2, "rounds: expected 1 or more"),
        (["digits", "--devices", "1"], 2, "devices: expected 2 or more"),
        (["digits", "--devices", "1000"], 2, "1000 devices"),
        (["digits", "--strategy", "margn"], 2, "did you mean 'margin'"),
        (["digits", "--engine", "in-prcess"], 2, "did you mean 'in-process'"),
        (["digits", "--seeds", "3"], 2, "--seed"),
    ],
)
def test_bad_usage_is_exit_2_and_one_line_that_says_what_to_write(
    arguments: list[str], code: int, words: str
) -> None:
    done = simulated(*arguments)
    assert done.exit_code == code
    assert words in " ".join(done.stderr.split())
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_options_override_what_the_scenario_says(table: Path) -> None:
    plain = choose_scenario("digits", None, **EMPTY)
    assert plain == Scenario.load("digits")
    chosen = choose_scenario("digits", None, devices=9, rounds=3, strategy="margin")
    assert chosen == replace(plain, devices=9, rounds=3, strategy="margin")
    assert choose_scenario(None, table, **EMPTY) == Scenario.for_data(table)
    both = choose_scenario("har", table, **EMPTY)
    assert (both.name, both.data) == ("har", str(table))


def test_neither_scenario_nor_data_is_an_input_error_and_a_missing_file_a_data_error() -> None:
    with pytest.raises(InputError, match="name a scenario"):
        choose_scenario(None, None, **EMPTY)
    with pytest.raises(DataError, match="no such file"):
        choose_scenario("digits", Path("gone.npz"), **EMPTY)


def shown(report: Report, monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = io.StringIO()
    show(report, out)
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pii_planted": 0, "epsilon": 4.0},
        {"labels_to": {"0.95": None, "0.99": None}},
        {"random_labels_to": {"0.95": 0.0, "0.99": None}},
        {"strategy": "fleet", "curve": made_report().curve[:1], "random_curve": ()},
    ],
    ids=["long", "without texts", "never", "at once", "one round"],
)
def test_the_tables_fit_into_80_columns_and_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    lines = shown(made_report(**changes), monkeypatch)
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    wide = shown(made_report(**changes), monkeypatch, columns=200)
    # a row that needed a second line at 80 columns would make the tables longer
    assert _tables(lines) == _tables(wide)


def _tables(lines: list[str]) -> list[str]:
    bare = [line.rstrip() for line in lines]
    return bare[bare.index("Labels needed") :]


def test_what_is_shown_is_what_the_report_says(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(shown(made_report(pii_leaked=7), monkeypatch))
    for words in (
        r"95%\s+0\.938\s+123457\s+234568\s+47%",
        r"99%\s+0\.978\s+not yet\s+not yet",
        r"raw data\s+0 B\s+of 10000\.0 GB",
        r"sums of votes\s+100\.0 GB",
        r"offers\s+999 B",
        r"overhead\s+1\.0 kB",
        r"leaked\s+7\s+of 123456 planted",
        r"label model\s+98\.8%",
        r"annotator\s+98\.8%",
        r"epsilon\s+off",
    ):
        assert re.search(words, text), words


def test_a_name_with_brackets_is_printed_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(shown(made_report(scenario="run[bold]1[/]"), monkeypatch))
    assert "run[bold]1[/]" in text


def test_progress_goes_to_standard_error(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = rehearse(replace(Scenario.for_data(table), rounds=1), seed=1)
    heard = capsys.readouterr()
    assert heard.out == ""
    assert f"{report.curve[-1].labels} labels" in heard.err


def test_a_report_is_written_whole_or_the_error_is_ours(tmp_path: Path) -> None:
    write_report(made_report(), str(tmp_path / "a.json"))
    assert json.loads((tmp_path / "a.json").read_text())["seed"] == 123456
    with pytest.raises(StoreError, match="cannot be written"):
        write_report(made_report(), str(tmp_path))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("here", [True, False])
def test_the_demo_leaves_its_files_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: bool
) -> None:
    asked: list[str] = []

    def load(name: str, _seed: int) -> None:
        asked.append(name)
        if not here:
            raise MissingDataError("not here")

    monkeypatch.setattr(commands, "load_dataset", load)
    monkeypatch.setenv("COLUMNS", "80")
    out, folder = io.StringIO(), tmp_path / "deep" / "demo"
    run_demo(folder, seed=1, out=out)
    assert asked == ["sms"]
    assert {file.name for file in folder.iterdir()} == {"learning-curve.png", "report.json"}
    text = out.getvalue()
    assert ("generated text messages" in text) == (not here)
    assert all(str(file) in text for file in folder.iterdir())


def test_a_demo_folder_that_cannot_be_made_is_a_store_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(commands, "load_dataset", lambda *_: None)
    with pytest.raises(StoreError, match="cannot be made"):
        run_demo(tmp_path / "file" / "demo", seed=1, out=io.StringIO())


def test_items_too_wide_for_any_head_are_refused_before_a_round(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    file, labels = tmp_path / "wide.npz", np.arange(40) % 2
    np.savez(file, X=rng.normal(size=(40, 1800)), y=labels, device=np.arange(40) % 4)
    refused = called("simulate", "--data", file, "--rounds", "1")
    assert refused.exit_code == 2
    assert len(refused.stderr.strip().splitlines()) == 1  # and no bar of a rehearsal beside it
    assert "items have 1800 features, and a head takes at most 1747" in refused.stderr


def test_a_text_without_a_letter_is_read_as_a_text(tmp_path: Path) -> None:
    texts = ["", "win a prize"] * 20
    blob = np.frombuffer("\n".join(texts).encode(), dtype=np.uint8)
    np.savez(tmp_path / "t.npz", utf8=blob, y=np.arange(40) % 2, device=np.arange(40) // 8)
    scenario = replace(Scenario.for_data(tmp_path / "t.npz"), rounds=1)
    assert rehearse(scenario, seed=1).curve[0].labels > 0
