"""What an owner signs and a device believes, for the tests of both."""

from privacy.sealing.news import refreshed
from privacy.sealing.roles import (
    FileInfo,
    Pin,
    Role,
    Snapshot,
    Timestamp,
)
from privacy.sealing.signed import sign
from privacy.sealing.trusted import Trusted
from tests.doubles.owner import DAY_S, OWNER, Owner
from tests.doubles.tasks import text_files

NOW_S = OWNER.now_s
FILES = text_files()


def news(version: int, *, owner: Owner = OWNER, newer: int = 0) -> dict[str, bytes]:
    """Return snapshot and timestamp for a version of the task."""
    return owner.fresh(owner.targets(FILES, version), version, newer=newer)


def trusting(version: int = 5, *, owner: Owner = OWNER) -> Trusted:
    """Return what a device believes that has this version installed."""
    trusted = refreshed(Trusted.begin(owner.roots[0]), news(version, owner=owner), NOW_S)
    return trusted.with_targets(owner.targets(FILES, version), NOW_S)


def timestamp(version: int, snapshot: bytes, *, pinned: int = 5, key: str = "timestamp") -> bytes:
    pin = Pin(version=pinned, file=FileInfo.of(snapshot))
    said = Timestamp(version=version, expires_s=NOW_S + DAY_S, snapshot=pin)
    return sign(said, [OWNER.keys[key]])


def snapshot(version: int, targets: bytes, *, pinned: int = 5) -> bytes:
    pin = Pin(version=pinned, file=FileInfo.of(targets))
    said = Snapshot(version=version, expires_s=NOW_S + DAY_S, pins=((Role.TARGETS, pin),))
    return sign(said, [OWNER.keys["snapshot"]])
