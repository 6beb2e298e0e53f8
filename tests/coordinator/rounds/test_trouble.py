"""A disk that is full, a file that is locked, a clock that is set back: one clear error, then on.

Whatever the store will not take ends the step that wanted it. The campaign stands where it stood,
and goes on from there when there is room again, in the same process or in another.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from coordinator.labels.desk import Elsewhere
from coordinator.rounds import scheduler as scheduling
from coordinator.rounds.campaign import STREAM
from coordinator.rounds.events import Asked, Extended, Labeled, Planned
from coordinator.rounds.scheduler import Scheduler
from coordinator.service import STORE_FILE, CoordinatorSettings, open_store
from coordinator.settings import PaceSettings
from coordinator.store.campaign import Store
from coordinator.store.database import Database
from coordinator.store.scope import FIRST_CAMPAIGN
from coordinator.store.verify import verify
from coordinator.superlink import serve
from fieldvote.errors import StoreError
from fieldvote.records import SurveyRequest
from tests.coordinator.driven import write_campaign
from tests.coordinator.rounds.campaign import (
    NOON,
    Campaign,
    Fleet,
    TurnedClock,
    make_fleet,
    make_parts,
    settings_with,
)
from tests.coordinator.rounds.crash import Outcome, World, outcome
from tests.coordinator.store.places import nobody

ROUNDS = 2
_MOST_TURNS = 400
_SETTINGS = settings_with(exchanges=2, pace=PaceSettings(open_rounds=2))


class Small(World):
    """A campaign in a file whose writers do not wait long for each other."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, folder / "store.sqlite", FIRST_CAMPAIGN)
        (folder / "pools").mkdir(parents=True)

    def fleet(self) -> Fleet:
        """Open the devices' pools."""
        return make_fleet(items=6, folder=self.folder / "pools")

    def open(self) -> Store:
        """Open the store; nobody pulls the plug, so the disk is not waited for."""
        database = Database.open(self.place, now=lambda: NOON, wait_s=0.02)
        database._connection.exec_driver_sql("PRAGMA synchronous = OFF")
        return Store(database, self.campaign)


@contextmanager
def full(store: Store) -> Iterator[None]:
    """Give the file no further page."""
    (row,) = store.database.rows(text("PRAGMA page_count"))
    store.database.rows(text(f"PRAGMA max_page_count = {row['page_count']}"))
    yield
    store.database.rows(text("PRAGMA max_page_count = 100000"))


@contextmanager
def read_only(store: Store) -> Iterator[None]:
    """Take the right to write away."""
    store.database._connection.exec_driver_sql("PRAGMA query_only = ON")
    yield
    store.database._connection.exec_driver_sql("PRAGMA query_only = OFF")


@contextmanager
def locked(store: Store) -> Iterator[None]:
    """Let another program write, and not come to an end."""
    with closing(sqlite3.connect(store.database.place, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


TROUBLES = {
    "the disk is full": (full, "make room, then go on"),
    "it may not be written to": (read_only, "give this user the right to write, then go on"),
    "somebody else was writing for too long": (locked, "wait, or stop the other program"),
}


class Play:
    """One campaign, a turn at a time."""

    def __init__(self, world: World) -> None:
        self.world, self.clock = world, TurnedClock()
        self.fleet, self.store = world.fleet(), world.open()
        self.scheduler = self.started()

    def started(self) -> Scheduler:
        """Return a coordinator that was just started."""
        network = self.fleet.transport()
        parts = make_parts(self.store, network, settings=_SETTINGS, clock=self.clock)
        return Scheduler(parts, rounds=ROUNDS)

    def turn(self) -> None:
        if self.scheduler.turn() is not None:
            self.clock.sleep(1.0)

    def run(self, turns: int = _MOST_TURNS) -> int:
        """Turn so often, or until the last round is over; return how often."""
        for done in range(turns):
            if self.scheduler.finished:
                return done
            self.turn()
        return turns

    def run_into_trouble(self) -> str:
        """Turn until the store says no; return what it says, empty if it never does."""
        try:
            self.run()
        except StoreError as err:
            return str(err)
        return ""

    def close(self) -> None:
        self.store.close()
        self.fleet.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Outcome]:
    """How many turns a campaign takes, and what it comes to."""
    world = Small(tmp_path_factory.mktemp("trouble") / "undisturbed")
    with closing(Play(world)) as play:
        turns = play.run()
        assert play.scheduler.finished
    return turns, outcome(world)


@pytest.mark.slow
@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_store_that_takes_nothing_ends_a_step_with_one_error_and_costs_the_campaign_nothing(
    tmp_path: Path,
    undisturbed: tuple[int, Outcome],
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
    step: int,
) -> None:
    # a state is kept after every event, so that keeping one fails as well
    monkeypatch.setattr(scheduling, "_SNAPSHOT_EVERY", 1)
    (begin, advice), (turns, whole) = TROUBLES[trouble], undisturbed
    met = 0
    first = 1 + 2 * [*TROUBLES].index(trouble) * (step > 1)  # each comes at turns of its own
    for turn in (visits := range(first, turns, step)):
        world = Small(tmp_path / str(turn))
        with closing(Play(world)) as play:
            play.run(turn)
            stored = len(play.store.events(STREAM))
            with begin(play.store):
                said = [play.run_into_trouble() for _ in range(2)]
                reached = len(play.store.events(STREAM))
                assert verify(play.store.database).faults == ()
            if said[0]:
                met += 1
                line = f"{world.place}: {trouble}; what was stored before is whole; {advice}"
                assert said == [line, line]
                assert stored <= reached < len(whole.events)
            if turn % 2:  # every other time another process goes on
                play.scheduler = play.started()
            play.run()
            assert play.scheduler.finished
            assert verify(play.store.database).faults == ()
        assert outcome(world).differs_from(whole) == "", f"turn {turn}"
    assert met > len(visits) // 2


def test_replies_that_came_and_could_not_be_stored_are_asked_for_again(
    tmp_path: Path, undisturbed: tuple[int, Outcome]
) -> None:
    world = Small(tmp_path / "one")
    with closing(Play(world)) as play:
        while not any(
            isinstance(event, Asked) and event.exchange == "answers"
            for event in play.scheduler.events
        ):
            play.turn()
        # an exchange that may close without anybody: who answered must not be taken for silent
        with read_only(play.store):
            assert "may not be written to" in play.run_into_trouble()
        play.run()
    assert outcome(world).differs_from(undisturbed[1]) == ""


def test_a_file_that_may_only_be_read_is_refused_in_one_line_and_left_as_it_is(
    tmp_path: Path,
) -> None:
    config = campaign_in(tmp_path)
    folder = tmp_path / "state"
    path, before = folder / STORE_FILE, everything_in(folder)
    path.chmod(0o444)
    folder.chmod(0o555)
    try:
        for place in (tmp_path, *list(tmp_path.parents)[:3]):
            if not place.stat().st_mode & 0o005:
                place.chmod(0o755)  # for whoever we are in a moment
        with nobody(), pytest.raises(StoreError) as caught:
            write_a_note(config)
    finally:
        folder.chmod(0o755)
        path.chmod(0o644)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert everything_in(folder) == before


def write_a_note(config: Path) -> None:
    with closing(open_store(CoordinatorSettings.load(config))) as store:
        store.keep_note("a", "b")


def campaign_in(folder: Path) -> Path:
    """Return the file of a campaign whose store is made, and closed."""
    config = write_campaign(folder)
    open_store(CoordinatorSettings.load(config), make=True).close()
    return config


def everything_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE fieldvote_meta SET value = value + 1 WHERE name = 'schema'")


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("CREATE TABLE guests (name TEXT)")


def no_database(path: Path) -> None:
    path.write_bytes(b"a photograph" * 1000)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (newer, r"schema \d+, this program knows \d+; it was left as it is: use the newer program"),
        (foreign, "not fieldvote's; it was left as it is: name an empty one"),
        (no_database, "this is no database; it was left as it is: name another file"),
    ],
)
def test_what_is_not_this_programs_store_is_refused_in_one_line_before_anything_is_started(
    tmp_path: Path, change: Callable[[Path], None], wrong: str
) -> None:
    config = campaign_in(tmp_path)
    folder = tmp_path / "state"
    change(folder / STORE_FILE)
    before = everything_in(folder)
    said: list[str] = []
    with pytest.raises(StoreError, match=wrong) as caught:
        open_store(CoordinatorSettings.load(config))
    with pytest.raises(StoreError, match=wrong):
        serve(config, said.append)
    assert "\n" not in str(caught.value)
    assert said == []
    after = everything_in(folder)
    after.pop("serve.lock")
    assert after == before


# an hour back between two starts: a window that was opened before must not last an hour longer


@pytest.fixture
def campaign() -> Iterator[Campaign]:
    with closing(Campaign()) as made:
        yield made


def set_back(campaign: Campaign, **changes: object) -> Scheduler:
    """Start again, when the clock was set back an hour."""
    campaign.clock.time -= timedelta(hours=1)
    return campaign.started(**changes)  # type: ignore[arg-type]  # the keywords of its own


def seconds_until(
    campaign: Campaign, scheduler: Scheduler, what: Callable[[], bool], *, most: int = 7200
) -> float:
    """Turn until something is true; return how long that took."""
    began = campaign.clock.now()
    for _ in range(most):
        if what():
            return (campaign.clock.now() - began).total_seconds()
        if scheduler.turn() is not None:
            campaign.clock.sleep(1.0)
    raise AssertionError("never")


def test_an_exchange_that_waits_ends_in_its_window_though_the_clock_was_set_back(
    campaign: Campaign,
) -> None:
    campaign.network.silent = {(device, SurveyRequest) for device in campaign.fleet.pools}
    first = campaign.started(rounds=1)
    seconds_until(campaign, first, lambda: bool(campaign.events(Asked)))
    [asked] = campaign.events(Asked)
    again = set_back(campaign, rounds=1)
    waited = seconds_until(campaign, again, lambda: bool(campaign.events(Extended)))
    assert waited <= asked.window_s + 2


def test_people_are_waited_for_no_longer_though_the_clock_was_set_back(campaign: Campaign) -> None:
    campaign.labeling = Elsewhere()
    first = campaign.started(rounds=1)
    seconds_until(campaign, first, lambda: "Opened" in {type(e).__name__ for e in first.events})
    again = set_back(campaign, rounds=1)
    waited = seconds_until(campaign, again, lambda: bool(campaign.events(Labeled)))
    assert waited <= 60 + 2  # as long as this campaign waits for answers
    assert campaign.store.queue()


def test_the_next_round_begins_in_its_interval_though_the_clock_was_set_back() -> None:
    pace = PaceSettings(least_interval_s=300.0)
    with closing(Campaign(settings_with(pace=pace))) as campaign:
        first = campaign.started(rounds=1)
        seconds_until(campaign, first, lambda: first.finished)
        again = set_back(campaign, rounds=2)
        assert seconds_until(campaign, again, lambda: len(campaign.events(Planned)) == 2) <= 300
