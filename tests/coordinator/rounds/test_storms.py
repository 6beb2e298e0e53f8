"""Whole campaigns in bad weather, with a failing disk and crashes: every seed is another storm."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coordinator.labels.consensus import Verdict, judge
from coordinator.labels.desk import Seat
from coordinator.models.shelf import digest_of
from coordinator.rounds.campaign import STREAM, CampaignState, load_state, replay_campaign
from coordinator.rounds.events import Resolved, load_event
from coordinator.rounds.machine import Phase
from coordinator.settings import BudgetSettings, LabelingSettings, PaceSettings
from coordinator.store.budget import Resource
from coordinator.store.campaign import Store
from coordinator.store.verify import verify
from edge.agent import served_by
from fieldvote.errors import StoreError
from fieldvote.records import (
    REQUESTS,
    AnswersRequest,
    CollectRequest,
    MaskedItem,
    SurveyRequest,
    decode,
)
from strategies.labeling import VoteSummary
from tests.coordinator.rounds.campaign import Campaign, Reader, settings_with
from tests.doubles.weather import StormyNetwork, Weather

pytestmark = pytest.mark.slow  # a campaign for each seed

_ROUNDS = 3
_SEEDS = 20  # and a thousand each night
_LABELS = 8
_HOURS = 48
_BAD_DISK, _CRASH = 0.02, 0.01
_SETTINGS = settings_with(
    exchanges=2,
    deadline_s=20.0,
    pace=PaceSettings(open_rounds=2, minimum_share=0.4, answered_share=0.7),
    budget=BudgetSettings(labels=_LABELS),
)
# two people answer each item, and where they differ an expert does
_COMPANY = replace(
    _SETTINGS,
    labeling=LabelingSettings(answers=2),
    budget=BudgetSettings(labels=3 * _LABELS),
)


class Contrary(Reader):
    """Sees the opposite in every other item."""

    def answer(self, item: MaskedItem) -> int | None:
        read = super().answer(item) or 0
        return 1 - read if item.item[0] % 2 else read


class Storm(Campaign):
    """A campaign whose network, disk and process fail as a seed says."""

    def __init__(self, seed: int, *, bad_disk: float, crashes: float) -> None:
        self.rng = np.random.default_rng([seed, 7])
        super().__init__(_COMPANY if seed % 2 else _SETTINGS, answers_wait_s=300.0)
        if seed % 2:
            boss = Seat(annotator=Reader(), name="boss", expert=True)
            self.people = (self.reader, Seat(annotator=Contrary(), name="bob"), boss)
        self.most = self.settings.budget.labels or 0
        self.read, self.replayed = 0, CampaignState()  # what the stored events lead to
        self.network = StormyNetwork(  # type: ignore[assignment]  # another transport
            handlers={device: agent.handle for device, agent in self.fleet.agents.items()},
            clock=self.clock,
            weather=Weather(),
            rng=self.rng,
        )
        self.bad_disk, self.crashes = bad_disk, crashes
        self.scheduler = self.started(rounds=_ROUNDS)

    def run_to_the_end(self) -> None:
        """Turn, and be started again after whatever ends the process."""
        end = self.clock.now().timestamp() + 3600 * _HOURS
        while not self.scheduler.finished:
            assert self.clock.now().timestamp() < end, f"stuck: {self.scheduler.turn()}"
            try:
                with self._failing_disk():
                    rest = self.scheduler.turn()
            except StoreError:
                self.scheduler = self.started(rounds=_ROUNDS)
                continue
            self.check()
            if self.rng.random() < self.crashes:
                self.scheduler = self.started(rounds=_ROUNDS)
            if rest is not None:
                if (
                    rest.about == "the budget for labels is spent"
                    and not self.scheduler.campaign.open
                ):
                    return
                self.clock.sleep(1.0)

    @contextmanager
    def _failing_disk(self) -> Iterator[None]:
        """Let a transaction fail before it is durable, now and then."""
        transaction, rng, share = Store.transaction, self.rng, self.bad_disk

        @contextmanager
        def failing(store: Store) -> Iterator[None]:
            with transaction(store):
                yield
                if rng.random() < share:
                    raise StoreError("the disk failed")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Store, "transaction", failing)
            yield

    def check(self) -> None:
        """Look at everything that must hold after every step."""
        campaign = self.scheduler.campaign
        events = [load_event(*row) for row in self.store.events(STREAM, after=self.read - 1)]
        self.read += len(events)
        self.replayed = replay_campaign(events, self.replayed)
        assert self.replayed == campaign
        paid, _ = self.store.paid()
        labels = self.store.kept_labels()
        assert sum(self.answered().values()) <= len(labels) <= paid <= self.most
        for kept in labels:
            verdict = judge([answer for answer, _ in kept.answers], self.settings.labeling)
            assert isinstance(verdict, Verdict)
            assert (verdict.label, verdict.method) == (kept.label.label, kept.label.method)
        spending = self.store.budget()[Resource.LABELS]
        assert spending.reserved + spending.spent <= self.most
        holding = {Phase.FITTING, Phase.SNAPSHOT, Phase.TRAINING, Phase.EVALUATING, Phase.GATE,
                   Phase.CANARY, Phase.ROLLING_OUT}  # fmt: skip
        assert sum(state.phase in holding for state in campaign.open) <= 1
        assert not any(state.phase is Phase.QUARANTINED for state in campaign.open)

    def _hear_everything_again(self) -> None:
        """Let every reply there ever was come in once more, as a network may do any time later."""
        phases = {SurveyRequest: "survey", CollectRequest: "collect", AnswersRequest: "answers"}
        campaign = self.scheduler.campaign
        for device, request, reply in self.network.answered:  # type: ignore[attr-defined]  # stormy
            asked = decode(request, *REQUESTS)
            if type(asked) in phases and device in self.store.devices():
                with self.store.transaction():
                    phase = phases[type(asked)]
                    self.scheduler._steps.late(campaign, asked.round, phase, {device: reply})

    def check_the_end(self) -> None:
        """In fair weather everything that was late arrives, and the sums are those of the pools."""
        self.bad_disk = self.crashes = 0.0
        self.network.settle()  # type: ignore[attr-defined]  # a stormy one
        for _ in range(200):
            self.scheduler.turn()
            self.clock.sleep(6.0)
            if not self.store.overdue(99):
                break
        assert self.store.overdue(99) == []
        assert load_state(self.store)[1] == self.scheduler.campaign
        assert replay_campaign(self.scheduler.events) == self.scheduler.campaign
        assert verify(self.store.database).faults == ()
        self._hear_everything_again()
        votes = sum(
            (
                VoteSummary.from_votes(
                    agent.votes[self.fleet.pools[d].column("summed") > 0], classes=2
                )
                for d, agent in self.fleet.agents.items()
            ),
            start=VoteSummary.empty(functions=2, classes=2),
        )
        total = self.store.total("votes")
        assert total is not None
        assert total.tolist() == votes.to_vector().tolist()
        anchors = self.store.total("anchors")
        delivered = 0 if anchors is None else int(sum(anchors[:2]))
        assert delivered == sum(self.answered().values())
        counted = sum(event.answers for event in self.events(Resolved))
        assert counted <= self.store.paid()[0]
        known = self.store.devices()
        heads = [served_by(self.fleet.pools[device]).model for device in known]
        served = {"" if head is None else digest_of(head) for head in heads}
        assert served == {self.scheduler.campaign.served}


def weather(seed: int, *, bad_disk: float = _BAD_DISK, crashes: float = _CRASH) -> None:
    """Run one storm; whoever sees it fail can see it again."""
    try:
        with closing(Storm(seed, bad_disk=bad_disk, crashes=crashes)) as storm:
            storm.run_to_the_end()
            storm.check_the_end()
    except AssertionError as err:
        here = Path(__file__).relative_to(Path(__file__).parents[3])
        test, mark = "test_a_storm", "slow"
        if seed >= _SEEDS:
            test, mark = "test_a_storm_in_the_night", "nightly"
        again = f"python -m pytest -m {mark} '{here}::{test}[{seed}]'"
        raise AssertionError(f"{err}\nagain: {again}") from err


@pytest.mark.parametrize("seed", range(_SEEDS))
def test_a_storm(seed: int) -> None:
    weather(seed)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(_SEEDS, 1000))
def test_a_storm_in_the_night(seed: int) -> None:
    weather(seed)


# mutants: each takes one protection out, and some storm must show it


def _admits_everything(patch: pytest.MonkeyPatch) -> None:
    admit = Store.admit

    def always(self: Store, message: str) -> bool:
        admit(self, message)
        return True

    patch.setattr(Store, "admit", always)


def _loses_its_windows(patch: pytest.MonkeyPatch) -> None:
    for module in ("exchange", "steps"):
        patch.setattr(f"coordinator.rounds.{module}.is_over", lambda *_: False)


def _reserves_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "reserve", lambda *_: None)
    patch.setattr(Store, "settle_budget", lambda *_, **__: None)


def _devices_answer_anew(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("edge.pool.Pool.recall", lambda _self, _name: None)


MUTANTS = {
    "a reply is counted as often as it comes": _admits_everything,
    "no window ever ends": _loses_its_windows,
    "nothing is reserved": _reserves_nothing,
    "devices answer the same request anew": _devices_answer_anew,
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_protection_that_is_taken_out_is_noticed(
    monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    MUTANTS[mutant](monkeypatch)
    monkeypatch.setattr("tests.coordinator.rounds.test_storms._HOURS", 1)
    for seed in range(12):
        try:
            # a process that is started anew asks anew, and would hide a window that never ends
            weather(seed, bad_disk=0.0, crashes=0.0)
        except Exception:  # a house that falls apart is noticed too
            return
    raise AssertionError(f"no storm shows that {mutant}")


@pytest.mark.parametrize(
    ("seed", "again"),
    [
        (3, "pytest -m slow 'tests/coordinator/rounds/test_storms.py::test_a_storm[3]'"),
        (57, "test_storms.py::test_a_storm_in_the_night[57]'"),
    ],
)
def test_a_storm_that_fails_says_how_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch, seed: int, again: str
) -> None:
    def fail(_self: Storm) -> None:
        raise AssertionError("something does not hold")

    monkeypatch.setattr(Storm, "check", fail)
    with pytest.raises(AssertionError) as caught:
        weather(seed)
    assert again in str(caught.value)
