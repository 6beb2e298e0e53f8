"""The doctor says what is there, what is missing, and what to do."""

import json
import tempfile
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from typer.testing import CliRunner

import fieldvote.doctor as doctor
from fieldvote.cli import app
from fieldvote.doctor import OPTIONAL, REQUIRED, Verdict, examine


def finding(part: str, **environment: str) -> doctor.Finding:
    return next(each for each in examine(environment) if each.part == part)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    missing: list[str] = []

    def version(name: str) -> str:
        if name in missing:
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(doctor, "version", version)
    return missing


def test_the_required_parts_are_what_the_package_requires() -> None:
    said = [each for each in requires("fieldvote") or () if "extra ==" not in each]
    assert {each.split(">")[0].strip().split("<")[0] for each in said} == set(REQUIRED)


def test_the_optional_parts_are_in_the_extras_named() -> None:
    said = requires("fieldvote") or ()
    for name, extra in OPTIONAL.items():
        assert any(
            each.startswith(name) and f'"{extra}"' in each.replace("'", '"') for each in said
        )


def test_a_missing_required_part_is_missing_and_ends_with_4(without: list[str]) -> None:
    without.append("onnxruntime")
    assert finding("onnxruntime").verdict is Verdict.MISSING
    ended = CliRunner().invoke(app, ["doctor"])
    assert ended.exit_code == 4
    assert "pip install 'fieldvote'" in ended.stdout
    assert "not ready" in ended.stdout


def test_a_missing_optional_part_is_a_note_that_names_its_extra(without: list[str]) -> None:
    without.append("flwr")
    found = finding("flwr")
    assert (found.verdict, found.advice) == (Verdict.NOTE, "pip install 'fieldvote[flower]'")
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0


@pytest.mark.parametrize(
    ("environment", "verdict"), [({}, Verdict.NOTE), ({"FIELDVOTE_DATA": "/none"}, Verdict.NOTE)]
)
def test_data_that_is_not_there_is_a_note(environment: dict[str, str], verdict: Verdict) -> None:
    found = finding("FIELDVOTE_DATA", **environment)
    assert found.verdict is verdict
    assert found.advice


def test_a_folder_of_data_is_fine(tmp_path: Path) -> None:
    assert finding("FIELDVOTE_DATA", FIELDVOTE_DATA=str(tmp_path)).verdict is Verdict.FINE


@pytest.mark.parametrize(("setting", "verdict"), [("0", Verdict.FINE), ("1", Verdict.NOTE)])
def test_telemetry_that_is_on_is_a_note(setting: str, verdict: Verdict) -> None:
    assert finding("FLWR_TELEMETRY_ENABLED", FLWR_TELEMETRY_ENABLED=setting).verdict is verdict
    assert finding("FLWR_TELEMETRY_ENABLED").verdict is Verdict.NOTE


def test_a_temporary_folder_that_takes_no_file_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    found = finding("temporary folder")
    assert (found.verdict, found.found) == (
        Verdict.MISSING,
        "not writable (No space left on device)",
    )


def test_an_old_interpreter_is_missing() -> None:
    assert doctor._python((3, 10)).verdict is Verdict.MISSING
    assert doctor._python((3, 11)).verdict is Verdict.FINE


def test_json_says_what_the_table_says() -> None:
    said = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    table = CliRunner().invoke(app, ["doctor"]).stdout
    assert said["fine"] is True
    for part in said["parts"]:
        assert part["part"] in table
        assert part["verdict"] in {"fine", "note"}
