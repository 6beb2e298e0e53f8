"""Whole campaigns over secure sums, beside the same campaigns over plain ones."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from coordinator.rounds.events import Evaluated, Quarantined, Trained
from edge.payload import Payload
from edge.pool import Pool
from fieldvote.codec import IntVector
from fieldvote.errors import UnavailableError, WireError
from fieldvote.records import REQUESTS, AnswersRequest, DeviceId, decode, encode
from fieldvote.summed_fields import question_of
from fieldvote.sums import MaskedInput, MaskRequest, SummedRequest
from tests.coordinator.rounds.campaign import TASK, totals_of
from tests.coordinator.summing.fleets import SETTINGS, Secure, make_fleet, means_of
from tests.coordinator.summing.legs import SURVEY

ROUNDS = 2


@pytest.fixture(name="secure")
def _secure() -> Iterator[Secure]:
    campaign = Secure(make_fleet())
    yield campaign
    campaign.close()


@pytest.fixture(name="plain", scope="module")
def _plain() -> Iterator[Secure]:
    campaign = Secure(make_fleet(task=TASK), task=TASK)
    campaign.run(ROUNDS)
    yield campaign
    campaign.close()


def _heads(campaign: Secure) -> list[str]:
    return [event.model for event in campaign.scheduler.events if isinstance(event, Trained)]


def _counts(campaign: Secure) -> list[tuple[int, ...]]:
    found = [event for event in campaign.scheduler.events if isinstance(event, Evaluated)]
    assert all(event.calibration for event in found)
    return [(*event.held_out, *event.random_arm, *event.calibration) for event in found]


def _spied(monkeypatch: pytest.MonkeyPatch) -> list[IntVector]:
    """Return the vectors that devices will have to add, as they are made."""
    vectors: list[IntVector] = []
    keep = Payload.keep

    def spy(self: Payload, pool: Pool) -> None:
        vectors.append(self.vector)
        keep(self, pool)

    monkeypatch.setattr(Payload, "keep", spy)
    return vectors


def _seen(vectors: list[IntVector], crossed: bytes) -> int:
    """Count vectors of which a part crossed as it is, in any width."""
    found = 0
    for vector in vectors:
        busy = np.flatnonzero(vector)
        if len(busy) < 4 or busy[3] - busy[0] > 40:
            continue
        part = vector[busy[0] : busy[3] + 1]
        widths = [part.astype("<i8"), part.astype("<i4"), part.astype("<i2")]
        found += any(whole.tobytes() in crossed for whole in widths)
    return found


def test_heads_and_counts_are_those_of_plain_sums_to_the_bit(secure: Secure, plain: Secure) -> None:
    secure.run(ROUNDS)
    assert _heads(secure) == _heads(plain)
    assert len(set(_heads(secure))) == ROUNDS
    assert _counts(secure) == _counts(plain)
    ours, theirs = totals_of(secure.store), totals_of(plain.store)
    assert {name: sum(ours[name]) for name in ours} == {n: sum(theirs[n]) for n in theirs}
    assert not secure.parts.inbox.dropped
    assert not secure.summing.dropped


@pytest.mark.slow
def test_heads_that_are_averaged_are_the_same_too() -> None:
    settings = replace(SETTINGS, learner="averaged")
    heads = []
    for fleet, task in ((make_fleet(task=TASK), TASK), (make_fleet(), None)):
        campaign = Secure(fleet, settings=settings, **({} if task is None else {"task": task}))
        campaign.run(1)
        heads.append(_heads(campaign))
        campaign.close()
    assert heads[0] == heads[1]


def test_no_vector_of_a_device_crosses(secure: Secure, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = _spied(monkeypatch)
    secure.run(1)
    crossed = b"".join(blob for _, _, blob in secure.network.replies)
    assert len(vectors) > 100
    assert _seen(vectors, crossed) == 0


def test_without_masks_the_same_scan_finds_them(
    secure: Secure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("privacy.secagg.client.add_streams", lambda *_: None)
    monkeypatch.setattr("privacy.secagg.server.add_streams", lambda *_: None)
    vectors = _spied(monkeypatch)
    secure.run(1)
    crossed = b"".join(blob for _, _, blob in secure.network.replies)
    assert _seen(vectors, crossed) > 50


def test_a_device_that_missed_a_sum_is_in_the_next_one(secure: Secure, plain: Secure) -> None:
    away = DeviceId(3)
    secure.network.silent = {(away, SummedRequest)}
    secure.run(1)
    assert not secure.fleet.pools[away].column("summed").any()
    secure.network.silent = set()
    secure.run(ROUNDS - 1)
    for name in ("votes", "voted items"):
        ours, theirs = secure.store.total(name), plain.store.total(name)
        assert ours is not None
        assert theirs is not None
        assert ours.tolist() == theirs.tolist()


def test_answers_whose_sum_was_missed_are_in_a_later_one(secure: Secure) -> None:
    away = DeviceId(3)
    handle, missed = secure.network.handlers[away], []

    def misses_one_sum(request: bytes) -> bytes:
        message = decode(request, *REQUESTS)
        if isinstance(message, SummedRequest) and message.deposit and not missed:
            asked = question_of(message)
            if isinstance(asked, AnswersRequest) and asked.round == 2:
                missed.append(asked)
                raise UnavailableError("gone for a moment")
        return handle(request)

    secure.network.handlers = {**secure.network.handlers, away: misses_one_sum}
    secure.run(2)
    pool = secure.fleet.pools[away]
    assert missed
    secure.scheduler.turn()
    owed = (pool.column("answer") >= 0) & (pool.column("anchored") == 0)
    assert owed.sum() == len(missed[0].answers)
    secure.run(1)
    answered = pool.column("answer") >= 0
    assert ((pool.column("anchored") > 0) == answered).all()


def test_a_device_that_checks_in_and_is_gone_does_not_hold_a_sum_up(secure: Secure) -> None:
    away = DeviceId(3)
    secure.network.silent = {(away, MaskRequest)}
    secure.run(1)
    assert _heads(secure)
    assert any("lost" in why for why in secure.summing.dropped)


def test_a_fleet_too_small_for_a_sum_is_told_so() -> None:
    campaign = Secure(make_fleet(training=8, held_out=1))
    assert not campaign.summing.too_few({}), "nobody is asked"
    question = encode(SURVEY)
    few = dict.fromkeys(campaign.agents, question)
    assert campaign.summing.too_few(few) == "9 devices are there, 10 are needed for a sum"
    said = ""
    for _ in range(20):
        rest = campaign.scheduler.turn()
        said = rest.about if rest else said
        campaign.clock.sleep(1.0)
    assert "8 training devices are there, 10 are needed" in said
    campaign.close()


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (0, "0 of 14 devices give a key for sums, 10 are needed"),
        (13, "0 of 14 devices take a seat: each looks for all others in its directory"),
    ],
    ids=["no directory", "a directory without the newest device"],
)
def test_who_waits_for_a_sum_is_told_what_keeps_it_from_being_made(known: int, said: str) -> None:
    campaign = Secure(make_fleet())
    for number, agent in campaign.agents.items():
        means = means_of(int(number), known) if known else None
        object.__setattr__(agent._parts, "secure", means)
    heard = set[str]()
    for _ in range(40):
        rest = campaign.scheduler.turn()
        heard |= {rest.about} if rest else set()
        campaign.clock.sleep(1.0)
    assert any(said in line for line in heard), heard
    campaign.close()


def test_a_sum_that_a_device_spoils_is_not_opened_and_a_person_is_called(secure: Secure) -> None:
    def spoilt(reply: bytes) -> bytes:
        try:
            masked = decode(reply, MaskedInput)
        except WireError:
            return reply
        return encode(replace(masked, commitment=bytes(32)))

    secure.network.corrupt = {DeviceId(3): spoilt}
    with pytest.raises(UnavailableError, match="quarantined"):
        secure.run(1)
    [event] = [event for event in secure.scheduler.events if isinstance(event, Quarantined)]
    assert "a sum cannot be opened" in event.reason
    assert "votes" not in totals_of(secure.store)
