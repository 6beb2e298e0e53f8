"""A coordinator killed at any point of a release: nothing is lost, nothing is counted twice."""

import json
import shutil
import signal
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from coordinator.releases import events as release_events
from coordinator.rounds.campaign import STREAM
from coordinator.settings import ReleaseSettings
from coordinator.store.schema import total
from coordinator.store.verify import verify
from edge.sums import Kind, released
from tests.coordinator.releases.signed import A2, A_LOW, B, signed
from tests.coordinator.releases.world import Phone, World
from tests.coordinator.rounds.crash import Fuse, FusedTransport, _watch, in_a_fork

NEXT = signed((A2, B, A_LOW), 2)
KINDS: tuple[Kind, ...] = ("summed", "anchored")
LIMITS = ReleaseSettings(share=0.5, auto="promote", least_items=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that must not depend on when the coordinator died."""

    rounds: list[tuple[str, str]]
    releases: list[tuple[str, str]]
    totals: dict[str, bytes]
    devices: list[tuple[int, object, object]]
    faults: tuple[str, ...]

    def differs_from(self, other: "Outcome") -> str:
        """Return what is not the same; empty where all is."""
        return ", ".join(
            each.name
            for each in fields(self)
            if getattr(self, each.name) != getattr(other, each.name)
        )


def opened(folder: Path) -> World:
    world = World(limits=LIMITS, training=4, items=6, rounds=2, place=folder)
    world.store.database._connection.exec_driver_sql("PRAGMA synchronous = OFF")
    return world


def play(folder: Path, fuse: Fuse) -> None:
    """Begin or go on, as a coordinator that was just started does, to the end."""
    with closing(opened(folder)) as world:
        if not world.store.events(release_events.STREAM) and not world.store.owed():
            world.propose(NEXT)
        _watch(world.store, fuse)
        world.wrapped = lambda network: FusedTransport(network, fuse)  # type: ignore[arg-type]  # in memory
        world.scheduler = world.started()
        world.run()


def outcome(folder: Path) -> Outcome:
    with closing(opened(folder)) as world:
        rows = world.store.database.rows(total.select(), {})
        return Outcome(
            rounds=timeless(world.store.events(STREAM)),
            releases=timeless(world.store.events(release_events.STREAM)),
            totals={row["name"]: row["vector"] for row in rows},
            devices=[device_of(phone) for phone in world.phones.values()],
            faults=verify(world.store.database).faults,
        )


def timeless(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return events without the times at which they happened."""
    return [
        (kind, json.dumps({**json.loads(body), "at": "", "until": ""}, sort_keys=True))
        for kind, body in rows
    ]


def device_of(phone: Phone) -> tuple[int, object, object]:
    """Return which release a device runs, what it has given away, and what it learnt."""
    sums = [
        sorted(
            (sorted(map(sorted, s.sets)), at.tolist()) for s, at in released(phone.pool, k).items()
        )
        for k in KINDS
    ]
    return (phone.version, sums, [phone.pool.column(name).tolist() for name in ("arm", "answer")])


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What comes of a campaign that nobody kills, and the points of its release."""

    outcome: Outcome
    points: list[tuple[int, str]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder, passed = tmp_path_factory.mktemp("undisturbed"), list[str]()
    play(folder, Fuse(sites=passed))
    sites = list(enumerate(passed))
    # from the proposal to its event; from the question to the verdict; from the promotion until
    # devices run the release and are surveyed under it
    opened_at = first(sites, "driver._record", "exchange._open") - 6
    judged_at = first(sites, "after COMMIT", "driver._judge")
    promoted_at = first(sites, "driver._promote")
    parts = (range(5), range(opened_at, judged_at + 1), range(promoted_at, promoted_at + 80))
    points = [(n, site) for n, site in sites if any(n in part for part in parts)]
    return Undisturbed(outcome(folder), points)


def first(sites: list[tuple[int, str]], *words: str) -> int:
    """Return the first point whose site holds all these words."""
    return next(n for n, site in sites if all(word in site for word in words))


def killed_at(points: list[int], whole: Undisturbed, folder: Path) -> list[str]:
    """Kill a campaign at each of these points, go on, and return where it came out otherwise."""
    wrong = []
    for point in points:
        place, told = folder / str(point), folder / "told"
        place.mkdir()

        def die(place: Path = place, point: int = point) -> None:
            play(place, Fuse(blows_at=point))

        def go_on(place: Path = place) -> None:
            play(place, Fuse())

        assert in_a_fork(die, told) == signal.SIGKILL, point
        assert in_a_fork(go_on, told) == 0
        if differs := outcome(place).differs_from(whole.outcome):
            wrong.append(f"{point}: {differs}")
        shutil.rmtree(place)
    return wrong


def test_the_release_of_these_tests_is_promoted(whole: Undisturbed) -> None:
    assert [kind for kind, _ in whole.outcome.releases] == [
        "Proposed", "Asked", "Closed", "Tried", "Approved", "Promoted"
    ]  # fmt: skip
    assert [version for version, _, _ in whole.outcome.devices] == [2] * 5
    assert whole.outcome.faults == ()


@pytest.mark.slow
def test_a_kill_after_any_step_of_a_release_changes_nothing(
    whole: Undisturbed, tmp_path: Path
) -> None:
    steps = [n for n, site in whole.points if site.startswith(("after COMMIT", "after pull"))]
    assert len(steps) > 16
    steps = steps[::2]  # and all of them, and every point between, each night
    assert killed_at(steps, whole, tmp_path) == []


@pytest.mark.nightly
def test_a_kill_at_any_point_of_a_release_changes_nothing(
    whole: Undisturbed, tmp_path: Path
) -> None:
    assert killed_at([n for n, _ in whole.points], whole, tmp_path) == []
