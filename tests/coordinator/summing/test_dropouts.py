"""Devices that fall silent anywhere: a sum is that of the devices that are said to be in it."""

from collections.abc import Iterator

import numpy as np
import pytest

from coordinator.models.training import first_model, with_head
from coordinator.settings import InputSettings
from coordinator.store.campaign import open_store
from coordinator.store.rows import KnownDevice
from coordinator.summing import Summing
from fieldvote.heads import EvaluateReply, EvaluateRequest
from fieldvote.records import DeviceId, Request, decode, encode
from fieldvote.rng import stream
from fieldvote.summed_fields import COHORT
from fieldvote.sums import (
    ConfirmRequest,
    EpochRequest,
    MaskRequest,
    Roster,
    SummedRequest,
    UnmaskRequest,
)
from strategies.aggregation.summed_head import Head
from strategies.representation import Moments
from tests.coordinator.rounds.campaign import Fleet, TurnedClock
from tests.coordinator.summing.fleets import SECURE, make_fleet, signer_of
from tests.doubles.transport import MemoryTransport

DEVICES = [DeviceId(n) for n in range(1, 14)]
LEGS: tuple[type[Request], ...] = (
    SummedRequest,
    MaskRequest,
    ConfirmRequest,
    UnmaskRequest,
    EpochRequest,
    Roster,
)
WINDOW_S = 60.0


@pytest.fixture(name="fleet", scope="module")
def _fleet() -> Iterator[Fleet]:
    fleet = make_fleet(training=0, held_out=len(DEVICES))
    yield fleet
    fleet.close()


def _question(number: int) -> EvaluateRequest:
    """Return a question that every device of this fleet has something to say to."""
    rng = stream(8, "a head", number)
    blank = first_model(
        Moments.from_embeddings(rng.normal(size=(50, 3))), InputSettings(), classes=2, seed=1
    )
    weights = rng.integers(-(1 << 20), 1 << 20, size=(4, 2))
    return EvaluateRequest(round=number, model=with_head(blank, Head(weights=weights)))


def _alone(fleet: Fleet, device: DeviceId, question: EvaluateRequest) -> list[int]:
    """Return what one device has to say; a test may ask it, a coordinator may not."""
    reply, _ = fleet.agents[device]._answer(question)
    assert isinstance(reply, EvaluateReply)
    return [*reply.confusion.tolist(), 0, 0, 0, 0]


class Summed:
    """A sum asked for over a network that loses what it is told to lose."""

    def __init__(self, fleet: Fleet, epoch: int) -> None:
        self.fleet, self.clock = fleet, TurnedClock()
        self.clock.sleep(1000.0 * epoch)  # each coordinator's epochs are newer than the last one's
        self.store = open_store(None, now=self.clock.now)
        self.network: MemoryTransport = fleet.transport()
        for device in DEVICES:
            self.store.meet(
                KnownDevice(
                    id=device,
                    evaluates=True,
                    items=6,
                    signing_key=signer_of(device).public,
                    sealing_key=bytes(32),
                )
            )
        self.summing = Summing(self.network, self.store, SECURE.policy.cohort, now=self.clock.now)

    def ask(self, question: EvaluateRequest) -> tuple[list[int] | None, set[DeviceId]]:
        """Return what the cohort comes to, and who is said to be in it."""
        alone = dict.fromkeys(DEVICES, encode(question))
        tickets = dict(self.summing.push(self.summing.with_cohort(alone), ttl_s=WINDOW_S))
        total, members = None, set()
        for _ in range(200):
            for came in self.summing.pull(tuple(tickets), wait_s=0.0):
                del tickets[came.ticket]
                if came.device == COHORT and came.reply is not None:
                    total = decode(came.reply, EvaluateReply).confusion.tolist()
                elif came.reply is not None:
                    members.add(came.device)
            if not tickets:
                break
            self.clock.sleep(1.0)
        self.store.close()
        return total, members


@pytest.mark.parametrize("seed", range(12))
def test_a_sum_is_exact_or_there_is_none(fleet: Fleet, seed: int) -> None:
    rng = stream(9, "dropouts", seed)
    asked = Summed(fleet, epoch=seed)
    for _ in range(int(rng.integers(1, 4))):
        lost = DEVICES[rng.integers(len(DEVICES))], LEGS[rng.integers(len(LEGS))]
        (asked.network.silent if rng.random() < 0.5 else asked.network.late).add(lost)
    question = _question(seed)
    expected = {device: _alone(fleet, device, question) for device in DEVICES}
    total, members = asked.ask(question)
    assert total is not None, "three of thirteen may fall silent"
    assert len(members) >= 10
    assert total == np.sum([expected[device] for device in members], axis=0).tolist()


def test_with_too_few_left_there_is_no_sum(fleet: Fleet) -> None:
    asked = Summed(fleet, epoch=100)
    asked.network.silent = {(device, MaskRequest) for device in DEVICES[:4]}
    total, members = asked.ask(_question(100))
    assert total is None
    assert not members


def test_a_sum_that_many_have_left_is_made_when_they_are_back(fleet: Fleet) -> None:
    asked = Summed(fleet, epoch=101)
    asked.network.away = set(DEVICES[:4])
    question = _question(101)
    sleep, turned = asked.clock.sleep, []

    def come_back(seconds: float) -> None:
        turned.append(seconds)
        if len(turned) == 20:
            asked.network.away = set()
        sleep(seconds)

    asked.clock.sleep = come_back  # type: ignore[method-assign]  # a clock that brings people back
    total, members = asked.ask(question)
    assert total is not None
    assert len(members) >= 10
