"""Keys from a file, a keyring and a person: made once, for their owner, changed without loss."""

import os
import stat
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fieldvote.custody import Custody, CustodySettings, KeyPlace, change_key, locked_in
from fieldvote.errors import InputError, MissingExtraError, SettingsError, StoreError
from fieldvote.settings import parse_settings

KEYRING, PASSPHRASE = KeyPlace.KEYRING, KeyPlace.PASSPHRASE


def in_file(folder: Path, name: str = "") -> Custody:
    return Custody(settings=CustodySettings(file=name), folder=folder)


class Ring(ModuleType):
    """A keyring as its library presents it."""

    def __init__(self) -> None:
        super().__init__("keyring")
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, name: str) -> str | None:
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, password: str) -> None:
        self.kept[service, name] = password

    def delete_password(self, service: str, name: str) -> None:
        del self.kept[service, name]


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Ring:
    made = Ring()
    monkeypatch.setitem(sys.modules, "keyring", made)
    return made


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    custody = in_file(tmp_path)
    [made] = custody.secrets(make=True)
    assert len(made) == 32
    assert list(custody.secrets(make=False)) == list(custody.secrets(make=True)) == [made]
    assert stat.S_IMODE(custody.path.stat().st_mode) == 0o600


def test_a_key_that_should_be_there_is_never_made_anew(tmp_path: Path) -> None:
    """What the lost one locked would be lost without a word."""
    with pytest.raises(InputError, match="bring it back"):
        list(in_file(tmp_path).secrets(make=False))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    custody = in_file(tmp_path)
    list(custody.secrets(make=True))
    custody.path.chmod(mode)
    with pytest.raises(InputError, match="chmod 600"):
        list(custody.secrets(make=False))


def test_a_file_that_holds_no_key_and_a_folder_that_cannot_take_one_are_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "short").write_bytes(b"short")
    (tmp_path / "short").chmod(0o600)
    with pytest.raises(InputError, match="5 bytes where a key of 32"):
        list(in_file(tmp_path, str(tmp_path / "short")).secrets(make=False))
    with pytest.raises(StoreError, match="cannot be written"):
        list(in_file(tmp_path, str(tmp_path / "nowhere" / "key")).secrets(make=True))


def test_a_key_in_the_keyring_is_made_once_and_found_by_its_folder(
    tmp_path: Path, ring: Ring
) -> None:
    custody = locked_in(CustodySettings(key=KEYRING), tmp_path)
    with pytest.raises(InputError, match="the keyring holds no key"):
        list(custody.secrets(make=False))
    [made] = custody.secrets(make=True)
    assert list(custody.secrets(make=False)) == [made]
    assert ring.kept == {("fieldvote", str(tmp_path.resolve())): bytes(made).hex()}  # type: ignore[arg-type]  # bytes here
    assert not any(tmp_path.iterdir())
    named = locked_in(CustodySettings(key=KEYRING, name="phone"), tmp_path)
    assert list(named.secrets(make=True)) != [made]


def test_without_the_library_the_keyring_says_which_extra_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingExtraError, match="keyring"):
        list(locked_in(CustodySettings(key=KEYRING), tmp_path).secrets(make=True))


def test_a_passphrase_is_asked_for_and_a_new_one_twice(tmp_path: Path) -> None:
    asked: list[str] = []
    typed = iter(["one", "one", "one", "two", "two"])

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return next(typed)

    custody = locked_in(CustodySettings(key=PASSPHRASE), tmp_path, ask)
    assert list(custody.secrets(make=True)) == ["one"]
    assert list(custody.secrets(make=False)) == ["one"]
    assert [prompt.endswith("again: ") for prompt in asked] == [False, True, False]
    assert custody.next_key() == "two"
    assert asked[3].startswith("new passphrase")


def test_two_words_that_differ_lock_nothing(tmp_path: Path) -> None:
    typed = iter(["one", "two"])
    custody = locked_in(CustodySettings(key=PASSPHRASE), tmp_path, lambda _: next(typed))
    with pytest.raises(InputError, match="not the same"):
        list(custody.secrets(make=True))


def test_a_passphrase_comes_from_a_file_a_descriptor_or_the_file_a_variable_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = tmp_path / "words"
    words.write_bytes(b"open sesame \r\nsecond line\n")
    settings = CustodySettings(key=PASSPHRASE, file=str(words))
    assert list(locked_in(settings, tmp_path).secrets(make=True)) == ["open sesame "]
    reading, writing = os.pipe()
    os.write(writing, b"by a pipe\n")
    os.close(writing)
    piped = CustodySettings(key=PASSPHRASE, file=f"/dev/fd/{reading}")
    assert list(locked_in(piped, tmp_path).secrets(make=False)) == ["by a pipe"]
    os.close(reading)
    monkeypatch.setenv("FIELDVOTE_PASSPHRASE_FILE", str(words))
    named = CustodySettings(key=PASSPHRASE)
    assert list(locked_in(named, tmp_path).secrets(make=False)) == ["open sesame "]


@pytest.mark.parametrize("content", [b"", b"\nword", b"\xff\xfe\n"])
def test_a_file_without_a_passphrase_is_refused_without_its_content(
    tmp_path: Path, content: bytes
) -> None:
    words = tmp_path / "words"
    words.write_bytes(content)
    with pytest.raises(InputError) as told:
        list(
            locked_in(CustodySettings(key=PASSPHRASE, file=str(words)), tmp_path).secrets(
                make=False
            )
        )
    assert "word" not in str(told.value).replace(str(words), "")


def test_where_nobody_is_there_to_ask_one_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIELDVOTE_PASSPHRASE_FILE", raising=False)
    with open(os.devnull) as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        with pytest.raises(InputError, match="nobody is there to ask; name its file in"):
            list(locked_in(CustodySettings(key=PASSPHRASE), tmp_path).secrets(make=False))


class Wrapped:
    """Something locked, that may die before or after it is locked anew."""

    def __init__(self, by: bytes | str) -> None:
        self.by = by

    def rewrap(self, by: bytes | str) -> None:
        self.by = by

    def dies_before(self, by: bytes | str) -> None:
        raise ZeroDivisionError

    def dies_after(self, by: bytes | str) -> None:
        self.by = by
        raise ZeroDivisionError


@pytest.mark.parametrize("kind", [KeyPlace.FILE, KEYRING])
@pytest.mark.usefixtures("ring")
def test_a_crash_while_a_key_changes_leaves_one_that_opens_however_often(
    tmp_path: Path, kind: KeyPlace
) -> None:
    custody = locked_in(CustodySettings(key=kind), tmp_path)
    box = Wrapped(next(iter(custody.secrets(make=True))))
    first = box.by
    for death in (box.dies_before, box.dies_after, box.dies_before, box.dies_after):
        with pytest.raises(ZeroDivisionError):
            change_key(custody, custody, box.by, death)
        assert box.by in list(custody.secrets(make=False))
    assert "another now" in change_key(custody, custody, box.by, box.rewrap)
    assert list(custody.secrets(make=False)) == [box.by]
    assert box.by != first


@pytest.mark.usefixtures("ring")
def test_a_key_that_moves_is_made_where_it_goes_and_the_lines_say_so(tmp_path: Path) -> None:
    old = in_file(tmp_path)
    box = Wrapped(next(iter(old.secrets(make=True))))
    new = locked_in(CustodySettings(key=KEYRING, name="phone"), tmp_path)
    said = change_key(old, new, box.by, box.rewrap)
    assert said.startswith('[custody]\nkey = "keyring"\nname = "phone"\n')
    assert f"delete {old.path}" in said
    assert list(new.secrets(make=False)) == [box.by]


def test_a_passphrase_in_a_file_is_not_changed_to_itself(tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("open sesame\n")
    custody = locked_in(CustodySettings(key=PASSPHRASE, file=str(words)), tmp_path)
    with pytest.raises(InputError, match="name the file of the new passphrase"):
        change_key(custody, custody, "open sesame", lambda _: None)


@pytest.mark.parametrize(
    "table", [{"key": "keyring", "file": "x"}, {"name": "x"}, {"key": "none"}, {"passphrase": "x"}]
)
def test_settings_that_mean_nothing_are_refused(table: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        parse_settings(table, CustodySettings, "custody")
