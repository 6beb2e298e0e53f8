"""The desk changes its keys: old envelopes open for a while, old answers count, nobody is lost."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator.labels import desk_keys
from coordinator.labels.cli import app
from coordinator.labels.desk import Desk, Seat
from coordinator.labels.desk_keys import (
    DeskKeys,
    make_keys,
    older_keys,
    pseudonym,
    read_keys,
    retire_keys,
    rotate_keys,
)
from coordinator.store.campaign import Store
from fieldvote.errors import FieldvoteError, InputError, SealError
from fieldvote.rng import keyed_entropy
from privacy.sealing.keys import key_id
from tests.coordinator.labels.test_desk import ONE, SETTINGS, TASK, Reader, item, meet, put, sealed
from tests.coordinator.labels.test_desk import store as store

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ENTROPY = keyed_entropy(1, "desk")


def rotated(folder: Path, *, days: int = 10, at: datetime = NOW) -> dict[str, str]:
    after, _ = rotate_keys(folder, ENTROPY, now=at, overlap=days * DAY)
    return after


def desk(keys: DeskKeys, reader: Reader) -> Desk:
    return Desk(keys, Seat(annotator=reader), settings=SETTINGS, task=TASK, classes=8)


def test_what_is_sealed_to_an_older_key_opens_until_its_overlap_is_over(
    store: Store, tmp_path: Path
) -> None:
    make_keys(tmp_path, ENTROPY)
    old = read_keys(tmp_path, now=NOW)
    rotated(tmp_path)
    new = read_keys(tmp_path, now=NOW)
    assert new.labeling.public != old.labeling.public
    meet(store)
    put(store, "a", sealed("a", recipient=old.labeling.public))
    put(store, "b", sealed("b", recipient=new.labeling.public))
    late = Reader()
    desk(read_keys(tmp_path, now=NOW + 10 * DAY), late).work(store)
    assert [seen.item for seen in late.seen] == [item("b")]
    in_time = Reader()
    desk(read_keys(tmp_path, now=NOW + 10 * DAY - timedelta(seconds=1)), in_time).work(store)
    assert [seen.item for seen in in_time.seen] == [item("a")]


def test_answers_are_signed_by_the_old_key_until_halfway_and_by_the_new_one_after(
    tmp_path: Path,
) -> None:
    """Devices that have not been told of the new key yet would refuse what it signs."""
    old = make_keys(tmp_path, ENTROPY)
    new = rotated(tmp_path)
    moments = {timedelta(0): old, 4 * DAY: old, 5 * DAY: new, 12 * DAY: new}
    for later, expected in moments.items():
        signing = read_keys(tmp_path, now=NOW + later).signing
        assert signing.public.hex() == expected["desk_key"], later


def test_two_changes_that_overlap_sign_with_the_key_every_device_knows(tmp_path: Path) -> None:
    first = make_keys(tmp_path, ENTROPY)
    second = rotated(tmp_path)
    third = rotated(tmp_path, at=NOW + DAY)
    moments = {2 * DAY: first, 5.5 * DAY: second, 7 * DAY: third}
    for later, expected in moments.items():
        assert read_keys(tmp_path, now=NOW + later).signing.public.hex() == expected["desk_key"]
    held = read_keys(tmp_path, now=NOW + 2 * DAY)
    assert {key.public.hex() for key in (held.labeling, *held.older)} == {
        keys["labeling_key"] for keys in (first, second, third)
    }


def test_an_annotator_who_answered_before_a_change_is_not_asked_again_after_it(
    store: Store, tmp_path: Path
) -> None:
    make_keys(tmp_path, ENTROPY)
    before = read_keys(tmp_path, now=NOW)
    meet(store)
    put(store, "a", sealed("a", recipient=before.labeling.public))
    two = SETTINGS.__class__(name="desk", labeling=SETTINGS.labeling.__class__(answers=2))
    seat = Seat(annotator=Reader(label=1), name="ann")
    Desk(before, seat, settings=two, task=TASK, classes=8).work(store)
    rotated(tmp_path)
    after = read_keys(tmp_path, now=NOW + 6 * DAY)
    assert after.signing.public != before.signing.public
    again = Desk(after, settings=two, task=TASK, classes=8)
    assert again.waiting(store, name="ann", expert=False) == []
    assert len(again.waiting(store, name="bob", expert=False)) == 1
    assert pseudonym("ann", before.signing) in after.pseudonyms("ann")
    assert store.queue()[0].device == ONE


@pytest.mark.parametrize("dies_at", ["link", "replace"])
def test_a_crash_while_keys_change_leaves_keys_that_open_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    made = make_keys(tmp_path, ENTROPY)

    def dies(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(desk_keys.os, dies_at, dies)
        with pytest.raises(ZeroDivisionError):
            rotated(tmp_path)
    held = read_keys(tmp_path, now=NOW)
    assert held.labeling.public.hex() == made["labeling_key"]
    after = rotated(tmp_path)
    held = read_keys(tmp_path, now=NOW)
    assert held.labeling.public.hex() == after["labeling_key"]
    assert made["labeling_key"] in {key.public.hex() for key in held.older}


def test_retired_keys_are_deleted_when_their_end_has_come_or_by_name(tmp_path: Path) -> None:
    make_keys(tmp_path, ENTROPY)
    rotated(tmp_path)
    old = {key.id for key in older_keys(tmp_path)}
    assert len(old) == 2
    assert retire_keys(tmp_path, now=NOW + 9 * DAY) == []
    with pytest.raises(InputError, match="no older key 'zz'"):
        retire_keys(tmp_path, now=NOW, named="zz")
    one = min(old)
    assert retire_keys(tmp_path, now=NOW, named=one) == [one]
    assert set(retire_keys(tmp_path, now=NOW + 10 * DAY)) == old - {one}
    assert list(older_keys(tmp_path)) == []
    assert read_keys(tmp_path, now=NOW).older == ()


def test_keys_behind_a_passphrase_are_not_on_the_disk(tmp_path: Path) -> None:
    make_keys(tmp_path, ENTROPY, passphrase="open sesame")
    held = read_keys(tmp_path, now=NOW, passphrase=lambda: "open sesame")
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (held.labeling.to_bytes(), held.signing.to_bytes()):
        assert secret not in content
    with pytest.raises(SealError, match="wrong passphrase"):
        read_keys(tmp_path, now=NOW, passphrase=lambda: "other")
    with pytest.raises(InputError, match="nobody can be asked"):
        read_keys(tmp_path, now=NOW)


def test_plain_keys_ask_for_no_passphrase_and_are_for_their_owner_alone(tmp_path: Path) -> None:
    made = make_keys(tmp_path / "desk", ENTROPY)
    rotated(tmp_path / "desk")

    def asked() -> str:
        raise AssertionError("a passphrase was asked for")

    read_keys(tmp_path / "desk", now=NOW, passphrase=asked)
    files = [path for path in (tmp_path / "desk").rglob("*") if path.is_file()]
    assert len(files) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert key_id(bytes.fromhex(made["labeling_key"])).hex() in {
        key.id for key in older_keys(tmp_path / "desk")
    }


def test_keys_that_are_not_there_cannot_be_changed_and_those_there_are_not_made_again(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="no keys of a desk"):
        rotated(tmp_path)
    make_keys(tmp_path, ENTROPY)
    with pytest.raises(InputError, match="--rotate"):
        make_keys(tmp_path, ENTROPY)
    with pytest.raises(InputError, match="overlap"):
        rotated(tmp_path, days=0)
    assert list(older_keys(tmp_path)) == []


def test_the_command_prints_the_lines_a_device_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*words: str) -> str:
        result = CliRunner().invoke(app, [*words, "--keys", str(tmp_path / "desk")])
        assert result.exception is None, result.output
        return result.output

    made = json.loads(run("keys", "--json"))
    lines = run("keys", "--rotate", "--overlap-days", "7")
    assert f'[[desk_keys]]\nkey = "{made["desk_key"]}"\nends = "' in lines
    assert f'[[labeling_keys]]\nkey = "{made["labeling_key"]}"' in lines
    shown = json.loads(run("keys", "--rotate", "--json"))
    assert set(shown) == {"labeling_key", "desk_key", "labeling_keys", "desk_keys"}
    assert "0 older keys deleted" in run("retire")
    assert "deleted" in run("retire", key_id(bytes.fromhex(made["desk_key"])).hex())
    words = tmp_path / "words"
    words.write_text("open sesame\n")
    monkeypatch.setenv("FIELDVOTE_PASSPHRASE_FILE", str(words))
    folder = tmp_path / "locked"
    CliRunner().invoke(app, ["keys", "--locked", "--keys", str(folder)], catch_exceptions=False)
    assert CliRunner().invoke(app, ["keys", "--rotate", "--keys", str(folder)]).exit_code == 0
    with pytest.raises(FieldvoteError):
        read_keys(folder)
    assert read_keys(folder, passphrase=lambda: "open sesame").older
