"""The attack table of The Update Framework: each attack is refused, and changes nothing."""

from collections.abc import Callable

import pytest

from fieldvote.bundle import DIRECTORY_METADATA
from fieldvote.errors import SignatureError
from privacy.sealing.news import from_notes, refreshed, to_notes
from privacy.sealing.roles import (
    WEIGHTS,
    FileInfo,
    Keys,
    Role,
    Targets,
)
from privacy.sealing.signed import MAX_SMALL_BYTES, sign
from privacy.sealing.signed_task import check_task
from privacy.sealing.trusted import Trusted
from tests.doubles.owner import DAY_S, OWNER, STRANGER, Owner
from tests.doubles.tasks import text_files
from tests.privacy.sealing.trusting import FILES, NOW_S, news, snapshot, timestamp, trusting


def test_what_the_owner_signed_is_believed_step_by_step() -> None:
    trusted = trusting(5)
    assert trusted.targets is not None
    assert trusted.targets.value.version == 5
    assert trusted.staleness(NOW_S) == ""
    assert check_task(trusted.targets.value, FILES, "here").name == "offers"
    after = refreshed(trusted, news(6), NOW_S).with_targets(OWNER.targets(FILES, 6), NOW_S)
    assert after.targets is not None
    assert after.targets.value.version == 6
    assert from_notes(to_notes(after)) == after
    # the same once more is no news, and no harm
    assert refreshed(after, news(6), NOW_S) == after


def test_arbitrary_install_is_refused() -> None:
    trusted, foreign = trusting(5), STRANGER.targets(FILES, 6)
    with pytest.raises(SignatureError, match="signed by 0 of those who may"):
        refreshed(trusted, news(6, owner=STRANGER), NOW_S)
    with pytest.raises(SignatureError, match="pinned"):
        trusted.with_targets(foreign, NOW_S)
    with pytest.raises(SignatureError, match="signed by 0"):
        trusted.with_local_targets(foreign)
    # a thief of both online keys can pin it, and it is still signed by nobody who may
    pinned = refreshed(trusted, OWNER.fresh(foreign, 6), NOW_S)
    with pytest.raises(SignatureError, match="signed by 0"):
        pinned.with_targets(foreign, NOW_S)


@pytest.mark.parametrize("version", [1, 3, 4, 7])
def test_a_root_that_does_not_follow_the_last_is_refused(version: int) -> None:
    trusted = Trusted.begin(OWNER.roots[0])
    for number in range(2, 6):
        trusted = trusted.with_root(OWNER.sign_root(OWNER.root_value(number)))
    with pytest.raises(SignatureError, match=f"version {version} does not follow 5"):
        trusted.with_root(OWNER.sign_root(OWNER.root_value(version)))


def test_a_chain_of_roots_with_a_gap_is_refused() -> None:
    roots = {f"{n}.root.msgpack": OWNER.sign_root(OWNER.root_value(n)) for n in (1, 2, 4)}
    with pytest.raises(SignatureError, match="version 4 does not follow 2"):
        refreshed(Trusted.begin(OWNER.roots[0]), roots, NOW_S)
    whole = {**roots, "3.root.msgpack": OWNER.sign_root(OWNER.root_value(3))}
    after = refreshed(Trusted.begin(OWNER.roots[0]), whole, NOW_S)
    assert after.root.value.version == 4


def test_rollback_of_targets_is_refused() -> None:
    trusted, old = trusting(5), OWNER.targets(FILES, 4)
    with pytest.raises(SignatureError, match="targets: version 4 is older than 5"):
        trusted.with_local_targets(old)
    # also where snapshot and timestamp are newer than all that was seen
    with pytest.raises(SignatureError, match="targets: version 4 is older than 5"):
        refreshed(trusted, OWNER.fresh(old, 4, newer=10), NOW_S)


def test_rollback_of_the_snapshot_is_refused() -> None:
    trusted, blob = trusting(5), snapshot(4, OWNER.targets(FILES, 5))
    said = {"snapshot.msgpack": blob, "timestamp.msgpack": timestamp(9, blob, pinned=4)}
    with pytest.raises(SignatureError, match="snapshot: version 4 is older than 5"):
        refreshed(trusted, said, NOW_S)


def test_rollback_of_the_timestamp_is_refused() -> None:
    trusted = refreshed(trusting(5), news(5, newer=3), NOW_S)
    with pytest.raises(SignatureError, match="timestamp: version 7 is older than 8"):
        refreshed(trusted, news(5, newer=2), NOW_S)


def test_two_meanings_of_one_version_are_refused() -> None:
    trusted = trusting(5)
    other = OWNER.fresh(OWNER.targets(FILES, 5), 5, lasts_days=6)
    with pytest.raises(SignatureError, match="timestamp: version 5 was something else before"):
        refreshed(trusted, other, NOW_S)
    with pytest.raises(SignatureError, match="targets: version 5 was something else before"):
        trusted.with_local_targets(OWNER.targets(FILES, 5, lasts_days=6))


def test_indefinite_freeze_is_noticed_and_ends_in_doing_nothing() -> None:
    trusted = trusting(5)
    assert trusted.staleness(NOW_S + 7 * DAY_S - 1) == ""
    assert "the timestamp is over since" in trusted.staleness(NOW_S + 7 * DAY_S)
    # what the one who freezes has to offer is over as well, or was there before
    with pytest.raises(SignatureError, match="timestamp: it is over since"):
        refreshed(trusted, news(5), NOW_S + 7 * DAY_S)


def test_without_any_timestamp_nothing_is_believed_to_be_the_newest() -> None:
    trusted = Trusted.begin(OWNER.roots[0]).with_local_targets(OWNER.targets(FILES, 5))
    assert "no timestamp has come" in trusted.staleness(NOW_S)
    with pytest.raises(SignatureError, match="no snapshot says"):
        trusted.with_targets(OWNER.targets(FILES, 5), NOW_S)
    with pytest.raises(SignatureError, match="no timestamp says"):
        trusted.with_snapshot(news(5)["snapshot.msgpack"], NOW_S)


def test_mix_and_match_is_refused() -> None:
    trusted, five, six = trusting(4), news(5), news(6)
    for name in five:
        with pytest.raises(SignatureError, match="not the"):
            refreshed(trusted, {**six, name: five[name]}, NOW_S)
    pinned = refreshed(trusted, six, NOW_S)
    with pytest.raises(SignatureError, match="pinned"):
        pinned.with_targets(OWNER.targets(FILES, 5), NOW_S)
    # the bytes of one file of version 5 among those of version 6
    other = text_files(candidates=7)
    held = trusting(6).targets
    assert held is not None
    with pytest.raises(SignatureError, match=r"policy\.toml"):
        check_task(held.value, {**FILES, "policy.toml": other["policy.toml"]}, "here")


def test_a_role_that_disappears_from_the_snapshot_is_refused() -> None:
    signed = OWNER.directory(b"devices", 2)
    targets = OWNER.targets(FILES, 5)
    with_it = OWNER.fresh(targets, 5, newer=1, directory=(2, signed[DIRECTORY_METADATA]))
    trusted = refreshed(trusting(5), {**with_it, **signed}, NOW_S)
    assert trusted.directory is not None
    with pytest.raises(SignatureError, match="directory is no longer in it"):
        refreshed(trusted, OWNER.fresh(targets, 5, newer=2), NOW_S)
    older = OWNER.directory(b"before", 1)
    back = OWNER.fresh(targets, 5, newer=2, directory=(1, older[DIRECTORY_METADATA]))
    with pytest.raises(SignatureError, match="directory: version 1 is older than 2"):
        refreshed(trusted, {**back, **older}, NOW_S)


@pytest.mark.parametrize("name", ["timestamp.msgpack", "snapshot.msgpack", "2.root.msgpack"])
def test_endless_data_is_refused_by_its_length(name: str) -> None:
    endless = bytes(MAX_SMALL_BYTES + 1)
    with pytest.raises(SignatureError, match=f"{MAX_SMALL_BYTES + 1} bytes"):
        refreshed(trusting(5), {**news(6), name: endless}, NOW_S)
    pinned = refreshed(trusting(5), news(6), NOW_S)
    with pytest.raises(SignatureError, match="pinned"):
        pinned.with_targets(OWNER.targets(FILES, 6) + bytes(10**6), NOW_S)


def test_extraneous_and_missing_files_are_refused() -> None:
    targets = trusting(5).targets
    assert targets is not None
    for files in ({**FILES, "extra": b""}, {n: FILES[n] for n in list(FILES)[1:]}, {}):
        with pytest.raises(SignatureError, match="missing"):
            check_task(targets.value, files, "here")
    with pytest.raises(SignatureError, match="is no news of a role"):
        refreshed(trusting(5), {**news(6), "readme": b""}, NOW_S)


def test_nothing_is_parsed_before_its_digest_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = trusting(5).targets
    assert targets is not None

    def parsed(*_: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr("fieldvote.task.Task.parse", parsed)
    with pytest.raises(SignatureError):
        check_task(targets.value, {**FILES, "task.toml": b"["}, "here")


WRONG_ROLES = [(role, other) for role in ("timestamp", "snapshot", "targets", "online", "directory")
               for other in ("timestamp", "snapshot", "targets", "online", "directory", "root-1")
               if role != other]  # fmt: skip


@pytest.mark.parametrize(("role", "other"), WRONG_ROLES)
def test_a_key_of_another_role_signs_nothing(role: str, other: str) -> None:
    thief = Owner(1)
    thief.keys[role] = OWNER.keys[other]
    trusted = trusting(5)
    step: dict[str, Callable[[], object]] = {
        "timestamp": lambda: refreshed(trusted, news(6, owner=thief), NOW_S),
        "snapshot": lambda: refreshed(trusted, news(6, owner=thief), NOW_S),
        "targets": lambda: trusted.with_local_targets(thief.targets(FILES, 6)),
        "directory": lambda: trusted.delegated(
            Role.DIRECTORY, thief.directory(b"", 9)[DIRECTORY_METADATA], NOW_S
        ),
        "online": lambda: trusted.delegated(Role.ONLINE, ordered(thief), NOW_S),
    }
    with pytest.raises(SignatureError, match=f"{role}: signed by 0"):
        step[role]()


def ordered(owner: Owner, path: str = WEIGHTS + "f", role: Role = Role.ONLINE) -> bytes:
    """Return something the online key signs."""
    said = Targets(
        role=role, version=2, expires_s=NOW_S + DAY_S, files=((path, FileInfo.of(b"head")),)
    )
    return sign(said, [owner.keys["online"]])


def test_one_stolen_root_key_signs_no_root_and_neither_does_one_twice() -> None:
    trusted = Trusted.begin(OWNER.roots[0])
    new = OWNER.root_value(2, targets=Keys.of(STRANGER.keys["targets"].public))
    for names in (["root-1"], ["root-1", "root-1"], ["root-1", "targets"]):
        with pytest.raises(SignatureError, match="signed by 1 of those who may, 2 are needed"):
            trusted.with_root(OWNER.sign_root(new, names))
    assert trusted.with_root(OWNER.sign_root(new, ["root-1", "root-3"])).root.value == new


def test_a_new_root_needs_the_old_holders_and_the_new_ones() -> None:
    mine = {name: STRANGER.keys[name] for name in ("root-1", "root-2", "root-3")}
    taken = Keys.of(*(key.public for key in mine.values()), threshold=2)
    new = OWNER.root_value(2, root=taken)
    trusted, old = Trusted.begin(OWNER.roots[0]), [OWNER.keys["root-1"], OWNER.keys["root-2"]]
    with pytest.raises(SignatureError, match="signed by 0"):
        trusted.with_root(sign(new, list(mine.values())))
    with pytest.raises(SignatureError, match="signed by 0"):
        trusted.with_root(sign(new, old))
    assert trusted.with_root(sign(new, [*old, *list(mine.values())[:2]])).root.value == new


def test_whoever_signs_beside_those_who_may_spoils_it() -> None:
    said = OWNER.root_value(2)
    keys = [OWNER.keys["root-1"], OWNER.keys["root-2"], STRANGER.keys["root-1"]]
    with pytest.raises(SignatureError, match="does not hold the role, too"):
        Trusted.begin(OWNER.roots[0]).with_root(sign(said, keys))


def test_online_and_directory_speak_of_what_they_were_given_and_nothing_else() -> None:
    trusted = trusting(5)
    assert trusted.delegated(Role.ONLINE, ordered(OWNER), NOW_S).value.version == 2
    for path in ("policy.toml", "functions.toml", "directory", "weight", "vocabulary/en"):
        with pytest.raises(SignatureError, match="which was not given to it"):
            trusted.delegated(Role.ONLINE, ordered(OWNER, path), NOW_S)
    elsewhere = Targets(
        role=Role.DIRECTORY,
        version=9,
        expires_s=NOW_S + DAY_S,
        files=(("policy.toml", FileInfo.of(b"")),),
    )
    blob = sign(elsewhere, [OWNER.keys["directory"]])
    with pytest.raises(SignatureError, match="which was not given to it"):
        trusted.delegated(Role.DIRECTORY, blob, NOW_S)


def test_the_online_role_signs_no_policy() -> None:
    """Neither as a task of its own, nor as a task by the owner's name."""
    thief = Owner(1)
    thief.keys["targets"] = OWNER.keys["online"]
    with pytest.raises(SignatureError, match="targets: signed by 0"):
        trusting(5).with_local_targets(thief.targets(text_files(candidates=9999), 6))
    with pytest.raises(SignatureError, match="not given to it"):
        trusting(5).delegated(Role.ONLINE, ordered(OWNER, "policy.toml"), NOW_S)


def test_a_signature_for_another_role_is_none_here() -> None:
    """Even by a key that holds both roles."""
    both = Owner(1)
    both.keys["directory"] = both.keys["online"]
    said = ordered(both)
    trusted = trusting(5, owner=both)
    assert trusted.delegated(Role.ONLINE, said, NOW_S).value.version == 2
    with pytest.raises(SignatureError, match="a signature is not of this file"):
        trusted.delegated(Role.DIRECTORY, said, NOW_S)
