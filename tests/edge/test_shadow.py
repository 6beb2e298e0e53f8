"""Trials on a device: what an honest coordinator gets, and what a lying one does not."""

from collections.abc import Iterator

import numpy as np
import pytest

from edge.pool import Pool
from edge.sums import enter
from fieldvote.errors import RefusalError, SignatureError
from fieldvote.records import DeviceId, SurveyReply, decode, encode
from fieldvote.releases import TrialReply, TrialRequest
from strategies.labeling import AnchorSummary, VoteSummary
from strategies.new_columns import new_anchors, new_votes, spread
from tests.coordinator.releases.signed import (
    A2,
    A_LOW,
    A,
    B,
    files_of,
    install,
    proposer,
    signed,
    survey_of,
    task_of,
    trial_of,
)
from tests.coordinator.rounds.campaign import make_agent, make_fleet
from tests.doubles.owner import STRANGER

FIRST = signed((A, B), 3)
NEXT = signed((A2, B, A_LOW), 4)
TASK, AFTER = task_of(FIRST), task_of(NEXT)


class Phone:
    """One device with the first release installed."""

    def __init__(self, number: int = 1) -> None:
        self.pool = make_fleet(training=2, held_out=0, items=12).pools[DeviceId(number)]
        install(self.pool, TASK)
        self.agent = make_agent(self.pool, number, False, task=TASK, propose=proposer(FIRST, 3))

    def survey(self, number: int = 1) -> SurveyReply:
        return decode(self.agent.handle(encode(survey_of(TASK, number))), SurveyReply)

    def attempt(self, request: TrialRequest) -> TrialReply:
        return decode(self.agent.handle(encode(request)), TrialReply)


@pytest.fixture
def phone() -> Iterator[Phone]:
    made = Phone()
    made.survey()
    yield made
    made.pool.close()


def contents(pool: Pool) -> list[tuple[object, ...]]:
    return [*pool.rows("SELECT * FROM item"), *pool.rows("SELECT * FROM note ORDER BY name")]


def is_nothing(reply: TrialReply) -> bool:
    expected = TrialReply.nothing(reply.round)
    return encode(reply) == encode(expected)


def test_a_trial_counts_what_is_new_beside_what_is_old_and_nothing_old_alone(
    phone: Phone,
) -> None:
    reply = phone.attempt(trial_of(TASK, NEXT))
    assert (reply.task, reply.items) == (AFTER.digest, 12)
    assert reply.seen.tolist() == [12, 12]
    numbers = spread(reply.votes, new_votes(4, 2, classes=2))
    votes = VoteSummary.from_vector(numbers, functions=4, classes=2)
    other = make_agent(phone.pool, 1, False, task=AFTER)
    joint = np.concatenate([phone.agent.votes, other.votes[:, [0, 2]]], axis=1)
    whole = VoteSummary.from_votes(joint, classes=2)
    old = VoteSummary.from_votes(phone.agent.votes, classes=2)
    assert votes.items == 0
    assert votes.counts.tolist() == [[0, 0], [0, 0], *whole.counts[2:].tolist()]
    assert (whole.co_votes - votes.co_votes)[:2, :2].tolist() == old.co_votes.tolist()
    assert (whole.agreements - votes.agreements)[2:].sum() == 0
    assert reply.errors.tolist() == [0, 0]
    assert len(reply.micros) == 2


def test_in_shadow_nothing_changes_but_what_was_summed(phone: Phone) -> None:
    def live() -> list[tuple[object, ...]]:
        return phone.pool.rows("SELECT position, payload, arm, answer, answered_in FROM item")

    before = (live(), phone.agent.votes.copy(), phone.pool.note("offers"))
    phone.attempt(trial_of(TASK, NEXT))
    assert (live(), phone.pool.note("offers")) == (before[0], before[2])
    assert phone.agent.votes.tolist() == before[1].tolist()
    # the next survey of the device's own functions has nothing to add
    again = phone.survey(2)
    assert (again.items, len(again.votes)) == (0, 0)


def test_the_same_request_again_is_answered_with_the_same_bytes(phone: Phone) -> None:
    request = encode(trial_of(TASK, NEXT))
    spent = phone.agent.handle(request)
    held = contents(phone.pool)
    assert phone.agent.handle(request) == spent
    assert contents(phone.pool) == held


def test_items_in_no_sum_yet_are_not_tried_on() -> None:
    fresh = Phone()
    assert is_nothing(fresh.attempt(trial_of(TASK, NEXT)))
    fresh.pool.close()


def test_a_second_trial_of_the_same_functions_says_nothing_whatever_it_is_called(
    phone: Phone,
) -> None:
    """Differencing: two trials over cohorts that differ by one device subtract to that device."""
    assert phone.attempt(trial_of(TASK, NEXT, number=1)).items == 12
    held = contents(phone.pool)
    # as another release of the same bundle; signed anew; in another company of functions
    renamed = trial_of(TASK, NEXT, number=2)
    resigned = trial_of(TASK, signed((A2, B, A_LOW), 5), number=3)
    fewer = trial_of(TASK, signed((A2, B), 6), number=4)
    for request in (renamed, resigned, fewer):
        assert is_nothing(phone.attempt(request))
    assert contents(phone.pool) == held


def test_an_item_that_comes_later_is_all_that_a_later_trial_is_about(phone: Phone) -> None:
    phone.attempt(trial_of(TASK, NEXT))
    pool = phone.pool
    pool.add([b"late" * 4], [pool.payloads()[0]])
    later = make_agent(pool, 1, False, task=TASK, propose=proposer(FIRST, 3))
    later.handle(encode(survey_of(TASK, number=2)))
    reply = decode(later.handle(encode(trial_of(TASK, NEXT, number=2))), TrialReply)
    assert (reply.items, reply.seen.tolist()) == (1, [1, 1])


def lies() -> dict[str, tuple[TrialRequest, type[Exception]]]:
    """Return what a coordinator may try, and what stops it."""
    honest = trial_of(TASK, NEXT)
    changed = files_of(NEXT)["functions.toml"].replace(b"0.2", b"0.20001")
    richer = {**files_of(FIRST), "policy.toml": b"[limits]\ncandidates = 9999\n"}
    richer.pop("targets.msgpack")

    def sent(**changes: object) -> TrialRequest:
        fields = {name: getattr(honest, name) for name in ("round", "task", "targets")}
        return TrialRequest(**{**fields, "functions": honest.functions, **changes})  # type: ignore[arg-type]  # as named

    return {
        "signed by a stranger": (
            trial_of(TASK, signed((A2, B), 4, owner=STRANGER)),
            SignatureError,
        ),
        "other functions than were signed": (sent(functions=changed), SignatureError),
        "no functions at all": (sent(functions=b"\xff"), SignatureError),
        "functions of other fields": (sent(functions=A.replace(b'"a"', b'"z"')), SignatureError),
        "signed with another policy": (
            trial_of(TASK, signed((A2, B), 4, files=richer)),
            SignatureError,
        ),
        "no targets": (sent(targets=b""), SignatureError),
        "asked of another task": (sent(task="0" * 64), RefusalError),
    }


@pytest.mark.parametrize("lie", list(lies()))
def test_what_the_owner_did_not_sign_is_refused_and_changes_nothing(phone: Phone, lie: str) -> None:
    request, error = lies()[lie]
    held = contents(phone.pool)
    with pytest.raises(error):
        phone.agent.handle(encode(request))
    assert contents(phone.pool) == held


def test_an_old_version_is_never_tried_again(phone: Phone) -> None:
    """What a version was replaced for, its sums would still tell."""
    old = signed((A2, B), 2)
    assert is_nothing(phone.attempt(trial_of(TASK, old)))
    assert is_nothing(phone.attempt(trial_of(TASK, signed((A2, B), 3), number=2)))


def test_a_device_that_trusts_no_key_tries_nothing() -> None:
    pool = make_fleet(training=1, held_out=0).pools[DeviceId(1)]
    agent = make_agent(pool, 1, False, task=TASK)
    with pytest.raises(SignatureError):
        agent.handle(encode(trial_of(TASK, NEXT)))
    pool.close()


def test_a_device_that_only_evaluates_tries_nothing() -> None:
    pool = make_fleet(training=0, held_out=1).pools[DeviceId(1)]
    agent = make_agent(pool, 1, True, task=TASK, propose=proposer(FIRST, 3))
    with pytest.raises(RefusalError, match="only evaluates"):
        agent.handle(encode(trial_of(TASK, NEXT)))
    pool.close()


def test_a_request_of_another_task_is_refused_and_one_of_a_release_before_is_not() -> None:
    phone = Phone()
    with pytest.raises(RefusalError, match="this device runs"):
        phone.agent.handle(encode(survey_of(AFTER)))
    first = phone.agent.handle(encode(survey_of(TASK)))
    install(phone.pool, AFTER)
    updated = make_agent(phone.pool, 1, False, task=AFTER, propose=proposer(NEXT, 4))
    # the reply that was lost is still there; a survey it never saw is met with what it runs now
    assert updated.handle(encode(survey_of(TASK))) == first
    later = decode(updated.handle(encode(survey_of(TASK, number=2))), SurveyReply)
    assert later.task == AFTER.digest
    assert later.renewed.tolist() == [12, 0, 12]
    # and a trial it missed says nothing: these are its own functions
    trial = decode(updated.handle(encode(trial_of(TASK, NEXT))), TrialReply)
    assert is_nothing(trial)
    phone.pool.close()


def test_answers_given_before_are_counted_once_for_a_new_version(phone: Phone) -> None:
    pool = phone.pool
    for place in (0, 3):
        pool.mark_shipped(place, 0)
        pool.answer(place, place % 2, 1)
    enter(pool, np.array([0, 3]), TASK.versions, "anchored")
    reply = phone.attempt(trial_of(TASK, NEXT))
    numbers = spread(reply.anchors, new_anchors(4, 2, classes=2))
    anchors = AnchorSummary.from_vector(numbers, functions=4, classes=2)
    other = make_agent(pool, 1, False, task=AFTER).votes[[0, 3]][:, [0, 2]]
    expected = AnchorSummary.from_votes(other, np.array([0, 1]), classes=2)
    assert anchors.items.tolist() == [0, 0]
    assert anchors.tables[:2].sum() == 0
    assert anchors.tables[2:].tolist() == expected.tables.tolist()


MODEL_RULE = (
    b'[[function]]\nid = "sure"\nkind = "model"\nclass = "high"\nowner = "test"\nminimum = 0.4\n'
)


def test_a_function_that_reads_the_model_is_given_what_the_model_says(phone: Phone) -> None:
    reply = phone.attempt(trial_of(TASK, signed((A, B, MODEL_RULE), 4)))
    assert reply.seen.tolist() == [12]
    assert reply.errors.tolist() == [0]
    after = task_of(signed((A, B, MODEL_RULE), 4))
    votes = make_agent(phone.pool, 1, False, task=after).votes
    numbers = spread(reply.votes, new_votes(3, 1, classes=2))
    found = VoteSummary.from_vector(numbers, functions=3, classes=2)
    assert (
        found.counts[2].tolist() == np.bincount(votes[:, 2][votes[:, 2] >= 0], minlength=2).tolist()
    )
