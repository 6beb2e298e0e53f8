"""A coordinator whose key is elsewhere, from its settings to its commands."""

from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator.cli import app
from coordinator.rounds.campaign import STREAM
from coordinator.service import CoordinatorSettings, open_store
from fieldvote.errors import InputError, SealError

PLANTED = b"a planted sentence nobody may find"


def campaign(folder: Path, custody: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    config = folder / "coordinator.toml"
    config.write_text(f'folder = "state"\ntask = "task"\n{custody}[campaign]\nname = "c"\n')
    with closing(open_store(CoordinatorSettings.load(config), make=True)) as store:
        store.owe("a", "email", PLANTED)
        store.append(STREAM, 0, "Kind", "{}")
    return config


def owed(config: Path) -> list[bytes]:
    with closing(open_store(CoordinatorSettings.load(config))) as store:
        return [each.body for each in store.owed()]


def run(config: Path, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--config", str(config)])
    assert result.exception is None, (result.output, result.exception)
    return result.output


def test_a_stolen_coordinator_whose_key_is_elsewhere_tells_nothing_that_was_sent(
    tmp_path: Path,
) -> None:
    config = campaign(tmp_path / "c", 'custody = { file = "../stick.key" }\n')
    files = list((tmp_path / "c" / "state").iterdir())
    assert files
    assert not any(b"sentence" in file.read_bytes() for file in files)
    assert owed(config) == [PLANTED]
    (tmp_path / "stick.key").unlink()
    with pytest.raises(InputError, match="bring it back"):
        owed(config)
    assert not (tmp_path / "stick.key").exists()


def test_a_backup_is_locked_verified_and_brought_back_by_command(tmp_path: Path) -> None:
    config = campaign(tmp_path / "c", 'custody = { file = "../stick.key" }\n')
    run(config, "backup", str(tmp_path / "monday"))
    assert b"sentence" not in (tmp_path / "monday").read_bytes()
    new = tmp_path / "new" / "coordinator.toml"
    new.parent.mkdir()
    new.write_text(config.read_text())
    assert "all chains whole" in run(new, "restore", str(tmp_path / "monday"))
    for each in (config, new):
        assert "faults" in run(each, "verify")
        assert owed(each) == [PLANTED]


def test_the_key_is_changed_by_command_while_the_store_is_open(tmp_path: Path) -> None:
    config = campaign(tmp_path)
    first = (tmp_path / "state" / "at_rest.key").read_bytes()
    with closing(open_store(CoordinatorSettings.load(config))) as store:
        assert "another now" in run(config, "rekey")
        assert [each.body for each in store.owed()] == [PLANTED]
    assert (tmp_path / "state" / "at_rest.key").read_bytes() != first
    assert owed(config) == [PLANTED]
    said = run(config, "rekey", "--to", "file", "--file", str(tmp_path / "stick.key"))
    assert f'file = "{tmp_path / "stick.key"}"' in said
    with pytest.raises(SealError, match="locked by key"):
        owed(config)
    config.write_text(f'custody = {{ file = "{tmp_path / "stick.key"}" }}\n' + config.read_text())
    assert owed(config) == [PLANTED]
