"""The coordinator's own keys: what is the newest, told in time, and orders devices obey."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.keys.online import KeySettings, OnlineKeys, online_keys
from coordinator.rounds.scheduler import Scheduler
from edge.serving_head import served_by
from edge.trust import Trust
from fieldvote.bundle import unpack
from fieldvote.errors import InputError, RefusalError, SettingsError, SignatureError
from fieldvote.heads import ServeRequest
from fieldvote.records import DeviceId, encode
from privacy.sealing.roles import Role, Timestamp
from privacy.sealing.signed import reopen
from tests.coordinator.releases.signed import survey_of
from tests.coordinator.rounds.campaign import NOON, SMALL_FILES, TASK, Campaign
from tests.doubles.owner import Owner
from tests.doubles.tasks import write_task

OWNER = Owner(1, now_s=int(NOON.timestamp()))
TARGETS = OWNER.targets(SMALL_FILES, 1)
ONE, TWO, THREE = (DeviceId(n) for n in (1, 2, 3))


class World:
    """A campaign whose devices believe an owner, and whose coordinator holds three keys."""

    def __init__(self, folder: Path) -> None:
        OWNER.put_online(folder)
        self.folder, self.campaign = folder, Campaign()
        self.task = write_task(folder / "task", SMALL_FILES)
        OWNER.sign_task(self.task, 1)
        self.keys = self.made()
        self.trusts = {}
        for device, agent in self.campaign.fleet.agents.items():
            trust = Trust(self.campaign.fleet.pools[device], OWNER.roots[0], self.now_s)
            trust.installed(self.task)
            agent._parts = replace(agent._parts, trust=trust)
            self.trusts[device] = trust
        parts = replace(self.campaign.parts, keys=self.keys)
        self.scheduler = Scheduler(parts)

    def now_s(self) -> float:
        return self.campaign.clock.now().timestamp()

    def made(self, *, timestamp_days: float = 7.0, targets: bytes = TARGETS) -> OnlineKeys:
        settings = KeySettings(folder="online", timestamp_days=timestamp_days).beside(self.folder)
        return OnlineKeys(
            settings, self.campaign.store, targets=targets, family=TASK.family, now_s=self.now_s
        )

    def said(self) -> list[str]:
        """What is said where the keys are taken up."""
        lines: list[str] = []
        settings = KeySettings(folder="online").beside(self.folder)
        online_keys(
            settings,
            self.campaign.store,
            targets=TARGETS,
            family=TASK.family,
            now_s=self.now_s,
            say=lines.append,
        )
        return lines

    def pass_days(self, days: float) -> None:
        self.campaign.clock.time += timedelta(days=days)

    def timestamp(self) -> Timestamp:
        blob = unpack(self.keys.news())["timestamp.msgpack"]
        return reopen(blob, Timestamp, Role.TIMESTAMP).value


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.campaign.close()


def test_rounds_go_on_for_months_and_devices_stay_fresh(world: World) -> None:
    for number in range(1, 4):
        assert world.scheduler.run_round().number == number
        # longer than a timestamp holds: the round after it begins with hello
        world.pass_days(30)
        assert all("over since" in trust.staleness() for trust in world.trusts.values())
    world.scheduler.run_round()
    assert all(trust.staleness() == "" for trust in world.trusts.values())
    heads = {served_by(pool).serial for pool in world.campaign.fleet.pools.values()}
    assert heads != {0}


def test_news_is_told_while_a_round_waits_for_people(world: World) -> None:
    world.campaign.people = ()
    world.scheduler.run_round()
    before = world.timestamp().version
    world.pass_days(4)  # past the half of its life, and not yet over
    assert all(trust.staleness() == "" for trust in world.trusts.values())
    world.scheduler.turn()
    assert world.timestamp().version > before
    world.pass_days(4)
    assert all(trust.staleness() == "" for trust in world.trusts.values())


def test_without_news_a_device_is_in_no_round(world: World) -> None:
    world.pass_days(8)
    agent = world.campaign.fleet.agents[ONE]
    with pytest.raises(RefusalError, match="no round without the owner's word: the timestamp is"):
        agent.handle(encode(survey_of(TASK)))


def test_news_is_the_same_bytes_until_half_of_its_life(world: World) -> None:
    first = world.keys.news()
    world.pass_days(3.4)
    assert world.keys.news() == first
    assert world.made().news() == first  # another process of the same campaign
    world.pass_days(0.2)
    assert world.keys.news() != first
    assert world.timestamp().version == int(world.now_s())


def test_a_clock_that_was_set_back_makes_no_version_go_back(world: World) -> None:
    before = world.timestamp().version
    world.pass_days(-400)
    (world.folder / "online" / "directory").write_bytes(b"d")
    (world.folder / "online" / "directory.msgpack").write_bytes(
        OWNER.directory(b"d", 1)["directory.msgpack"]
    )
    assert world.timestamp().version == before + 1


def test_a_directory_is_told_to_each_device_once(world: World) -> None:
    keys, folder = world.keys, world.folder / "online"
    assert "directory" not in unpack(keys.news())
    for name, content in OWNER.directory(b"who is who", 1).items():
        (folder / name).write_bytes(content)
    assert keys.untold([ONE, TWO]) == [ONE, TWO]
    sent = keys.news_for([ONE, TWO])
    assert unpack(sent[ONE])["directory"] == b"who is who"
    world.trusts[ONE].refresh(sent[ONE])
    keys.note_told([ONE])
    assert keys.untold([ONE, TWO, THREE]) == [TWO, THREE]
    world.pass_days(4)  # another timestamp: news to all, the directory only to those without
    assert keys.untold([ONE]) == [ONE]
    sent = keys.news_for([ONE, TWO])
    assert "directory" not in unpack(sent[ONE])
    assert "directory" in unpack(sent[TWO])
    world.trusts[ONE].refresh(sent[ONE])
    assert world.trusts[ONE].directory == b"who is who"


def test_an_order_is_signed_with_its_serial_for_this_family(world: World) -> None:
    order = ServeRequest(round=3, serial=6, model=None)
    signed = world.keys.signed(order)
    world.trusts[ONE].check_order(signed, TASK.family)
    for wrong, family in (
        (order, TASK.family),
        (signed, "0" * 64),
        (replace(signed, serial=8), TASK.family),
        (replace(signed, round=4), TASK.family),
    ):
        with pytest.raises(SignatureError):
            world.trusts[ONE].check_order(wrong, family)


def test_keys_that_do_not_fit_are_said_before_a_campaign_begins(world: World) -> None:
    with pytest.raises(SignatureError, match="not signed by the keys of the newest root"):
        world.made(targets=Owner(2).targets(SMALL_FILES, 1))
    online = world.folder / "online"
    (online / "online.key").write_bytes(bytes(32))
    with pytest.raises(InputError, match="does not hold the role; copy the owner's online folder"):
        world.made()
    (online / "online.key").unlink()
    with pytest.raises(InputError, match=r"online\.key: not here"):
        world.made()
    (online / "1.root.msgpack").unlink()
    with pytest.raises(InputError, match="no roots here; copy the owner's online folder"):
        world.made()


def test_a_campaign_without_keys_or_without_a_signed_task_says_what_that_means(
    world: World,
) -> None:
    said: list[str] = []

    def made(settings: KeySettings | None, targets: bytes | None) -> OnlineKeys | None:
        return online_keys(
            settings, world.campaign.store, targets=targets, family=TASK.family,
            now_s=world.now_s, say=said.append,
        )  # fmt: skip

    settings = KeySettings(folder="online").beside(world.folder)
    assert made(None, TARGETS) is None
    assert said == []
    assert made(settings, None) is None
    assert made(settings, Owner(2).targets(SMALL_FILES, 1)) is None
    assert [line.split(":")[-1].split(";")[-1].strip() for line in said] == [
        "fieldvote keys sign",
        "sign the task again",
    ]
    assert made(settings, TARGETS) is not None


@pytest.mark.parametrize("days", [(0, 60), (-1, 60), (61, 60), (7, 9999)])
def test_lives_that_make_no_sense_are_refused(days: tuple[float, float]) -> None:
    with pytest.raises(SettingsError):
        KeySettings(folder="online", timestamp_days=days[0], snapshot_days=days[1])


def test_a_folder_that_is_being_copied_stops_no_campaign(world: World) -> None:
    said: list[str] = []
    parts = replace(world.campaign.parts, keys=world.keys)
    world.scheduler = Scheduler(parts, say=said.append)
    assert world.scheduler.run_round().number == 1
    key = world.folder / "online" / "timestamp.key"
    content = key.read_bytes()
    key.unlink()
    world.pass_days(4)
    assert world.scheduler.run_round().number == 2
    assert said[0].startswith("devices are told nothing new: ")
    assert "timestamp.key: not here" in said[0]
    key.touch(mode=0o600)
    key.write_bytes(content)
    world.pass_days(2)
    assert world.scheduler.run_round().number == 3
    assert all(trust.staleness() == "" for trust in world.trusts.values())


def test_what_only_the_owner_can_renew_is_said_a_month_before_it_is_over(world: World) -> None:
    assert world.said() == []
    world.pass_days(275)
    [line] = world.said()
    assert line.startswith("targets: soon over, on 2")
    assert line.endswith("fieldvote keys sign")
    world.pass_days(30)
    assert world.said()[0].startswith("targets: over since 2")
    world.pass_days(370)
    assert [line.split(":")[0] for line in world.said()] == ["root", "targets"]
