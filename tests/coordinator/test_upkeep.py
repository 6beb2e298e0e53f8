"""What people do with a campaign's store from a terminal, through the commands they type."""

import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coordinator import cli, upkeep
from coordinator.rounds.commands import Command
from coordinator.rounds.events import Planned, dump_event
from coordinator.service import STORE_FILE
from fieldvote.errors import InputError, SealError, StoreError
from tests.coordinator.driven import Driven, store_of, write_campaign
from tests.coordinator.rounds.campaign import TurnedClock, make_fleet


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a campaign of two rounds that is over; nobody changes it."""
    driven = Driven(write_campaign(tmp_path_factory.mktemp("done"), "rounds = 2"))
    with closing(make_fleet()) as fleet:
        driven.drive(fleet.transport())
    return driven.config


@pytest.fixture
def campaign(done: Path, tmp_path: Path) -> Path:
    """Return a copy of it that a test may spoil."""
    shutil.copytree(done.parent, tmp_path / "copy")
    return tmp_path / "copy" / done.name


def rounds(config: Path, *words: str) -> Result:
    return CliRunner().invoke(cli.rounds, [*words, "--config", str(config)])


def coordinator(config: Path, *words: str) -> Result:
    return CliRunner().invoke(cli.app, [*words, "--config", str(config)])


def tamper(config: Path, statement: str) -> None:
    """Change the store behind the program's back."""
    path = config.parent / "state" / STORE_FILE
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(statement)


def test_the_list_has_a_line_for_every_round(done: Path) -> None:
    shown = json.loads(rounds(done, "list", "--json").stdout)
    assert shown == upkeep.rounds_of(done)
    assert [(row["round"], row["labels"], row["phase"]) for row in shown] == [
        (1, 3, "done"),
        (2, 6, "done"),
    ]
    assert all(row["held_out"].endswith(" of 10") for row in shown)
    heading, *lines = rounds(done, "list").stdout.splitlines()
    assert heading.split() == ["round", "kind", "began", "labels", "phase", "model", "held", "out"]
    assert [line.split()[0] for line in lines] == ["1", "2"]


def test_a_round_is_shown_by_its_number_and_the_newest_without(done: Path) -> None:
    one, newest = (
        json.loads(rounds(done, "show", *words, "--json").stdout) for words in (["1"], [])
    )
    assert one == upkeep.round_of(done, 1)
    assert newest == upkeep.round_of(done, 2) == upkeep.round_of(done, None)
    assert (one["round"], newest["round"]) == (1, 2)
    assert newest["parent"] == one["model"]
    assert newest["waits_for"] == "nothing"
    table = rounds(done, "show").stdout
    assert re.search("waits for +nothing\n", table)
    assert "until" not in table


def test_a_round_that_is_not_there_is_said_so(done: Path) -> None:
    with pytest.raises(InputError, match="no round 7"):
        upkeep.round_of(done, 7)
    failed = rounds(done, "show", "7")
    assert isinstance(failed.exception, InputError)


def test_what_nobody_leads_is_noted_and_done_by_the_next_who_does(campaign: Path) -> None:
    clock = TurnedClock()
    told = upkeep.ask_coordinator(campaign, Command(what="plan", budget=4), clock=clock)
    assert told.startswith("noted: campaign small does it as soon as a coordinator leads it")
    assert 4.5 <= (clock.now() - TurnedClock().now()).total_seconds() <= 5.5
    again = Driven(campaign)
    with closing(make_fleet()) as fleet:
        # the campaign had turned its last round: it drives on when asked, and ends again
        campaign.write_text(campaign.read_text().replace("rounds = 2", "rounds = 3"))
        again.drive(fleet.transport())
    with closing(store_of(campaign)) as store:
        assert store.owed() == []
    assert upkeep.round_of(campaign, 3)["budget"] == 4


def test_what_a_leader_does_meanwhile_is_told_as_done(campaign: Path) -> None:
    with closing(store_of(campaign)) as store:
        plan = Planned(round=3, kind="ordinary", devices=(1,), budget=1, first=False, at="")
        store.append("rounds", len(store.events("rounds")), *dump_event(plan))

        class Led(TurnedClock):
            def sleep(self, seconds: float) -> None:
                [row] = store.owed()
                assert Command.from_json(row.body).what == "pause"
                with store.transaction():
                    store.settle(row.key)

        told = upkeep.ask_coordinator(campaign, Command(what="pause", round=3), clock=Led())
    assert told == "round 3 is paused"


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("pause", "1"), "only a round that is under way can be paused"),
        (("resume", "2"), "only a paused or quarantined round can be resumed"),
        (("abort", "9"), "no round 9"),
    ],
)
def test_what_cannot_be_done_to_a_round_is_refused_before_it_is_noted(
    campaign: Path, words: tuple[str, ...], wrong: str
) -> None:
    failed = rounds(campaign, *words)
    assert isinstance(failed.exception, InputError)
    assert wrong in str(failed.exception)
    with closing(store_of(campaign)) as store:
        assert store.owed() == []


@pytest.mark.parametrize("number", ["1", "2"])
def test_a_round_is_made_again_to_the_same_bytes(done: Path, number: str) -> None:
    made = rounds(done, "reproduce", number, "--json")
    assert made.exit_code == 0
    shown = json.loads(made.stdout)
    assert shown == upkeep.reproduce_round(done, int(number))
    assert {row["same"] for row in shown} == {"yes"}
    assert [row["step"] for row in shown] == [
        "selection", "labels", "task", "environment", "label model", "model", "evaluation", "gate",
    ]  # fmt: skip
    table = rounds(done, "reproduce", number)
    assert table.exit_code == 0
    assert table.stdout.count("yes") == 8


def test_a_model_that_was_not_made_of_this_record_is_called_so(campaign: Path) -> None:
    tamper(
        campaign,
        'UPDATE event SET body = replace(body, \'"model":"\', \'"model":"f\')'
        " WHERE kind = 'Trained'",
    )
    made = rounds(campaign, "reproduce", "2")
    assert made.exit_code == 3
    [wrong] = [row for row in upkeep.reproduce_round(campaign, 2) if row["same"] == "NO"]
    assert wrong["step"] == "model"
    assert "NO" in made.stdout


def test_a_store_that_is_whole_is_called_so_and_its_ends_are_named(done: Path) -> None:
    found = json.loads(coordinator(done, "verify", "--json").stdout)
    assert found == upkeep.check_store(done)
    assert found["faults"] == ""
    with closing(store_of(done)) as store:
        events, [head] = store.events("rounds"), store.heads()
    assert found["events"] == len(events)
    assert found["head of rounds"] == f"{len(events) - 1} {head.hash}"
    table = coordinator(done, "verify")
    assert table.exit_code == 0
    assert head.hash in table.stdout


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE event SET body = replace(body, '1', '2') WHERE version = 3", "event 3 is not"),
        ("DELETE FROM event WHERE version = 5", "event 5 is missing"),
        ("UPDATE artifact SET blob = zeroblob(9)", "is not what its name says"),
        ("UPDATE budget SET spent = spent + 1", "is not the sum of its entries"),
    ],
)
def test_a_store_that_was_changed_is_called_so_and_the_command_fails(
    campaign: Path, statement: str, fault: str
) -> None:
    tamper(campaign, statement)
    for words in (["verify"], ["verify", "--json"]):
        checked = coordinator(campaign, *words)
        assert checked.exit_code == 3
        assert fault in checked.stdout


@pytest.fixture
def empty(campaign: Path) -> Path:
    """Return the file of the same campaign with nothing in its store."""
    elsewhere = campaign.parent.parent / "elsewhere"
    elsewhere.mkdir()
    return Path(shutil.copy(campaign, elsewhere))


def test_a_backup_brings_everything_back(done: Path, tmp_path: Path, empty: Path) -> None:
    path = tmp_path / "monday.sqlite"
    said = coordinator(done, "backup", str(path)).stdout
    assert said == f"{path}: {path.stat().st_size / 1e6:.1f} MB; keep it as safe as the store\n"
    assert isinstance(coordinator(empty, "restore", str(path)).exception, SealError)
    key = done.parent / "state" / "at_rest.key"  # the new place made one of its own
    restored = coordinator(empty, "restore", str(path), "--key", str(key))
    assert restored.exit_code == 0
    events = upkeep.check_store(done)["events"]
    assert restored.stdout == f"{events} events in 1 streams are back, all chains whole\n"
    assert upkeep.check_store(empty) == upkeep.check_store(done)
    assert upkeep.rounds_of(empty) == upkeep.rounds_of(done)


def test_a_backup_replaces_nothing_and_is_restored_into_nothing_that_holds_something(
    campaign: Path, tmp_path: Path
) -> None:
    path = tmp_path / "monday.sqlite"
    path.write_text("somebody's")
    assert isinstance(coordinator(campaign, "backup", str(path)).exception, InputError)
    assert path.read_text() == "somebody's"
    path.unlink()
    upkeep.back_up(campaign, path)
    before = upkeep.check_store(campaign)
    with pytest.raises(InputError, match="is not empty"):
        upkeep.bring_back(campaign, path)
    assert upkeep.check_store(campaign) == before


def test_a_backup_of_another_campaign_is_named_so(
    campaign: Path, tmp_path: Path, empty: Path
) -> None:
    path = tmp_path / "monday.sqlite"
    upkeep.back_up(campaign, path)
    empty.write_text(empty.read_text().replace('name = "small"', 'name = "large"'))
    with pytest.raises(InputError, match="holds no campaign 'large'"):
        upkeep.bring_back(empty, path, campaign.parent / "state" / "at_rest.key")


def test_what_is_no_backup_is_refused_and_changes_nothing(tmp_path: Path, empty: Path) -> None:
    (tmp_path / "noise").write_bytes(b"no database" * 99)
    with pytest.raises(InputError, match="no such backup"):
        upkeep.bring_back(empty, tmp_path / "nothing")
    with pytest.raises(InputError, match="no campaign yet"):
        upkeep.rounds_of(empty)  # and no empty store was left that looks like one
    with pytest.raises(StoreError, match=f"^{tmp_path / 'noise'}: this is no database"):
        upkeep.bring_back(empty, tmp_path / "noise")
    with closing(store_of(empty)) as store:
        assert store.events("rounds") == []


@pytest.mark.parametrize("words", [["list"], ["show"], ["pause", "1"], ["reproduce", "1"]])
def test_where_no_campaign_has_begun_there_is_nothing_to_look_at(
    tmp_path: Path, words: list[str]
) -> None:
    failed = rounds(write_campaign(tmp_path), *words)
    assert isinstance(failed.exception, InputError)
    assert "no campaign yet" in str(failed.exception)
    assert not (tmp_path / "state").exists()
