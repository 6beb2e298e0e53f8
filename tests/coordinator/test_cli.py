import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coordinator.cli import app
from coordinator.labels.cli import app as labels
from coordinator.labels.terminal import read_keys
from coordinator.service import CoordinatorSettings, open_store
from tests.coordinator.labels.test_terminal import campaign as campaign
from tests.doubles.tasks import text_files, write_task

FIELDVOTE = Path(sys.executable).parent / "fieldvote"


def invoke(group: object, *words: str, typed: str = "") -> Result:
    return CliRunner().invoke(group, words, input=typed)  # type: ignore[arg-type]  # a Typer app


def fieldvote(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FIELDVOTE, *words], cwd=folder, capture_output=True, text=True, check=False
    )


def test_keys_print_what_a_device_needs_as_its_settings_say_it(tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    shown = invoke(labels, "keys", "--keys", str(folder)).stdout
    held = read_keys(folder)
    assert shown == (
        f'labeling_key = "{held.labeling.public.hex()}"\ndesk_key = "{held.signing.public.hex()}"\n'
    )


def test_keys_as_json_are_the_same(tmp_path: Path) -> None:
    shown = json.loads(invoke(labels, "keys", "--keys", str(tmp_path / "d"), "--json").stdout)
    assert shown["desk_key"] == read_keys(tmp_path / "d").signing.public.hex()


def test_answers_are_read_from_the_terminal(campaign: Path) -> None:
    words = ("answer", "--config", str(campaign), "--keys", str(campaign.parent / "desk"))
    shown = invoke(labels, *words, typed="0\nx\ns\n").stdout
    # the input ends at the third item, as with Ctrl-D
    assert "3 of 3" in shown
    assert "type 0 to 1, n, s or q" in shown
    assert shown.endswith("1 answer given\n")
    with_store = open_store(CoordinatorSettings.load(campaign))
    assert with_store.paid()[0] == 1
    with_store.close()


def test_labels_are_listed_with_where_they_came_from(campaign: Path) -> None:
    where = ("--config", str(campaign))
    keys = ("--keys", str(campaign.parent / "desk"))
    assert json.loads(invoke(labels, "list", *where, "--json").stdout) == []
    invoke(labels, "answer", *where, *keys, "--as", "ann", typed="0\n1\n")
    rows = json.loads(invoke(labels, "list", *where, "--json").stdout)
    assert [(row["class"], row["method"], row["counted"]) for row in rows] == [
        ("ordinary", "one answer", 0),
        ("offer", "one answer", 0),
    ]
    assert "ann" not in rows[0]["answers"].split(":")
    assert invoke(labels, "list", *where, "--round", "2").stdout.strip() == ""
    assert "trace" in invoke(labels, "list", *where, "--round", "1").stdout


def test_where_several_people_answer_they_must_say_who_they_are(campaign: Path) -> None:
    campaign.write_text(campaign.read_text() + "[campaign.labeling]\nanswers = 2\n")
    words = ("labels", "answer", "--config", str(campaign), "--keys", "desk")
    done = fieldvote(*words, folder=campaign.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert "say who you are with --as" in done.stderr


def test_status_says_where_the_campaign_stands(campaign: Path) -> None:
    table = invoke(app, "status", "--config", str(campaign)).stdout
    assert "waiting for an answer  3\n" in table
    found = json.loads(invoke(app, "status", "--config", str(campaign), "--json").stdout)
    assert (found["campaign"], found["waiting_for_an_answer"], found["labels"]) == ("c", 3, 0)


@pytest.mark.parametrize(
    ("flower", "wrong"),
    [
        ('address = "10.0.0.1:9092"', "10.0.0.1 is not loopback, so TLS is needed"),
        ('flower = { ca = "a", certificate = "b", key = "c" }', "no such file"),
    ],
)
def test_serving_with_bad_settings_ends_with_one_line_and_two(
    tmp_path: Path, flower: str, wrong: str
) -> None:
    write_task(tmp_path / "task", text_files())
    (tmp_path / "coordinator.toml").write_text(
        f'folder = "state"\ntask = "task"\n{flower}\n[campaign]\nname = "c"\n'
    )
    done = fieldvote("coordinator", "serve", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert wrong in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "state").exists()
