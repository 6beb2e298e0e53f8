"""Installing a task: where keys are trusted, one changed byte is one too many."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import edge.install as install
from edge.cli import app
from edge.install import (
    install_task,
    installed_in,
    redaction_of,
    replace_task,
    settle,
    sign_task,
)
from fieldvote.bundle import MANIFEST_FILE
from fieldvote.errors import FieldvoteError, InputError, SignatureError, StoreError, TaskError
from fieldvote.rng import keyed_entropy
from fieldvote.task import Task
from privacy.pii import Vocabulary, second_scan
from privacy.sealing import SigningKey
from tests.doubles.tasks import tabular_files, task_of, text_files, write_task

OWNER = SigningKey.generate(keyed_entropy(1, "owner"))
STRANGER = SigningKey.generate(keyed_entropy(2, "stranger"))
FILES = text_files()


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    folder = write_task(tmp_path / "task", FILES)
    sign_task(folder, version=1, signer=OWNER)
    return folder


def test_what_the_owner_signed_is_installed_as_it_is(signed: Path) -> None:
    task = install_task(signed, trusted=[STRANGER.public, OWNER.public])
    assert task == Task.load(signed)
    assert task.digest == task_of(FILES).digest


@pytest.mark.parametrize("name", sorted(FILES))
def test_one_byte_changed_in_any_file_is_refused(signed: Path, name: str) -> None:
    content = (signed / name).read_bytes()
    (signed / name).write_bytes(content + b"\n")
    with pytest.raises(SignatureError):
        install_task(signed, trusted=[OWNER.public])


def test_a_file_that_is_missing_is_refused(signed: Path) -> None:
    (signed / "functions.toml").unlink()
    with pytest.raises(TaskError, match=r"functions\.toml"):
        install_task(signed, trusted=[OWNER.public])


def test_only_a_trusted_key_counts(signed: Path) -> None:
    with pytest.raises(SignatureError):
        install_task(signed, trusted=[STRANGER.public])
    sign_task(signed, version=2, signer=STRANGER)
    with pytest.raises(SignatureError):
        install_task(signed, trusted=[OWNER.public])


def test_an_unsigned_folder_is_trusted_only_where_no_key_is(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task", FILES)
    assert install_task(folder, trusted=[]).digest == task_of(FILES).digest
    with pytest.raises(SignatureError, match=r"no manifest\.sig, and only signed tasks"):
        install_task(folder, trusted=[OWNER.public])


@pytest.mark.parametrize("content", [b"", b"\x00" * 200, b"manifest"])
def test_a_manifest_that_is_none_is_refused(signed: Path, content: bytes) -> None:
    (signed / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(FieldvoteError):
        install_task(signed, trusted=[OWNER.public])


def test_other_words_allowed_out_are_another_promise(
    signed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other:
        digest = "0" * 64

        @staticmethod
        def load(_: str) -> "Other":
            return Other()

    monkeypatch.setattr(install, "Vocabulary", Other)
    with pytest.raises(SignatureError):
        install_task(signed, trusted=[OWNER.public])


def test_a_manifest_of_another_task_is_refused(signed: Path, tmp_path: Path) -> None:
    other = write_task(tmp_path / "other", tabular_files())
    (other / MANIFEST_FILE).write_bytes((signed / MANIFEST_FILE).read_bytes())
    with pytest.raises(SignatureError):
        install_task(other, trusted=[OWNER.public])


def test_the_policys_redaction_passes_its_own_scan() -> None:
    redactor, vocabulary = redaction_of(task_of(FILES))
    assert vocabulary.digest == Vocabulary.load("en").digest
    masked = redactor.redact("Hi Zuzanna, call 07700 900123").text
    assert "Zuzanna" not in masked
    assert second_scan(masked, vocabulary) == ()


def test_a_replaced_task_is_the_new_one_and_the_last_one_stays_beside_it(signed: Path) -> None:
    for number in range(3):
        replace_task(signed, text_files(candidates=number + 1))
    assert Task.load(signed).digest == task_of(text_files(candidates=3)).digest
    previous = signed.with_name("task.previous")
    assert Task.load(previous).digest == task_of(text_files(candidates=2)).digest
    assert sorted(place.name for place in signed.parent.iterdir()) == ["task", "task.previous"]
    assert not (signed / MANIFEST_FILE).exists()  # nothing of the old one is mixed in


def test_a_replacement_that_was_interrupted_is_finished_or_cleared_away(tmp_path: Path) -> None:
    task, arriving = tmp_path / "task", tmp_path / "task.arriving"
    settle(task)
    write_task(arriving, {"task.toml": b"half of"})
    settle(task)  # without a previous one it is not ours to finish
    assert not task.exists()
    write_task(task, FILES)
    settle(task)
    assert not arriving.exists()
    task.rename(tmp_path / "task.previous")
    write_task(arriving, tabular_files())
    settle(task)
    assert Task.load(task).digest == task_of(tabular_files()).digest


def test_a_second_rename_that_fails_is_made_up_for(
    signed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.rename, []

    def second_fails(*paths: Path) -> None:
        calls.append(paths)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(*paths)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", second_fails)
        with pytest.raises(StoreError, match="No space left"):
            replace_task(signed, tabular_files())
    # it was whole beside the old one already, so it was put in its place after all
    assert Task.load(signed).digest == task_of(tabular_files()).digest


def test_the_version_is_known_where_a_signature_is_trusted(signed: Path) -> None:
    assert installed_in(signed, trusted=[OWNER.public]).version == 1
    assert installed_in(signed, trusted=[]).version is None


def test_a_folder_is_signed_as_the_guide_shows(
    tmp_path: Path,
) -> None:
    guide = Path(__file__).parents[2] / "docs" / "guide" / "operations.md"
    shown = re.findall(r"^fieldvote (edge sign my-task [^#\n]*)", guide.read_text(), flags=re.M)
    write_task(tmp_path / "my-task", FILES)
    # the second time with the key that is there
    said = [
        subprocess.run(
            [Path(sys.executable).parent / "fieldvote", *words.split()],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        ).stdout.splitlines()[1]
        for words in shown
    ]  # fmt: skip
    assert len(said) == 2
    assert said[0] == said[1]
    assert (tmp_path / "owner.key").stat().st_mode & 0o777 == 0o600
    public = bytes.fromhex(said[0].split('["')[1].split('"]')[0])
    assert installed_in(tmp_path / "my-task", trusted=[public]).version == 2


def test_an_owner_signs_by_command_with_a_key_that_is_made_once(tmp_path: Path) -> None:
    folder, key = write_task(tmp_path / "task", text_files()), tmp_path / "owner.key"
    words = ["sign", str(folder), "--version", "1", "--key", str(key)]
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, InputError)
    assert not key.exists()
    assert not (folder / "manifest.sig").exists()
    said = CliRunner().invoke(app, [*words, "--new-key"]).stdout
    public = bytes.fromhex(said.split('["')[1].split('"]')[0])
    assert key.stat().st_mode & 0o777 == 0o600
    assert installed_in(folder, trusted=[public]).version == 1
    again = CliRunner().invoke(app, [*words, "--new-key"])
    assert isinstance(again.exception, InputError)
    words[3] = "2"
    assert CliRunner().invoke(app, words).exit_code == 0
    assert installed_in(folder, trusted=[public]).version == 2
    (folder / "task.toml").unlink()
    assert isinstance(CliRunner().invoke(app, words).exception, TaskError)
    assert public not in key.read_bytes()
