"""`fieldvote models`: what people type, what they read, and what is refused in one line."""

import json
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from coordinator.models import terminal
from coordinator.models.asking import INQUIRY, InputAnswer, InputQuestion
from coordinator.models.cli import app
from coordinator.models.one_input import embedding_of, read_input
from coordinator.service import CoordinatorSettings, is_finished
from coordinator.store.written import load_wish
from fieldvote.errors import InputError, TaskError, UnavailableError
from fieldvote.task import Task
from tests.coordinator.driven import Driven, store_of, write_campaign
from tests.coordinator.rounds.campaign import TASK, TurnedClock, make_fleet, scorer_of
from tests.doubles.tasks import task_of, text_files


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a campaign of two rounds that votes have taught, and that is over."""
    config = write_campaign(tmp_path_factory.mktemp("done"), "rounds = 2")
    config.write_text(config.read_text() + "vote_weight = 2.0\n")
    driven = Driven(config)
    with closing(make_fleet()) as fleet:
        driven.drive(fleet.transport())
    return config


def models(config: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(config)])


def test_the_list_has_a_line_for_every_head(done: Path) -> None:
    shown = json.loads(models(done, "list", "--json").stdout)
    assert shown == terminal.versions(done)
    assert [(row["round"], row["traced"], row["outcome"]) for row in shown] == [
        (1, "yes", ""),
        (2, "yes", "served"),
    ]
    assert shown[1]["parent"] == shown[0]["model"]
    heading, *lines = models(done, "list").stdout.splitlines()
    assert heading.split() == ["model", "round", "parent", "score", "traced", "outcome"]
    assert len(lines) == 2


def test_the_newest_head_is_explained_and_any_other_by_its_round(done: Path) -> None:
    newest = json.loads(models(done, "explain", "--json").stdout)
    assert newest["about"]["round"] == 2
    names = {row["function"] for row in newest["rows"]}
    assert names == {"a_is_high", "b_is_low", "people's answers"}
    assert "estimate" in newest["doubt"]
    first = json.loads(models(done, "explain", "--round", "1", "--json").stdout)
    digest = first["about"]["model"]
    again = json.loads(models(done, "explain", "--model", digest, "--json").stdout)
    assert again == first
    shown = models(done, "explain").stdout
    assert "a_is_high" in shown
    assert newest["doubt"] in shown


def test_what_if_a_function_were_gone_is_told_class_by_class(done: Path) -> None:
    told = json.loads(models(done, "explain", "--without", "a_is_high", "--json").stdout)
    assert [row["class"] for row in told["rows"]] == ["low", "high", "all"]
    assert told["about"]["without"].startswith("a_is_high@")
    name = told["about"]["without"]
    assert json.loads(models(done, "explain", "--without", name, "--json").stdout) == told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--round", "7"], "no round 7"),
        (["--model", "beef"], "no model 'beef'"),
        (["--round", "1", "--model", "beef"], "not both"),
        (["--without", "c_is_high"], "no function 'c_is_high'"),
        (["--without", "a_is_high@beef"], "taught it as version"),
        (["--text", "hello", "--without", "a_is_high"], "leave out"),
        (["--class", "low"], "give it by --text or --input"),
        (["--text", "hello"], "inputs are rows"),
        (["--input", "absent.json"], "cannot be read"),
    ],
)
def test_bad_input_gets_one_clear_message(done: Path, words: list[str], said: str) -> None:
    found = models(done, "explain", *words)
    assert found.exit_code != 0
    assert isinstance(found.exception, InputError)
    assert said in str(found.exception)
    assert "\n" not in str(found.exception)


def test_an_input_is_asked_about_only_while_a_coordinator_leads(done: Path, tmp_path: Path) -> None:
    file = tmp_path / "row.json"
    file.write_text('{"a": 1.0, "b": 2, "c": -0.5}')
    with pytest.raises(UnavailableError, match="coordinator serve"):
        terminal.explained_input(done, file=file, wait_s=1.0, clock=TurnedClock())


def test_a_coordinator_of_a_finished_campaign_answers_what_somebody_waits_for(
    done: Path, tmp_path: Path
) -> None:
    shutil.copytree(done.parent, tmp_path / "copy")
    config = tmp_path / "copy" / done.name
    question = InputQuestion(round=2, label=1, embedding=(1.0, 1.0, 0.0))
    with closing(store_of(config)) as store, store.transaction():
        store.owe(f"{INQUIRY} one", INQUIRY, question.to_json())
    assert not is_finished(CoordinatorSettings.load(config))
    with closing(make_fleet()) as fleet:
        Driven(config).drive(fleet.transport())
    assert is_finished(CoordinatorSettings.load(config))
    with closing(store_of(config)) as store:
        answer = load_wish((store.note(f"answer to {INQUIRY} one") or "").encode(), InputAnswer)
    assert answer.refusal == ""
    assert answer.devices == 3
    assert len(answer.values) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no JSON"),
        ("[1, 2, 3]", "a JSON object"),
        ('{"a": 1, "b": 2}', "field 'c': expected a number"),
        ('{"a": 1, "b": 2, "c": true}', "field 'c': expected a number"),
        ('{"a": 1, "b": 2, "c": 3, "d": 4}', "no field 'd'"),
        ('{"a": 1, "b": 2, "c": 1e999}', "not finite"),
        ("\0" * ((1 << 20) + 1), "at most"),
    ],
)
def test_a_row_that_is_none_is_refused(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "row.json"
    file.write_text(content)
    with pytest.raises(InputError, match=said):
        read_input(TASK, file=file)


def test_one_input_is_seen_as_devices_see_it(tmp_path: Path) -> None:
    file = tmp_path / "row.json"
    file.write_text('{"b": 2.0, "a": 1.0, "c": -0.5}')
    inputs = read_input(TASK, file=file)
    assert inputs.tolist() == [[1.0, 2.0, -0.5]]
    assert np.array_equal(
        embedding_of(TASK, inputs), scorer_of(TASK.model).score(inputs).embeddings[0]
    )


def test_a_text_is_given_as_words_or_as_a_file(tmp_path: Path) -> None:
    task: Task = task_of(text_files())
    file = tmp_path / "said.txt"
    file.write_text("you won a prize")
    by_words, by_file = read_input(task, text="you won a prize"), read_input(task, file=file)
    assert np.array_equal(by_words, by_file)
    assert by_words.any()
    with pytest.raises(InputError, match="give one input"):
        read_input(task, text="you", file=file)
    with pytest.raises(InputError, match="give one input"):
        read_input(task)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        read_input(task, file=file)


def test_a_model_that_does_not_run_here_is_said_to_be_it() -> None:
    with pytest.raises(TaskError, match="does not run on this input"):
        embedding_of(TASK, np.zeros((1, 99), dtype=np.float32))
