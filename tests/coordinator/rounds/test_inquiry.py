"""Which functions made it answer so for this input: asked of real agents while rounds go on."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import pytest

from coordinator.models.asking import INQUIRY, InputQuestion, explain_input
from coordinator.models.explain import Explained
from coordinator.models.one_input import embedding_of
from coordinator.models.trace import ANSWERS
from coordinator.rounds.clock import Clock
from coordinator.store.budget import Resource
from fieldvote.errors import FieldvoteError, InputError, UnavailableError
from fieldvote.traces import TraceRequest
from tests.coordinator.models.taught_fleet import (
    CLASSES,
    FUNCTIONS,
    ITEMS,
    JUDGING,
    SETTINGS,
    TRAINING,
    TaughtFleet,
    made,
    release,
    with_one_voice,
)
from tests.coordinator.rounds.campaign import TurnedClock

ALL = tuple(range(FUNCTIONS + 1))
OURS = (TRAINING + JUDGING) * ITEMS
_NAMES = count()


@dataclass(slots=True)
class Turning(TurnedClock):
    """While somebody waits, the coordinator turns."""

    turn: Callable[[], object]

    def __post_init__(self) -> None:
        TurnedClock.__init__(self)

    def sleep(self, seconds: float) -> None:
        self.turn()


@pytest.fixture(scope="module")
def fleet() -> Iterator[TaughtFleet]:
    """Yield a fleet whose class 1 has one voice; one round is over."""
    with closing(TaughtFleet(with_one_voice(made(0), 1), ALL, rounds=1)) as made_fleet:
        made_fleet.run()
        yield made_fleet


def ask(fleet: TaughtFleet, place: int, clock: Clock, **wanted: object) -> Explained:
    """Ask about one of the items that are for the test alone."""
    inputs = fleet.items.rows[[place]].astype(np.float32)
    said: dict[str, object] = {"number": None, "model": "", "label": "", **wanted}
    return explain_input(
        fleet.store,
        fleet.task,
        embedding_of(fleet.task, inputs),
        wait_s=10.0,
        clock=clock,
        entropy=lambda n: next(_NAMES).to_bytes(n, "big"),
        **said,  # type: ignore[arg-type]  # a table of arguments
    )


def of_class(fleet: TaughtFleet, label: int) -> int:
    """Return an item of a class that the head gets right."""
    likely = fleet.probabilities()
    truth = fleet.items.truth[OURS:]
    right = (truth == label) & (likely.argmax(axis=1) == label)
    return OURS + int(np.where(right, likely[:, label], 0).argmax())


def test_the_one_voice_of_a_class_is_named_for_an_input_of_it(fleet: TaughtFleet) -> None:
    told = ask(fleet, of_class(fleet, 1), Turning(turn=fleet.scheduler.turn))
    assert told.about["says"] == told.about["asked_about"] == CLASSES[1]
    assert told.about["devices"] == TRAINING
    best = next(row["function"] for row in told.rows if row["function"] != ANSWERS)
    assert best == f"f{FUNCTIONS}"
    shares = [float(row["share_percent"]) for row in told.rows]
    assert shares == sorted(shares, reverse=True)
    assert sum(map(abs, shares)) == pytest.approx(100, abs=1)


def test_a_class_it_does_not_say_can_be_asked_about(fleet: TaughtFleet) -> None:
    place = of_class(fleet, 1)
    told = ask(fleet, place, Turning(turn=fleet.scheduler.turn), label=CLASSES[2])
    assert told.about["asked_about"] == CLASSES[2]
    assert told.rows[0]["function"] == "f0"  # which calls class 1 by that name
    assert told.rows[-1]["function"] == f"f{FUNCTIONS}"


def test_the_question_changes_no_device_and_no_campaign(fleet: TaughtFleet) -> None:
    before = len(fleet.scheduler.events)
    kept = [phone.pool.column("answer").tolist() for phone in fleet.phones.values()]
    ask(fleet, OURS + 5, Turning(turn=fleet.scheduler.turn))
    assert len(fleet.scheduler.events) == before
    assert [p.pool.column("answer").tolist() for p in fleet.phones.values()] == kept
    assert not fleet.store.owed()


def test_a_coordinator_that_dies_over_a_question_asks_it_again(fleet: TaughtFleet) -> None:
    turned = 0

    def turn() -> None:
        nonlocal turned
        turned += 1
        if turned == 2:  # asked, and not answered yet
            fleet.scheduler = fleet.started()
        fleet.scheduler.turn()

    alone = ask(fleet, OURS + 6, Turning(turn=fleet.scheduler.turn))
    again = ask(fleet, OURS + 10, Turning(turn=turn))
    assert turned > 2
    assert again.about["devices"] == alone.about["devices"]


def test_with_nobody_leading_it_says_what_must_run(fleet: TaughtFleet) -> None:
    with pytest.raises(UnavailableError, match="coordinator serve"):
        ask(fleet, OURS + 7, TurnedClock())
    assert not fleet.store.owed()  # what nobody waits for is not asked later


def test_with_nobody_there_it_waits_and_then_says_so(fleet: TaughtFleet) -> None:
    fleet.network.away = set(fleet.phones)
    try:
        with pytest.raises(UnavailableError, match="no answer yet"):
            ask(fleet, OURS + 8, Turning(turn=fleet.scheduler.turn))
    finally:
        fleet.network.away = set()
    assert not fleet.store.owed()


def test_a_question_that_is_given_up_on_its_way_leaves_nothing_set_aside(
    fleet: TaughtFleet,
) -> None:
    fleet.network.silent = {(device, TraceRequest) for device in fleet.phones}
    reserved = fleet.store.budget()[Resource.BYTES].reserved
    try:
        with pytest.raises(UnavailableError, match="no answer yet"):
            ask(fleet, OURS + 11, Turning(turn=fleet.scheduler.turn))
        assert fleet.store.budget()[Resource.BYTES].reserved > reserved
        fleet.scheduler.turn()
        assert fleet.store.budget()[Resource.BYTES].reserved == reserved
    finally:
        fleet.network.silent = set()


def test_with_devices_that_do_not_answer_no_number_is_made_up(fleet: TaughtFleet) -> None:
    fleet.network.silent = {(device, TraceRequest) for device in fleet.phones}

    def turn() -> None:
        fleet.scheduler.turn()
        fleet.clock.sleep(10.0)

    try:
        with pytest.raises(UnavailableError, match="no device answered"):
            ask(fleet, OURS + 9, Turning(turn=turn))
    finally:
        fleet.network.silent = set()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"label": "swim"}, "no class 'swim'"),
        ({"number": 9}, "no round 9"),
        ({"model": "beef"}, "no model 'beef'"),
    ],
)
def test_a_question_about_what_is_not_there_is_refused(
    fleet: TaughtFleet, wanted: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        ask(fleet, OURS, Turning(turn=fleet.scheduler.turn), **wanted)


@pytest.mark.parametrize(
    "body",
    [
        b"no question",
        InputQuestion(round=8, label=0, embedding=(0.0,) * 8).to_json(),
        InputQuestion(round=1, label=99, embedding=(0.0,) * 8).to_json(),
        InputQuestion(round=1, label=0, embedding=(0.0,) * 3).to_json(),
    ],
)
def test_a_wish_that_makes_no_sense_is_settled_and_stops_nothing(
    fleet: TaughtFleet, body: bytes
) -> None:
    with fleet.store.transaction():
        fleet.store.owe(f"{INQUIRY} {body!r}"[:60], INQUIRY, body)
    fleet.run(lambda: not fleet.store.owed(), turns=50)
    assert not fleet.store.owed()


def test_a_head_of_other_functions_cannot_be_asked_about() -> None:
    settings = replace(SETTINGS, exchanges=3)
    with closing(TaughtFleet(made(3), ALL, rounds=1, settings=settings)) as fleet:
        fleet.run()
        place = OURS
        inputs = fleet.items.rows[[place]].astype(np.float32)
        embedding = embedding_of(fleet.task, inputs)
        fleet.propose(release(ALL[:-1], 2))
        fleet.run()
        with pytest.raises(FieldvoteError, match="functions changed"):
            explain_input(
                fleet.store, fleet.task, embedding, number=1, model="", label="", wait_s=1.0,
                clock=TurnedClock(), entropy=lambda n: bytes(n),
            )  # fmt: skip
