"""Roles as time goes by: what is over, keys that change, and files with a bit turned."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fieldvote.bundle import DIRECTORY_FILE, DIRECTORY_METADATA, Bundle, unpack
from fieldvote.errors import FieldvoteError, SignatureError
from privacy.sealing.news import refreshed
from privacy.sealing.roles import (
    FileInfo,
    Keys,
    Pin,
    Role,
    Snapshot,
    Targets,
)
from privacy.sealing.signed import Held, sign
from privacy.sealing.signed_task import check_task
from privacy.sealing.trusted import Trusted, check_files
from tests.doubles.owner import DAY_S, OWNER, STRANGER, Owner
from tests.privacy.sealing.trusting import FILES, NOW_S, news, timestamp, trusting


@pytest.mark.parametrize("role", list(Role))
def test_metadata_that_is_over_is_refused(role: Role) -> None:
    old = Owner(1, now_s=NOW_S - 800 * DAY_S)
    steps: dict[Role, Callable[[], object]] = {
        Role.ROOT: lambda: refreshed(Trusted.begin(old.roots[0]), news(6), NOW_S),
        Role.TIMESTAMP: lambda: refreshed(trusting(5), news(6, owner=old), NOW_S),
        Role.SNAPSHOT: lambda: refreshed(trusting(5), half_old(), NOW_S),
        Role.TARGETS: lambda: refreshed(
            trusting(5), OWNER.fresh(old.targets(FILES, 6), 6), NOW_S
        ).with_targets(old.targets(FILES, 6), NOW_S),
        Role.DIRECTORY: lambda: trusting(5).delegated(
            Role.DIRECTORY, old.directory(b"", 3)[DIRECTORY_METADATA], NOW_S
        ),
        Role.ONLINE: lambda: trusting(5).delegated(Role.ONLINE, over_order(), NOW_S),
    }
    with pytest.raises(SignatureError, match=f"{role}: it is over since"):
        steps[role]()


def half_old() -> dict[str, bytes]:
    """Return a good timestamp that names a snapshot which is over."""
    pin = Pin(version=6, file=FileInfo.of(OWNER.targets(FILES, 6)))
    said = Snapshot(version=6, expires_s=NOW_S, pins=((Role.TARGETS, pin),))
    blob = sign(said, [OWNER.keys["snapshot"]])
    return {"snapshot.msgpack": blob, "timestamp.msgpack": timestamp(6, blob, pinned=6)}


def over_order() -> bytes:
    said = Targets(role=Role.ONLINE, version=2, expires_s=NOW_S, files=())
    return sign(said, [OWNER.keys["online"]])


@pytest.mark.parametrize("role", ["root", "snapshot", "targets"])
def test_a_device_stops_when_anything_it_goes_by_is_over(role: str) -> None:
    trusted = trusting(5)
    held: Held[Targets] | None = trusted.targets
    assert held is not None
    lasts = {"root": 700, "snapshot": 7, "targets": 300}[role]
    later = NOW_S + lasts * DAY_S
    if role != "snapshot":
        fresher = Owner(1, now_s=later - DAY_S)
        trusted = refreshed(trusted, fresher.fresh(held.blob, 5, newer=99), later - DAY_S)
    assert "is over since" in trusted.staleness(later)
    assert trusted.staleness(later - DAY_S) == "" or role == "root"


def test_a_thief_who_signed_far_ahead_is_undone_with_his_key() -> None:
    """A stolen timestamp key, and a version no honest one would ever reach."""
    trusted = refreshed(trusting(5), news(5, newer=2**50), NOW_S)
    with pytest.raises(SignatureError, match="is older than"):
        refreshed(trusted, news(6), NOW_S)
    fixed = Owner(1)
    fixed.keys |= {name: STRANGER.keys[name] for name in ("timestamp", "snapshot")}
    fixed.roots.append(fixed.sign_root(fixed.root_value(2)))
    after = trusted.with_root(fixed.roots[1])
    assert (after.timestamp, after.snapshot) == (None, None)
    assert refreshed(after, news(6, owner=fixed), NOW_S).staleness(NOW_S) == ""
    # and a root that keeps the keys forgets nothing
    assert trusted.with_root(OWNER.sign_root(OWNER.root_value(2))).timestamp is not None


def test_a_task_signed_by_a_key_that_was_withdrawn_stops_the_device() -> None:
    fixed = Owner(1)
    fixed.keys["targets"] = STRANGER.keys["targets"]
    fixed.roots.append(fixed.sign_root(fixed.root_value(2)))
    stopped = trusting(2**53).with_root(fixed.roots[1])
    assert "a key that the newest root no longer names" in stopped.staleness(NOW_S)
    # whatever the thief called his versions, the owner's next one is taken
    after = refreshed(stopped, news(6, owner=fixed), NOW_S)
    after = after.with_targets(fixed.targets(FILES, 6), NOW_S)
    assert after.staleness(NOW_S) == ""


def test_keys_that_overlap_are_both_good() -> None:
    both = Keys.of(OWNER.keys["timestamp"].public, STRANGER.keys["timestamp"].public)
    trusted = trusting(5).with_root(OWNER.sign_root(OWNER.root_value(2, timestamp=both)))
    assert trusted.staleness(NOW_S) == ""
    later = Owner(1)
    later.keys["timestamp"] = STRANGER.keys["timestamp"]
    for owner, newer in ((OWNER, 1), (later, 2), (OWNER, 3)):
        trusted = refreshed(trusted, news(5, owner=owner, newer=newer), NOW_S)


def test_a_directory_is_the_one_that_is_pinned_and_signed() -> None:
    signed, targets = OWNER.directory(b"devices", 2), OWNER.targets(FILES, 5)
    pins = OWNER.fresh(targets, 5, newer=1, directory=(2, signed[DIRECTORY_METADATA]))
    trusted = trusting(5)
    changed = {**signed, DIRECTORY_FILE: b"devicez"}
    other = OWNER.directory(b"others", 2)
    for wrong in (changed, other, {DIRECTORY_METADATA: signed[DIRECTORY_METADATA]}):
        with pytest.raises(SignatureError):
            refreshed(trusted, {**pins, **wrong}, NOW_S)
    with pytest.raises(SignatureError, match="no snapshot says"):
        refreshed(trusted, signed, NOW_S)
    after = refreshed(trusted, {**pins, **signed}, NOW_S)
    assert after.directory is not None


def test_files_are_compared_by_name_size_and_hash() -> None:
    targets = Targets(version=1, expires_s=9, files=(("a", FileInfo.of(b"1")),))
    check_files(targets, {"a": b"1"})
    for files in ({"a": b"2"}, {"a": b"11"}, {"b": b"1"}):
        with pytest.raises(SignatureError):
            check_files(targets, files)
    assert replace(targets, files=()).delegations == ()


def flips(count: int, seed: int) -> int:
    """Return how many of so many changed bits a device that sees all for the first time takes."""
    bundle, rng = OWNER.bundle(FILES, 5), np.random.default_rng(seed)
    roots = [*OWNER.roots, OWNER.sign_root(OWNER.root_value(2))]
    owner = Owner(1)
    owner.roots = roots
    first = OWNER.directory(b"devices", 2)
    pins = owner.fresh(OWNER.targets(FILES, 5), 5, directory=(2, first[DIRECTORY_METADATA]))
    told = Bundle.of({**pins, "2.root.msgpack": roots[1]}).content
    taken = 0
    for _ in range(count):
        parts = [bytearray(told), bytearray(bundle.content)]
        # the model is most of the bundle: half of the flips go to what is told before it
        part = parts[int(rng.integers(0, 2))]
        bit = int(rng.integers(0, 8 * len(part)))
        part[bit // 8] ^= 1 << bit % 8
        try:
            install(bytes(parts[0]), bytes(parts[1]))
        except FieldvoteError:
            continue
        taken += 1
    install(told, bundle.content)
    return taken


def install(told: bytes, content: bytes) -> None:
    """Do what a device does with news and a bundle."""
    trusted = refreshed(Trusted.begin(OWNER.roots[0]), unpack(told), NOW_S)
    files = unpack(content)
    blob = files.pop("targets.msgpack", b"")
    trusted = trusted.with_targets(blob, NOW_S)
    assert trusted.targets is not None
    check_task(trusted.targets.value, files, "the bundle")


def test_a_thousand_flipped_bits_of_a_signed_bundle_are_all_refused() -> None:
    assert flips(1_000, seed=1) == 0


@pytest.mark.nightly
def test_a_hundred_thousand_flipped_bits_are_all_refused() -> None:
    assert flips(100_000, seed=1) == 0
