"""Devices are met by certificate: shown, signed for, and still good whenever somebody is chosen."""

import os
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.admission import Admission, EnrolmentSettings
from coordinator.inbox import Inbox
from coordinator.service import CoordinatorSettings
from coordinator.store.campaign import Store, open_store
from fieldvote.errors import InputError, SettingsError
from fieldvote.records import DeviceId, HelloReply, encode
from privacy.sealing.authority import to_pem
from privacy.sealing.directory import Directory, Entry
from privacy.sealing.possession import prove_hello
from tests.coordinator.replies import SHAPES
from tests.doubles.certificates import NOW, Phone, SmallFleet
from tests.doubles.registrars import Clock

FLEET, PHONE, THIEF = SmallFleet(), Phone(), Phone("thief")
ONE, TWO = DeviceId(1), DeviceId(2)
CHAIN = FLEET.chain(PHONE)


@dataclass
class Door:
    """A coordinator that asks for certificates."""

    folder: Path
    store: Store
    clock: Clock = field(default_factory=lambda: Clock(NOW))
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "fleet.pem").write_bytes(to_pem(FLEET.root))
        self.says()
        self.admission = self.opens()

    def opens(self, *, listed_only: bool = False) -> Admission:
        """Return the admission of a coordinator that has just started."""
        return Admission(
            EnrolmentSettings(
                fleet="fleet.pem", directory="directory", listed_only=listed_only
            ).beside(self.folder),
            self.store,
            campaign="c",
            now=self.clock,
            entropy=os.urandom,
            say=self.said.append,
        )

    def says(self, *phones: Phone, version: int = 1, revoked: bool = True) -> None:
        """Write the directory."""
        entries = tuple(
            Entry(
                id=f"phone{place}", signing=phone.keys.signing, sealing=phone.keys.sealing,
                node=phone.keys.node, serial="1f", revoked=revoked,
            )
            for place, phone in enumerate(phones, 1)
        )  # fmt: skip
        blob = Directory(version=version, entries=entries).to_bytes()
        (self.folder / "directory").write_bytes(blob)

    def hears(self, *replies: tuple[DeviceId, HelloReply]) -> int:
        """Return how many of these devices are met."""
        inbox = Inbox(self.store, SHAPES, admission=self.admission)
        with self.store.transaction():
            return inbox.hello({device: encode(reply) for device, reply in replies}, "digest")


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path, open_store(None, now=Clock(NOW)))


def hello(
    phone: Phone, challenge: bytes, *, chain: bytes = CHAIN, signer: Phone | None = None
) -> HelloReply:
    proof = prove_hello(
        (signer or phone).signing, challenge=challenge, campaign="c", task="digest",
        certificate=chain,
    )  # fmt: skip
    return HelloReply(
        task="digest", evaluates=False, items=3, signing_key=phone.signing.public,
        sealing_key=phone.sealing.public, certificate=chain, proof=proof,
    )  # fmt: skip


def test_a_device_whose_certificate_fits_is_met_and_holds(door: Door) -> None:
    assert door.hears((ONE, hello(PHONE, door.admission.challenge()))) == 1
    assert door.admission.holds(ONE)
    assert not door.admission.holds(TWO)


@pytest.mark.parametrize(
    "change",
    [
        {"certificate": b""},
        {"certificate": SmallFleet("theirs").chain(PHONE)},
        {"proof": b""},
        {"proof": bytes(64)},
        {"task": "another"},
        {"sealing_key": THIEF.sealing.public},
        {"signing_key": THIEF.signing.public},
        {"certificate": "é".encode("latin-1") * 50},
    ],
    ids=str,
)
def test_a_device_whose_certificate_does_not_fit_is_not_met(
    door: Door, change: dict[str, bytes]
) -> None:
    reply = hello(PHONE, door.admission.challenge())
    assert door.hears((ONE, replace(reply, **change))) == 0  # type: ignore[arg-type]  # one field each
    assert not door.admission.holds(ONE)
    assert door.store.devices() == {}
    assert len(door.said) == 1


def test_somebody_elses_hello_said_again_is_not_met(door: Door) -> None:
    heard = hello(PHONE, door.admission.challenge())
    door.admission.challenge()
    assert door.hears((TWO, heard)) == 0


def test_somebody_elses_words_under_ones_own_signature_are_not_met(door: Door) -> None:
    challenge = door.admission.challenge()
    assert door.hears((TWO, hello(PHONE, challenge, signer=THIEF))) == 0


def test_a_device_nobody_challenged_is_not_met(door: Door) -> None:
    assert door.hears((ONE, hello(PHONE, b""))) == 0


def test_a_certificate_counts_at_one_node_the_last_that_showed_it(door: Door) -> None:
    challenge = door.admission.challenge()
    assert door.hears((ONE, hello(PHONE, challenge)), (TWO, hello(PHONE, challenge))) == 2
    assert [door.admission.holds(device) for device in (ONE, TWO)] == [False, True]
    assert [door.opens().holds(device) for device in (ONE, TWO)] == [False, True]


@pytest.mark.parametrize(
    ("later", "met"),
    [(timedelta(minutes=-5), 1), (timedelta(minutes=-6), 0), (timedelta(days=31), 0)],
)
def test_dates_are_judged_by_our_clock_with_some_room(
    door: Door, later: timedelta, met: int
) -> None:
    door.clock.now += later
    assert door.hears((ONE, hello(PHONE, door.admission.challenge()))) == met


def test_who_was_met_holds_after_a_restart_until_the_certificate_is_over(door: Door) -> None:
    door.hears((ONE, hello(PHONE, door.admission.challenge())))
    door.admission = door.opens()
    assert door.admission.holds(ONE)
    door.clock.passes(days=31)
    assert not door.admission.holds(ONE)
    assert not door.opens().holds(ONE)
    chain = FLEET.chain(PHONE, now=door.clock())
    assert door.hears((ONE, hello(PHONE, door.admission.challenge(), chain=chain))) == 1
    assert door.admission.holds(ONE)


def test_a_revocation_takes_effect_without_a_restart(door: Door) -> None:
    door.hears((ONE, hello(PHONE, door.admission.challenge())))
    door.says(PHONE, version=2)
    assert not door.admission.holds(ONE)
    assert door.hears((ONE, hello(PHONE, door.admission.challenge()))) == 0
    assert any("revoked" in line for line in door.said)


def test_where_only_listed_devices_take_part_a_new_one_waits_for_the_directory(door: Door) -> None:
    door.admission = door.opens(listed_only=True)
    assert door.hears((ONE, hello(PHONE, door.admission.challenge()))) == 0
    assert any("not in the directory yet" in line for line in door.said)
    door.says(THIEF, version=2, revoked=False)  # another device under this name
    assert door.hears((ONE, hello(PHONE, door.admission.challenge()))) == 0
    door.says(PHONE, version=3, revoked=False)
    assert door.hears((ONE, hello(PHONE, door.admission.challenge()))) == 1
    assert door.admission.holds(ONE)
    door.says(version=4)
    assert not door.admission.holds(ONE)
    with pytest.raises(SettingsError, match="needs directory"):
        EnrolmentSettings(fleet="fleet.pem", listed_only=True)


def test_an_older_or_broken_directory_revokes_nobody_less(door: Door) -> None:
    door.hears((ONE, hello(PHONE, door.admission.challenge())))
    door.says(PHONE, version=5)
    assert not door.admission.holds(ONE)
    door.says(version=4)
    assert not door.admission.holds(ONE)
    (door.folder / "directory").write_bytes(b"half a fi")
    assert not door.admission.holds(ONE)
    (door.folder / "directory").unlink()
    assert not door.admission.holds(ONE)
    assert sum("left as it was" in line for line in door.said) == 3


def test_without_its_files_a_door_does_not_open(door: Door) -> None:
    for name in ("directory", "fleet.pem"):
        (door.folder / name).write_bytes(b"no")
        with pytest.raises(InputError):
            door.opens()
        (door.folder / name).unlink()
        with pytest.raises(InputError, match="cannot be read"):
            door.opens()


def test_the_settings_name_files_beside_them(tmp_path: Path) -> None:
    config = tmp_path / "coordinator.toml"
    config.write_text(
        'folder = "f"\ntask = "t"\n[campaign]\nname = "c"\n'
        '[enrolment]\nfleet = "online/fleet.pem"\n'
    )
    found = CoordinatorSettings.load(config).enrolment
    assert found == EnrolmentSettings(fleet=str(tmp_path / "online" / "fleet.pem"))
