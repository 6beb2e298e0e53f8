"""What a device believes outlives it: monotonic, whole, and its operator's to begin anew."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.pool import Pool
from edge.trust import Trust
from fieldvote.bundle import Bundle, unpack
from fieldvote.errors import RefusalError, SettingsError, SignatureError, WireError
from privacy.sealing.roles import Keys
from tests.doubles.owner import DAY_S, NOW_S, OWNER, STRANGER, Owner
from tests.doubles.phones import NEW, OLD, Phone, news_of, owned
from tests.doubles.tasks import write_task


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    made = Pool(tmp_path / "pool.sqlite")
    yield made
    made.close()


def trust_in(pool: Pool, owner: Owner = OWNER, *, days: float = 0.0) -> Trust:
    return Trust(pool, owner.roots[0], lambda: NOW_S + days * DAY_S)


def folder_of(tmp_path: Path, version: int, *, owner: Owner = OWNER) -> Path:
    folder = write_task(tmp_path / f"v{version}", OLD)
    owner.sign_task(folder, version)
    return folder


def test_what_is_believed_is_found_again(pool: Pool, tmp_path: Path) -> None:
    trust = trust_in(pool)
    assert trust.installed(folder_of(tmp_path, 3)).version == 3
    trust.refresh(news_of(owned(5)))
    again = trust_in(pool)
    assert (again.newest, again.staleness()) == (3, "")
    with pytest.raises(SignatureError, match="timestamp: version 4 is older than 5"):
        again.refresh(news_of(owned(4)))


def test_a_folder_signed_by_hand_may_be_as_new_or_newer_and_never_older(
    pool: Pool, tmp_path: Path
) -> None:
    trust = trust_in(pool)
    three, four = folder_of(tmp_path, 3), folder_of(tmp_path, 4)
    assert trust.installed(four).version == 4
    with pytest.raises(SignatureError, match="version 3 is older than 4"):
        trust_in(pool).installed(three)
    assert trust_in(pool).installed(four).version == 4
    with pytest.raises(SignatureError):
        trust_in(pool).installed(folder_of(tmp_path, 9, owner=STRANGER))


def test_a_folder_that_has_grown_old_serves_again_once_there_is_news(
    pool: Pool, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, 3)
    late = trust_in(pool, days=30)
    assert late.installed(folder).version == 3
    assert "no timestamp has come" in late.staleness()
    later = Owner(1, now_s=NOW_S + 30 * DAY_S)
    blob = (folder / "targets.msgpack").read_bytes()
    late.refresh(Bundle.of(later.fresh(blob, 3, newer=1)).content)
    assert late.staleness() == ""


def test_news_that_breaks_a_rule_leaves_everything_as_it_was(pool: Pool, tmp_path: Path) -> None:
    trust = trust_in(pool)
    trust.installed(folder_of(tmp_path, 3))
    before = pool.note("trust")
    good = unpack(news_of(owned(4)))
    # the root it could follow, and a timestamp it must not: nothing of both
    root = {"2.root.msgpack": OWNER.sign_root(OWNER.root_value(2))}
    foreign = unpack(news_of(STRANGER.bundle(NEW, 4), STRANGER))["timestamp.msgpack"]
    for wrong in (
        Bundle.of({**good, **root, "timestamp.msgpack": foreign}).content,
        Bundle.of({**good, "3.root.msgpack": root["2.root.msgpack"]}).content,
        news_of(STRANGER.bundle(NEW, 4), STRANGER),
    ):
        with pytest.raises(SignatureError):
            trust.refresh(wrong)
        assert pool.note("trust") == before
    with pytest.raises(WireError):
        trust.refresh(b"no bundle")
    trust.refresh(b"")
    assert pool.note("trust") == before


def test_a_directory_comes_with_news_and_stays(pool: Pool, tmp_path: Path) -> None:
    trust, folder = trust_in(pool), folder_of(tmp_path, 3)
    trust.installed(folder)
    assert trust.directory == b""
    signed = OWNER.directory(b"who is who", 1)
    pins = OWNER.fresh(
        (folder / "targets.msgpack").read_bytes(), 3, newer=1,
        directory=(1, signed["directory.msgpack"]),
    )  # fmt: skip
    with pytest.raises(SignatureError, match="file 'directory' is not the one"):
        trust.refresh(Bundle.of({**pins, **signed, "directory": b"who is whp"}).content)
    trust.refresh(Bundle.of({**pins, **signed}).content)
    assert trust_in(pool).directory == b"who is who"
    # the next timestamp need not bring it again
    later = OWNER.fresh(
        (folder / "targets.msgpack").read_bytes(), 3, newer=2,
        directory=(1, signed["directory.msgpack"]),
    )  # fmt: skip
    trust.refresh(Bundle.of(later).content)
    assert trust_in(pool).directory == b"who is who"


def test_another_root_file_begins_anew(pool: Pool, tmp_path: Path) -> None:
    trust_in(pool).installed(folder_of(tmp_path, 7))
    other = trust_in(pool, STRANGER)
    assert other.newest is None
    assert other.installed(folder_of(tmp_path, 2, owner=STRANGER)).version == 2
    with pytest.raises(SignatureError):
        other.refresh(news_of(owned(9)))


def test_a_root_file_that_is_none_is_said(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "root.msgpack"
    with pytest.raises(SettingsError, match=r"root: .*root\.msgpack: cannot be read"):
        Trust.load(pool, path, lambda: NOW_S)
    for content in (b"", b"\0" * 99, OWNER.roots[0][:-1], owned(3).content):
        path.write_bytes(content)
        with pytest.raises(SignatureError):
            Trust.load(pool, path, lambda: NOW_S)


def test_a_crash_between_folder_and_note_leaves_the_new_task_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        """Stands for a process that is gone."""

    def killed(*_: object) -> None:
        raise KilledError

    phone = Phone(tmp_path, tries=False)
    with monkeypatch.context() as patched:
        patched.setattr(Trust, "took", killed)
        with pytest.raises(KilledError):
            phone.finish(owned(4))
    phone.restart()
    assert phone.trust is not None
    assert phone.trust.newest == 4
    assert phone.digest() != ""
    assert phone.send(owned(4)).installed
    phone.pool.close()


def test_a_task_signed_anew_after_a_lost_key_arrives_without_its_model(tmp_path: Path) -> None:
    """The device stands still from the news on, and goes on with 1 kB."""
    phone, fixed = Phone(tmp_path, tries=False), Owner(1)
    fixed.keys["targets"] = STRANGER.keys["targets"]
    fixed.roots.append(fixed.sign_root(fixed.root_value(2)))
    again = fixed.bundle(OLD, 4)
    assert phone.trust is not None
    phone.trust.refresh(fixed.news(again, 4))
    assert "no longer names" in phone.trust.staleness()
    # the thief's next task is no task any more
    assert not phone.send(owned(5), 0, 10**6).installed
    thin = Bundle.of({"targets.msgpack": unpack(again.content)["targets.msgpack"]})
    assert thin.size_bytes < 1000
    phone.restart()
    assert phone.finish(thin).installed
    assert phone.trust.staleness() == ""
    phone.pool.close()


def test_without_good_news_nothing_is_installed(tmp_path: Path) -> None:
    phone = Phone(tmp_path, tries=False)
    phone.hear(news_of(owned(4)))
    phone.passed_s = 8.0 * DAY_S
    for have in (0, 100):
        reply = phone.send(owned(4), 0, have)
        assert "the timestamp is over since" in reply.refusal
    assert not (tmp_path / "state" / "arriving.part").exists()
    phone.passed_s = 0.0
    assert phone.finish(owned(4)).installed
    phone.pool.close()


def test_more_keys_than_two_do_not_help_whoever_has_one(pool: Pool) -> None:
    mine = Keys.of(*(STRANGER.keys[f"root-{n}"].public for n in (1, 2, 3)), threshold=1)
    alone = STRANGER.sign_root(STRANGER.root_value(2, root=mine), ["root-1"])
    with pytest.raises(RefusalError, match="signed by 0 of those who may, 2 are needed"):
        trust_in(pool).refresh(Bundle.of({"2.root.msgpack": alone}).content)


def test_a_task_that_is_only_signed_anew_does_not_push_out_the_one_before(tmp_path: Path) -> None:
    phone = Phone(tmp_path, tries=False)
    assert phone.finish(owned(4)).installed
    phone.restart()
    assert phone.finish(owned(5)).installed  # the same files
    assert not phone.arrivals.installed  # nothing to open anew
    assert phone.trust is not None
    assert phone.trust.newest == phone.trust.version_in(phone.task) == 5
    assert phone.trust.version_in(tmp_path / "task.previous") == 3
    phone.restart()
    assert phone.send(owned(5)).installed
    phone.pool.close()
