"""The owner's keys: made once, changed one at a time; devices follow every change."""

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator.keys.folder import KeyFolder
from coordinator.keys.owner import PLACES, make_keys, rotate, show
from coordinator.keys.signing import sign_directory, sign_task
from edge.pool import Pool
from edge.trust import Trust
from fieldvote.bundle import ROOT_SUFFIX, Bundle
from fieldvote.cli import app
from fieldvote.errors import InputError, SealError, SignatureError, TaskError
from fieldvote.rng import keyed_entropy
from fieldvote.task import FUNCTIONS_FILE
from tests.doubles.owner import DAY_S, NOW_S
from tests.doubles.tasks import text_files, write_task

ENTROPY = keyed_entropy(3, "owner's tool")


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    folder = KeyFolder(tmp_path / "owner")
    make_keys(folder, now_s=NOW_S, entropy=ENTROPY)
    return folder


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return write_task(tmp_path / "task", text_files())


def device(keys: KeyFolder, *, at_s: float = NOW_S) -> Trust:
    return Trust(Pool(None), (keys.folder / "roots" / f"1{ROOT_SUFFIX}").read_bytes(), lambda: at_s)


def test_a_signed_folder_is_all_a_new_device_needs(keys: KeyFolder, task: Path) -> None:
    assert [sign_task(keys, task, now_s=NOW_S) for _ in range(3)] == [1, 2, 3]
    trust = device(keys)
    assert trust.installed(task).version == 3
    assert trust.staleness() == ""
    (task / FUNCTIONS_FILE).write_bytes(b"")
    with pytest.raises(SignatureError, match=r"functions\.toml"):
        device(keys).installed(task)


def test_versions_go_on_whichever_folder_was_signed_last(
    keys: KeyFolder, task: Path, tmp_path: Path
) -> None:
    sign_task(keys, task, now_s=NOW_S)
    other = write_task(tmp_path / "other", text_files(candidates=3))
    assert sign_task(keys, other, now_s=NOW_S) == 2
    (keys.folder / "signed.json").write_text(
        json.dumps({"versions": {}, "keys": keys.record().keys})
    )
    assert sign_task(keys, other, now_s=NOW_S) == 3  # the folder itself remembers


def test_keys_are_made_once_and_for_nobody_else_to_read(keys: KeyFolder) -> None:
    secrets = [keys.path_of(name) for name in PLACES]
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    assert len({path.read_bytes() for path in secrets}) == len(PLACES) == 8
    before = {path: path.read_bytes() for path in keys.folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"root-1\.key is there already"):
        make_keys(keys, now_s=NOW_S, entropy=ENTROPY)
    assert {path: path.read_bytes() for path in keys.folder.rglob("*") if path.is_file()} == before
    keys.path_of("targets").chmod(0o644)
    with pytest.raises(InputError, match="others may read this secret"):
        keys.key("targets")


def test_a_passphrase_locks_what_is_offline_and_nothing_else(tmp_path: Path, task: Path) -> None:
    folder, asked = tmp_path / "locked", list[str]()
    make_keys(KeyFolder(folder), now_s=NOW_S, entropy=os.urandom, passphrase="open sesame")

    def ask() -> str:
        asked.append("?")
        return "open sesame"

    keys = KeyFolder(folder, passphrase=ask)
    assert sign_task(keys, task, now_s=NOW_S) == 1
    assert asked == ["?"]
    assert len((folder / "online" / "timestamp.key").read_bytes()) == 32
    with pytest.raises(SealError, match="wrong passphrase"):
        KeyFolder(folder, passphrase=lambda: "close").key("targets")


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("at_once", [False, True])
def test_a_device_follows_the_change_of_any_key(
    keys: KeyFolder, task: Path, name: str, at_once: bool
) -> None:
    sign_task(keys, task, now_s=NOW_S)
    trust = device(keys)
    trust.installed(task)
    old = keys.key(name).public
    for _ in range(2):
        rotate(keys, name, now_s=NOW_S, entropy=ENTROPY, at_once=at_once)
    assert keys.key(name).public != old
    assert sign_task(keys, task, now_s=NOW_S + 1) == 2
    assert trust.installed(task).version == 2
    assert trust.staleness() == ""
    assert device(keys).installed(task).version == 2


def test_an_old_key_stays_good_until_the_next_change_and_a_lost_one_does_not(
    keys: KeyFolder, task: Path
) -> None:
    sign_task(keys, task, now_s=NOW_S)
    trust = device(keys)
    trust.installed(task)
    rotate(keys, "targets", now_s=NOW_S, entropy=ENTROPY)
    trust.refresh(roots_of(keys))
    assert trust.staleness() == ""
    rotate(keys, "targets", now_s=NOW_S, entropy=ENTROPY)
    trust.refresh(roots_of(keys))
    assert "a key that the newest root no longer names" in trust.staleness()


def roots_of(keys: KeyFolder) -> bytes:
    blobs = {path.name: path.read_bytes() for path in (keys.folder / "roots").iterdir()}
    return Bundle.of(blobs).content


def test_two_root_keys_change_the_third_and_one_changes_nothing(keys: KeyFolder) -> None:
    keys.path_of("root-3").unlink()
    assert rotate(keys, "root-3", now_s=NOW_S, entropy=ENTROPY) == 2
    assert keys.has("root-3")
    for name in ("root-2", "root-3"):
        keys.path_of(name).unlink()
    before = sorted((path, path.read_bytes()) for path in keys.folder.rglob("*.*"))
    for name in ("timestamp", "root-1", "targets"):
        with pytest.raises(InputError, match="1 root keys are here, 2 are needed"):
            rotate(keys, name, now_s=NOW_S, entropy=ENTROPY)
    assert sorted((path, path.read_bytes()) for path in keys.folder.rglob("*.*")) == before


def test_what_is_missing_or_foreign_is_said(keys: KeyFolder, task: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no owner's keys here"):
        sign_task(KeyFolder(tmp_path / "nowhere"), task, now_s=NOW_S)
    with pytest.raises(InputError, match="no such key; known: root-1"):
        rotate(keys, "king", now_s=NOW_S, entropy=ENTROPY)
    with pytest.raises(TaskError):
        sign_task(keys, tmp_path / "absent", now_s=NOW_S)
    keys.path_of("targets").write_bytes(os.urandom(32))
    with pytest.raises(InputError, match="does not hold the role"):
        sign_task(keys, task, now_s=NOW_S)
    keys.path_of("targets").unlink()
    with pytest.raises(InputError, match=r"targets\.key: not here; bring it back"):
        sign_task(keys, task, now_s=NOW_S)


def test_no_file_of_a_task_is_written_over(keys: KeyFolder, tmp_path: Path) -> None:
    files = text_files()
    model = files.pop("model.onnx")
    said = files["task.toml"] + b'[model]\nfile = "targets.msgpack"\n'
    task = write_task(tmp_path / "odd", {**files, "task.toml": said, "targets.msgpack": model})
    with pytest.raises(InputError, match="call it otherwise"):
        sign_task(keys, task, now_s=NOW_S)
    assert (task / "targets.msgpack").read_bytes() == model


def test_without_the_online_keys_a_task_is_signed_and_waits_for_news(
    keys: KeyFolder, task: Path, tmp_path: Path
) -> None:
    shutil.move(keys.online, tmp_path / "carried")
    keys.online.mkdir()
    sign_task(keys, task, now_s=NOW_S)
    assert not (task / "timestamp.msgpack").exists()
    trust = device(keys)
    assert trust.installed(task).version == 1
    assert "no timestamp has come" in trust.staleness()


def test_a_directory_gets_a_version_of_its_own(keys: KeyFolder) -> None:
    assert [sign_directory(keys, b"%d" % n, now_s=NOW_S) for n in range(2)] == [1, 2]
    assert (keys.online / "directory").read_bytes() == b"1"


def test_the_table_says_who_holds_what_and_until_when(keys: KeyFolder) -> None:
    rotate(keys, "timestamp", now_s=NOW_S, entropy=ENTROPY)
    keys.path_of("root-2").unlink()
    rows = {row["role"]: row for row in show(keys)}
    assert list(rows) == ["root", "snapshot", "targets", "timestamp", "directory", "online"]
    assert (rows["root"]["threshold"], rows["root"]["here"]) == (2, "root-1.key root-3.key")
    assert [len(str(rows[role]["keys"]).split()) for role in rows] == [3, 1, 1, 2, 1, 1]
    assert rows["root"]["said_by"] == "root 2"


def test_the_commands_do_as_the_guide_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "my-task", text_files())

    def said(*words: str) -> str:
        ended = CliRunner().invoke(app, ["keys", *words])
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    assert "keep them in three" in said("init", "owner")
    assert "is signed as version 1" in said("sign", "my-task", "--keys", "owner")
    assert "root 2" in said("rotate", "timestamp", "--keys", "owner", "--at-once")
    assert "sign the task again" in said("rotate", "online", "--keys", "owner")
    assert "sign every task again" in said("rotate", "targets", "--keys", "owner", "--at-once")
    assert "is signed as version 2" in said("sign", "my-task")
    rows = json.loads(said("show", "--json"))
    assert [row["role"] for row in rows][:2] == ["root", "snapshot"]
    assert "root-1.key" in said("show")
    again = CliRunner().invoke(app, ["keys", "init", "owner"])
    assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
    trust = Trust(Pool(None), (tmp_path / "owner" / "root.msgpack").read_bytes(), lambda: NOW_S)
    assert trust.installed(tmp_path / "my-task").version == 2


def test_a_year_later_the_task_is_over_and_signing_it_again_mends_it(
    keys: KeyFolder, task: Path
) -> None:
    sign_task(keys, task, now_s=NOW_S)
    later_s = NOW_S + 366 * DAY_S
    trust = device(keys, at_s=later_s)
    trust.installed(task)
    assert trust.staleness() != ""
    sign_task(keys, task, now_s=later_s - 1)
    trust.installed(task)
    assert trust.staleness() == ""
