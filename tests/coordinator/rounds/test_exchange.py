"""One exchange with devices that come, go, fall silent and answer late; and coordinators that die.

A round's sums must not depend on any of it: every device counts once, or not at all.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.rounds.events import Asked, Closed, Event, Extended, Planned
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.machine import advance, replay
from coordinator.rounds.planning import NO_LIMIT
from coordinator.rounds.question import Question, Rest, Verdict, judge
from coordinator.store.budget import Resource
from coordinator.store.campaign import open_store
from coordinator.store.rows import message_name
from fieldvote.errors import BudgetSpentError
from fieldvote.records import DeviceId, SurveyRequest, encode
from tests.coordinator.rounds.campaign import NOON, ONE, THREE, TWO, TurnedClock
from tests.doubles.transport import MemoryTransport

DEVICES = (ONE, TWO, THREE)
REQUEST = encode(
    SurveyRequest(round=1, strategy="fleet", offers=0, random_offers=1, first=True, model=None)
)
WINDOW_S = 10.0


@pytest.mark.parametrize(
    ("came", "waiting", "over", "verdict"),
    [
        # four are asked, the goal is three and the minimum two
        (0, 4, False, Verdict.WAIT),
        (2, 1, False, Verdict.WAIT),
        (3, 1, False, Verdict.CLOSE),
        (4, 0, True, Verdict.CLOSE),
        (2, 0, False, Verdict.CLOSE),
        (2, 2, True, Verdict.CLOSE),
        (1, 0, False, Verdict.ASK_AGAIN),
        (1, 3, True, Verdict.ASK_AGAIN),
        (0, 0, True, Verdict.ASK_AGAIN),
    ],
)
def test_what_becomes_of_an_exchange(came: int, waiting: int, over: bool, verdict: Verdict) -> None:
    assert judge(came=came, waiting=waiting, goal=3, minimum=2, over=over) is verdict


COUNTS = st.integers(0, 20)


@settings(deadline=None)
@given(COUNTS, COUNTS, COUNTS, COUNTS, st.booleans())
def test_no_exchange_is_closed_with_too_few_or_waits_for_nobody(
    came: int, waiting: int, goal: int, spare: int, over: bool
) -> None:
    minimum = max(goal - spare, 0)
    verdict = judge(came=came, waiting=waiting, goal=goal, minimum=minimum, over=over)
    assert (verdict is Verdict.CLOSE) <= (came >= minimum)
    assert (verdict is Verdict.WAIT) <= (waiting > 0 and not over and came < goal)
    assert (verdict is Verdict.ASK_AGAIN) <= (came < minimum)
    # one more reply never makes it worse
    if verdict is Verdict.CLOSE:
        more = judge(came=came + 1, waiting=waiting, goal=goal, minimum=minimum, over=over)
        assert more is Verdict.CLOSE


class Asking:
    """An exchange of round 1 with three devices, and what it adds up to."""

    def __init__(
        self,
        *,
        keeps: bool = True,
        share: float = 0.0,
        spare: float = 0.0,
        limit_bytes: int = NO_LIMIT,
    ) -> None:
        self.clock = TurnedClock()
        self.store = open_store(None, now=self.clock.now)
        self.network = MemoryTransport({device: partial(self._say, device) for device in DEVICES})
        self.handled: Counter[DeviceId] = Counter()
        self.events: list[Event] = []
        devices = tuple(int(device) for device in DEVICES)
        planned = Planned(round=1, kind="ordinary", devices=devices, budget=1, first=True, at="")
        self.state = replay([planned], 1)
        self._keeps, self._share, self._spare = keeps, share, spare
        self._limit_bytes = limit_bytes
        self.restart()

    def restart(self) -> None:
        """Begin anew, with what is in the store and nothing else."""
        self.summed: Counter[DeviceId] = Counter()
        self.exchanges = Exchanges(
            self.store,
            self.network,
            self.clock,
            self._record,
            window_s=WINDOW_S,
            limit_bytes=self._limit_bytes,
        )

    def step(self) -> Rest | None:
        """Go on a step."""
        return self.exchanges.step(
            self.state,
            Question(
                name="survey",
                requests=lambda: dict.fromkeys(DEVICES, REQUEST),
                count=self._count_kept if self._keeps else self._count,
                keeps=self._keeps,
                share=self._share,
                spare=self._spare,
                least=1,
                close=lambda: "".join(f"{d}{n}" for d, n in sorted(self.summed.items())),
            ),
        )

    def turn(self) -> Rest | None:
        """Go on until the exchange is closed, or nothing can be done; return what is waited for."""
        while not self.closed:
            rest = self.step()
            if rest is not None:
                return rest
        return None

    @property
    def closed(self) -> Closed | None:
        last = self.events[-1] if self.events else None
        return last if isinstance(last, Closed) else None

    def votes(self) -> int:
        """Return how many replies the store has counted."""
        total = self.store.total("votes")
        return 0 if total is None else int(total[0])

    def count_late(self, replies: Mapping[DeviceId, bytes]) -> None:
        """Count replies after the exchange was closed."""
        with self.store.transaction():
            self._count_kept(replies)

    def close(self) -> None:
        self.store.close()

    def _say(self, device: DeviceId, _: bytes) -> bytes:
        self.handled[device] += 1
        return b"reply of %d" % device

    def _record(self, event: Event) -> None:
        after = advance(self.state, event)
        assert after is not self.state
        self.state = after
        self.events.append(event)

    def _count_kept(self, replies: Mapping[DeviceId, bytes]) -> Collection[DeviceId]:
        for device, reply in replies.items():
            if reply and self.store.admit(message_name(1, "survey", device)):
                self.store.add("votes", np.array([1]))
                self.summed[device] += 1
        return ()

    def _count(self, replies: Mapping[DeviceId, bytes]) -> Collection[DeviceId]:
        good = [device for device, reply in replies.items() if reply]
        self.summed.update(good)
        return good


@pytest.fixture
def asking() -> Iterator[Asking]:
    with closing(Asking(share=1.0)) as made:
        yield made


def test_who_is_asked_what_is_on_paper_before_anything_is_sent(asking: Asking) -> None:
    assert asking.step() is None
    [asked] = asking.events
    assert isinstance(asked, Asked)
    assert (asked.devices, asked.goal, asked.minimum) == ((1, 2, 3), 3, 3)
    assert asking.store.expected(1, "survey") == dict.fromkeys(DEVICES, REQUEST)
    assert not asking.handled


def test_who_comes_back_within_the_window_is_asked_then(asking: Asking) -> None:
    asking.network.away = {TWO}
    rest = asking.turn()
    assert rest is not None
    assert rest.about == "survey: 2 of 3 devices have answered"
    asking.network.away = set()
    assert asking.step() is not None  # who is there is looked at once in a second
    asking.clock.sleep(1)
    asking.turn()
    assert asking.closed is not None
    assert asking.closed.came == (1, 2, 3)
    assert asking.handled == {ONE: 1, TWO: 1, THREE: 1}
    assert [type(event) for event in asking.events] == [Asked, Closed]


def test_with_too_few_the_same_is_asked_again_of_those_who_said_nothing(asking: Asking) -> None:
    asking.network.silent = {(TWO, SurveyRequest)}
    for attempt in (1, 2, 3):
        rest = asking.turn()
        assert rest is not None
        assert ("asked" in rest.about) is (attempt > 1)
        asking.clock.sleep(WINDOW_S)
    asking.turn()
    asking.network.silent = set()
    asking.clock.sleep(WINDOW_S)
    asking.turn()
    assert [type(event) for event in asking.events] == [Asked, *[Extended] * 4, Closed]
    assert asking.handled == {ONE: 1, TWO: 1, THREE: 1}
    assert asking.votes() == 3


def test_with_enough_it_is_closed_when_nobody_else_can_be_waited_for() -> None:
    with closing(Asking(share=0.5)) as asking:
        asking.network.away = {TWO}
        asking.turn()
        assert asking.closed is not None
        assert asking.closed.came == (1, 3)


def test_the_spare_ones_are_not_waited_for() -> None:
    with closing(Asking(share=0.5, spare=0.34)) as asking:
        asking.network.late = {(THREE, SurveyRequest)}
        asking.turn()
        assert asking.closed is not None
        assert asking.closed.came == (1, 2)
        assert asking.clock.now() == NOON


def test_a_late_reply_to_a_kept_request_counts_once() -> None:
    with closing(Asking(share=0.5)) as asking:
        asking.network.late = {(TWO, SurveyRequest)}
        assert asking.turn() is not None
        asking.clock.sleep(WINDOW_S)
        asking.turn()
        assert asking.closed is not None
        assert asking.closed.came == (1, 3)
        assert set(asking.store.expected(1, "survey")) == {TWO}
        for _ in range(3):
            asking.count_late(dict.fromkeys(DEVICES, b"reply"))
        assert asking.votes() == 3
        assert asking.store.expected(1, "survey") == {}


def test_a_new_process_asks_nobody_again_whose_kept_request_was_counted(asking: Asking) -> None:
    asking.network.away = {TWO}
    asking.turn()
    asking.restart()
    asking.network.away = set()
    asking.turn()
    assert asking.handled == {ONE: 1, TWO: 1, THREE: 1}
    assert asking.votes() == 3


def test_a_new_process_asks_everybody_again_whose_reply_was_held_in_memory_only() -> None:
    with closing(Asking(keeps=False, share=1.0)) as asking:
        asking.network.away = {TWO}
        asking.turn()
        assert asking.summed == {ONE: 1, THREE: 1}
        asking.restart()
        asking.network.away = set()
        asking.turn()
        assert asking.handled == {ONE: 2, TWO: 1, THREE: 2}
        assert asking.closed is not None
        assert (asking.closed.came, asking.closed.sums) == ((1, 2, 3), "112131")


def test_a_reply_of_no_use_is_as_good_as_none(asking: Asking) -> None:
    asking.network.corrupt[TWO] = lambda _: b""
    rest = asking.turn()
    assert rest is not None
    assert rest.about == "survey: 2 of 3 devices have answered"
    assert asking.votes() == 2


def test_bytes_are_reserved_before_they_are_sent_and_settled_at_what_they_were() -> None:
    with closing(Asking()) as asking:
        asking.step()
        reserved = asking.store.budget()[Resource.BYTES].reserved
        assert reserved > 3 * len(REQUEST)
        asking.turn()
        spending = asking.store.budget()[Resource.BYTES]
        assert (spending.reserved, spending.spent) == (0, 3 * len(REQUEST) + 3 * len(b"reply of 1"))


def test_what_would_pass_the_limit_is_not_asked_at_all() -> None:
    with closing(Asking(limit_bytes=1000)) as asking:
        with pytest.raises(BudgetSpentError):
            asking.step()
        assert asking.events == []
        assert asking.store.expected(1, "survey") == {}
        assert asking.store.budget()[Resource.BYTES].reserved == 0


FATES = st.lists(
    st.tuples(
        st.sets(st.sampled_from(DEVICES)),  # away
        st.sets(st.sampled_from(DEVICES)),  # silent
        st.sets(st.sampled_from(DEVICES)),  # late
        st.sampled_from([0.5, 1.0, 4.0, WINDOW_S]),  # time that passes
        st.booleans(),  # whether the process dies
    ),
    max_size=10,
)


@settings(deadline=None, max_examples=60)
@given(FATES, st.booleans(), st.sampled_from([0.0, 0.5, 1.0]))
def test_whatever_happens_enough_devices_count_and_each_of_them_once(
    fates: list[tuple[set[DeviceId], set[DeviceId], set[DeviceId], float, bool]],
    keeps: bool,
    share: float,
) -> None:
    with closing(Asking(keeps=keeps, share=share)) as asking:
        for away, silent, late, seconds, dies in fates:
            asking.network.away = away
            asking.network.silent = {(device, SurveyRequest) for device in silent}
            asking.network.late = {(device, SurveyRequest) for device in late}
            asking.turn()
            asking.clock.sleep(seconds)
            if dies and not asking.closed:
                asking.restart()
        asking.network.away, asking.network.silent, asking.network.late = set(), set(), set()
        for _ in range(3):
            asking.turn()
            asking.clock.sleep(WINDOW_S)
        assert asking.closed is not None
        came = asking.closed.came
        assert len(came) >= max(1, 3 * share)
        if keeps:
            assert asking.votes() == len(came)
            assert set(asking.store.expected(1, "survey")) == set(DEVICES) - set(came)
        else:
            assert asking.closed.sums == "".join(f"{device}1" for device in came)
