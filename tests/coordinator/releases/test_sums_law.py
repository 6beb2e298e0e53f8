"""Whatever comes in whatever order, each item is in each sum of a version once."""

import os
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.inbox import Inbox
from coordinator.models.totals import shapes_of
from coordinator.releases.keyed import KeyedSums
from coordinator.releases.ledger import Ledger
from coordinator.releases.tasks import keep_bundle
from coordinator.releases.trial import sums_of
from coordinator.store.campaign import open_store
from edge.agent import Agent
from edge.items import items_of, row_payload
from edge.labeling import compile_functions
from edge.pool import Pool
from edge.sums import released
from fieldvote.records import (
    Answer,
    AnswersRequest,
    DeviceId,
    HelloReply,
    HelloRequest,
    SurveyRequest,
    decode,
    encode,
)
from fieldvote.releases import TrialReply
from fieldvote.rng import stream
from privacy.sealing import seal
from privacy.sealing.context import Marks, Purpose, Scope
from strategies.labeling import AnchorSummary, VoteSummary
from strategies.representation import Moments
from tests.coordinator.releases.signed import (
    A2,
    A_LOW,
    B_HIGH,
    A,
    B,
    install,
    proposer,
    signed,
    task_of,
    trial_of,
)
from tests.coordinator.rounds.campaign import KEYS, NOON, SMALL_FILES, make_agent
from tests.doubles.agents import model_from

ITEMS, DEVICES = 6, 3
SETS = ((A, B), (A2, B), (A2, B, A_LOW), (A, B), (B_HIGH, A_LOW), (A, A_LOW, B_HIGH, B))
BUNDLES = [signed(functions, version) for version, functions in enumerate(SETS, start=1)]
TASKS = [task_of(bundle) for bundle in BUNDLES]
MODEL = model_from(
    Moments.from_embeddings(stream(1, "rows").normal(size=(9, 3)).astype(np.float32)), classes=2
)


@dataclass
class Phone:
    """One device: its pool, and the agent of the release it runs."""

    number: int
    pool: Pool
    agent: Agent = field(init=False)
    runs: int = 0

    def take(self, place: int) -> None:
        """Install a release."""
        self.runs = place
        task, bundle = TASKS[place], BUNDLES[place]
        install(self.pool, task)
        self.agent = make_agent(
            self.pool, self.number, False, task=task, propose=proposer(bundle, place + 1)
        )


class Fleet:
    """Three devices and what a coordinator has summed of them."""

    def __init__(self) -> None:
        self.store = open_store(None, now=lambda: NOON)
        self.phones = []
        for number in range(1, DEVICES + 1):
            rng, pool = stream(6, "pool", number), Pool(None)
            rows = rng.normal(size=(ITEMS, 3))
            pool.add([rng.bytes(16) for _ in rows], [row_payload(row) for row in rows])
            phone = Phone(number, pool)
            phone.take(0)
            self.phones.append(phone)
        self.current, self.round = 0, 0
        self.owed: list[tuple[int, Phone, bytes]] = []
        self.answered: dict[tuple[int, int], int] = {}
        for task, bundle in zip(TASKS, BUNDLES, strict=True):
            keep_bundle(self.store, task.digest, self.store.keep_artifact(bundle.content))

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, TASKS[self.current])

    @property
    def inbox(self) -> Inbox:
        return Inbox(self.store, shapes_of(TASKS[self.current]), earlier=self.ledger)

    def survey(self, phone: Phone, *, lost: bool) -> None:
        """Ask for votes; a reply that is lost is asked for again later."""
        if phone.runs != self.current:
            return
        self.round += 1
        request = encode(
            SurveyRequest(
                round=self.round,
                strategy="fleet",
                offers=0,
                random_offers=0,
                first=False,
                model=None,
                task=TASKS[self.current].digest,
            )
        )
        reply = phone.agent.handle(request)
        if lost:
            self.owed.append((self.round, phone, request))
        else:
            with self.store.transaction():
                assert self.inbox.survey(self.round, {DeviceId(phone.number): reply})[0] == 1

    def ask_again(self) -> None:
        """Ask for everything that was lost, with the same bytes."""
        owed, self.owed = self.owed, []
        for number, phone, request in owed:
            reply = phone.agent.handle(request)
            with self.store.transaction():
                assert self.inbox.survey(number, {DeviceId(phone.number): reply})[0] == 1

    def answer(self, phone: Phone, place: int) -> None:
        """Let somebody answer an item that was shipped."""
        if phone.runs != self.current:
            return
        self.round += 1
        phone.pool.mark_shipped(place, 0)
        hello = decode(phone.agent.handle(encode(HelloRequest(campaign="c"))), HelloReply)
        self.answered.setdefault((phone.number, place), self.round % 2)
        envelope = seal(
            encode(Answer(item=phone.pool.ids()[place], label=self.round % 2)),
            recipient=hello.sealing_key,
            scope=Scope(purpose=Purpose.ANSWER, family=TASKS[0].family, device=hello.signing_key),
            marks=Marks(epoch=os.urandom(16), sequence=0),
            signer=KEYS.signing,
        )
        request = AnswersRequest(
            round=self.round,
            answers=(envelope,),
            representation=MODEL,
            task=TASKS[self.current].digest,
        )
        reply = phone.agent.handle(encode(request))
        with self.store.transaction():
            sent = {DeviceId(phone.number): [b"it"]}
            replies = {DeviceId(phone.number): reply}
            assert self.inbox.answers(self.round, replies, sent, width=4) == 1

    def attempt(self, phone: Phone, place: int) -> None:
        """Try a release on one device."""
        if phone.runs != self.current:
            return
        self.round += 1
        before, bundle = TASKS[self.current], BUNDLES[place]
        reply = phone.agent.handle(encode(trial_of(before, bundle, self.round)))
        brought = [v for v in TASKS[place].versions if v not in before.versions]
        with self.store.transaction():
            self.ledger.file(sums_of([decode(reply, TrialReply)], before, brought))

    def promote(self, place: int) -> None:
        """Make a later release the campaign's task."""
        with self.store.transaction():
            self.ledger.turn_to(TASKS[place])
        self.current = place


def brute_force(fleet: Fleet, versions: tuple[str, ...]) -> KeyedSums:
    """Sum everything that devices say they gave away, item by item."""
    functions = {f.version: f for task in TASKS for f in task.functions}
    task = TASKS[0]
    total = KeyedSums.empty(versions, classes=2)
    for phone in fleet.phones:
        payloads = phone.pool.payloads()
        items = items_of(payloads, task.input, np.full((len(payloads), 2), 0.5))
        compiled = compile_functions([functions[v] for v in versions], task.input, task.classes)
        votes = compiled.vote(items)
        for state, places in released(phone.pool).items():
            alone, pairs = state.missing(versions)
            for place in places:
                row = VoteSummary.from_votes(votes[[place]], classes=2)
                total += KeyedSums(
                    versions=versions,
                    votes=VoteSummary(
                        items=int(state.anything),
                        counts=row.counts * ~alone[:, None],
                        co_votes=row.co_votes * ~pairs,
                        agreements=row.agreements * ~pairs,
                    ),
                    anchors=AnchorSummary.empty(functions=len(versions), classes=2),
                    seen=(~alone).astype(np.int64),
                )
        for state, places in released(phone.pool, "anchored").items():
            alone, _ = state.missing(versions)
            for place in [p for p in places if state.anything]:
                label = np.array([fleet.answered[phone.number, int(place)]])
                row_anchors = AnchorSummary.from_votes(votes[[place]], label, classes=2)
                total += KeyedSums(
                    versions=versions,
                    votes=VoteSummary.empty(functions=len(versions), classes=2),
                    anchors=AnchorSummary(
                        tables=row_anchors.tables * ~alone[:, None, None], items=row_anchors.items
                    ),
                    seen=np.zeros(len(versions), dtype=np.int64),
                )
    return total


def same(one: KeyedSums, other: KeyedSums) -> bool:
    there = other.select(one.versions)
    return (
        one.votes == there.votes
        and one.anchors == there.anchors
        and one.seen.tolist() == there.seen.tolist()
    )


phones = st.integers(0, DEVICES - 1)
places = st.integers(0, len(TASKS) - 1)
steps = st.one_of(
    st.tuples(st.just("survey"), phones, st.booleans()),
    st.tuples(st.just("trial"), phones, places),
    st.tuples(st.just("promote"), places, places),
    st.tuples(st.just("install"), phones, places),
    st.tuples(st.just("answer"), phones, st.integers(0, ITEMS - 1)),
    st.tuples(st.just("again"), phones, places),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(steps, max_size=24))
def test_whatever_the_order_each_item_is_in_each_sum_of_a_version_once(
    history: list[tuple[str, int, int]],
) -> None:
    fleet = Fleet()
    for what, one, two in history:
        match what:
            case "survey":
                fleet.survey(fleet.phones[one], lost=bool(two))
            case "trial":
                fleet.attempt(fleet.phones[one], two)
            case "promote" if one > fleet.current:
                fleet.promote(one)
            case "install":
                fleet.phones[one].take(max(fleet.current, fleet.phones[one].runs))
            case "answer":
                fleet.answer(fleet.phones[one], two)
            case "again":
                fleet.ask_again()
    fleet.ask_again()
    whole = fleet.ledger.whole()
    assert same(whole, brute_force(fleet, whole.versions))
    # and once everybody was surveyed, nothing is missing of the task's own functions
    for phone in fleet.phones:
        phone.take(max(fleet.current, phone.runs))
        fleet.survey(phone, lost=False)
    if all(phone.runs == fleet.current for phone in fleet.phones):
        own = TASKS[fleet.current].versions
        final = fleet.ledger.whole().select(own)
        assert final.seen.tolist() == [ITEMS * DEVICES] * len(own)
        votes = [phone.agent.votes for phone in fleet.phones]
        assert final.votes == VoteSummary.from_votes(np.concatenate(votes), classes=2)
    for phone in fleet.phones:
        phone.pool.close()
    fleet.store.close()


def test_a_trial_adds_what_is_new_and_nothing_twice() -> None:
    fleet = Fleet()
    for phone in fleet.phones:
        fleet.survey(phone, lost=False)
    before = fleet.ledger.whole()
    fleet.attempt(fleet.phones[0], 2)
    once = fleet.ledger.whole()
    assert same(before, once.select(before.versions))
    assert once.seen.tolist() == [18, 18, 6, 6]
    fleet.attempt(fleet.phones[0], 2)
    fleet.attempt(fleet.phones[0], 1)
    assert same(once, fleet.ledger.whole())
    # promoted, the rest of the fleet adds its part; the first device has nothing to add
    fleet.promote(2)
    for phone in fleet.phones:
        phone.take(2)
        fleet.survey(phone, lost=False)
    assert fleet.ledger.whole().select(TASKS[2].versions).seen.tolist() == [18, 18, 18]


def test_an_answer_anchors_each_version_once_whichever_way_it_came_to_it() -> None:
    fleet = Fleet()
    for phone in fleet.phones:
        fleet.survey(phone, lost=False)
        for place in range(ITEMS - 1):
            fleet.answer(phone, place)
    fleet.attempt(fleet.phones[0], 2)  # the first device anchors the new versions in the trial
    fleet.promote(2)
    for phone in fleet.phones:
        phone.take(2)
        fleet.answer(phone, ITEMS - 1)  # the others with their next answer
    whole = fleet.ledger.whole()
    assert same(whole, brute_force(fleet, whole.versions))
    own = whole.select(TASKS[2].versions).anchors
    assert own.items.sum() == ITEMS * DEVICES
    expected = AnchorSummary.empty(functions=3, classes=2)
    for phone in fleet.phones:
        answers = phone.pool.column("answer")
        expected += AnchorSummary.from_votes(phone.agent.votes, answers, classes=2)
    assert own == expected


def test_releases_of_one_task_are_one_family() -> None:
    assert len({task.family for task in TASKS}) == 1
    assert len({task.digest for task in TASKS}) == len(SETS) - 1
    renamed = SMALL_FILES["task.toml"].replace(b'"small"', b'"another"')
    other = task_of(signed((A, B), 9, files={**SMALL_FILES, "task.toml": renamed}))
    assert other.family != TASKS[0].family
