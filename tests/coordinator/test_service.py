from contextlib import closing
from pathlib import Path

import pytest

from coordinator.releases.asking import RELEASE, ReleaseCommand
from coordinator.rounds.campaign import STREAM
from coordinator.rounds.events import Abandoned, Event, Planned, dump_event
from coordinator.service import (
    STORE_FILE,
    CoordinatorSettings,
    check_task,
    is_finished,
    open_store,
    status_of,
)
from coordinator.store.budget import Resource
from fieldvote.errors import InputError, SettingsError, StoreError
from tests.coordinator.driven import write_campaign as write
from tests.coordinator.rounds.campaign import TASK
from tests.doubles.owner import DAY_S, Owner
from tests.doubles.tasks import tabular_files, task_of


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("rounds = 0", "rounds and quorum"),
        ("quorum = 0", "rounds and quorum"),
        ('address = "nowhere"', "expected host:port"),
        ('address = ":9092"', "expected host:port"),
        ('address = "host:"', "expected host:port"),
        ("round = 3", "unknown key 'round'; did you mean 'rounds'"),
    ],
)
def test_settings_no_campaign_can_have_are_refused(tmp_path: Path, said: str, wrong: str) -> None:
    with pytest.raises(SettingsError, match=wrong):
        CoordinatorSettings.load(write(tmp_path, said))


def test_paths_are_seen_from_where_the_settings_are(tmp_path: Path) -> None:
    settings = CoordinatorSettings.load(write(tmp_path))
    assert Path(settings.folder) == tmp_path / "state"
    assert Path(settings.task) == tmp_path / "task"
    assert settings.flower.ca == ""


def test_a_store_is_made_only_where_a_campaign_begins(tmp_path: Path) -> None:
    settings = CoordinatorSettings.load(write(tmp_path))
    with pytest.raises(InputError, match="no campaign yet"):
        open_store(settings)
    assert not (tmp_path / "state").exists()
    open_store(settings, make=True).close()
    open_store(settings).close()


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StoreError, match="cannot be made"):
        open_store(CoordinatorSettings.load(write(tmp_path)), make=True)


def test_the_store_is_one_file_in_the_folder_unless_a_database_is_named(tmp_path: Path) -> None:
    settings = CoordinatorSettings.load(write(tmp_path))
    assert settings.place == tmp_path / "state" / STORE_FILE
    shared = "postgresql://me@db/fieldvote"
    assert CoordinatorSettings.load(write(tmp_path, f'store = "{shared}"')).place == shared


def test_each_campaign_of_a_database_is_one_of_its_own(tmp_path: Path) -> None:
    config = write(tmp_path)
    begin(CoordinatorSettings.load(config), first_plan())
    config.write_text(config.read_text().replace('name = "small"', 'name = "other"'))
    assert status_of(config)["round"] == 0
    check_task(CoordinatorSettings.load(config), task_of(tabular_files()))


def first_plan(number: int = 1) -> Event:
    return Planned(round=number, kind="ordinary", devices=(1,), budget=1, first=True, at="")


def begin(settings: CoordinatorSettings, *events: Event) -> None:
    """Append these events to what the campaign's stream has."""
    with closing(open_store(settings, make=True)) as store:
        for event in events:
            store.append(STREAM, len(store.events(STREAM)), *dump_event(event))


def test_a_campaign_is_finished_when_its_last_round_is_over_and_no_other_is_open(
    tmp_path: Path,
) -> None:
    settings = CoordinatorSettings.load(write(tmp_path, "rounds = 2"))
    assert not is_finished(settings)
    begin(settings, first_plan(1))
    assert not is_finished(settings)
    begin(settings, first_plan(2), Abandoned(round=2, reason="enough"))
    assert not is_finished(settings)
    begin(settings, Abandoned(round=1, reason="enough"))
    assert is_finished(settings)


def test_a_campaign_is_not_finished_while_a_release_is_asked_for(tmp_path: Path) -> None:
    settings = CoordinatorSettings.load(write(tmp_path, "rounds = 1"))
    begin(settings, first_plan(1), Abandoned(round=1, reason="enough"))
    assert is_finished(settings)
    with closing(open_store(settings)) as store:
        store.owe("one", RELEASE, ReleaseCommand(what="promote", number=1).to_json())
    assert not is_finished(settings)


def test_the_status_of_a_campaign_that_has_just_begun_is_nothing_yet(tmp_path: Path) -> None:
    config = write(tmp_path)
    with pytest.raises(InputError, match="no campaign yet"):
        status_of(config)
    begin(CoordinatorSettings.load(config), first_plan())
    status = status_of(config)
    assert (status["campaign"], status["round"], status["phase"]) == ("small", 1, "planned")
    assert (status["labels"], status["model"], status["served"]) == (0, "", "")


def test_the_status_says_what_the_budget_still_pays_for(tmp_path: Path) -> None:
    config = write(tmp_path)
    begin(CoordinatorSettings.load(config), first_plan())
    assert "budget" not in status_of(config)
    with config.open("a") as file:
        file.write("\n[campaign.budget]\nlabels = 12\n")
    assert status_of(config)["budget"] == "pays for 12 more items"
    for key, amount, said in (("one", 11, "1 more item"), ("two", 1, "spent: it pays for no")):
        with closing(open_store(CoordinatorSettings.load(config))) as store:
            store.reserve(key, Resource.LABELS, amount, 12)
            store.settle_budget(key, amount)
        assert said in str(status_of(config)["budget"])


def test_a_campaign_keeps_to_the_task_it_began_with(tmp_path: Path) -> None:
    settings = CoordinatorSettings.load(write(tmp_path))
    other = task_of(tabular_files())
    check_task(settings, TASK)
    check_task(settings, TASK)
    with pytest.raises(InputError, match="a name and a folder of its own") as refused:
        check_task(settings, other)
    assert TASK.digest[:12] in str(refused.value)
    assert other.digest[:12] in str(refused.value)
    assert "\n" not in str(refused.value)
    check_task(settings, TASK)


def test_the_status_says_what_the_owner_has_to_sign_again(tmp_path: Path) -> None:
    owner = Owner(1)
    config = write(tmp_path, owner.put_online(tmp_path))
    begin(CoordinatorSettings.load(config), first_plan())
    assert "not signed" in str(status_of(config)["signatures"])
    owner.sign_task(tmp_path / "task", 1)
    assert status_of(config)["signatures"] == "good"
    late = Owner(1, now_s=owner.now_s - 280 * DAY_S)
    late.sign_task(tmp_path / "task", 1)
    assert str(status_of(config)["signatures"]).startswith("targets: soon over, on ")
    (tmp_path / "online" / "1.root.msgpack").unlink()
    assert "no roots here" in str(status_of(config)["signatures"])
