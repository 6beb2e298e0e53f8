"""Installing a task: where keys are trusted, one changed byte is one too many."""

from pathlib import Path

import pytest

import edge.install as install
from edge.install import MANIFEST_FILE, install_task, redaction_of, sign_task
from fieldvote.errors import FieldvoteError, SignatureError, TaskError
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
