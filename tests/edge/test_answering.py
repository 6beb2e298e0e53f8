"""Answers that were here before, or are signed by a key whose time is over, have no effect."""

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from edge.agent import Agent
from edge.items import row_payload
from edge.outbox import Recipient
from edge.pool import Pool
from fieldvote.errors import SignatureError
from fieldvote.records import Answer, AnswersReply, AnswersRequest, decode, encode
from fieldvote.rng import keyed_entropy
from privacy.sealing import SealingKey, SigningKey, seal
from privacy.sealing.context import Marks, Purpose
from privacy.sealing.envelope import marks_of, open_envelope, recipient_id
from privacy.sealing.keys import key_id
from privacy.sealing.rotation import DatedKey
from strategies.representation import Moments
from tests.doubles.agents import DESK, NOON, Device, build_device, model_from
from tests.doubles.machines import IDS, ROWS, TASK

EPOCH = bytes(16)


def device_of(*, pool: Pool | None = None) -> Device:
    return build_device(TASK, [row_payload(row) for row in ROWS], ids=IDS, pool=pool)


def answer(device: Device, item: bytes, sequence: int, *, epoch: bytes = EPOCH) -> bytes:
    return seal(
        encode(Answer(item=item, label=1)),
        recipient=device.sealing.public,
        scope=device.scope(Purpose.ANSWER),
        marks=Marks(epoch=epoch, sequence=sequence, round=1),
        signer=DESK.signing,
    )


def deliver(device: Device, *envelopes: bytes, number: int = 1) -> AnswersReply:
    surveyed = Moments.from_embeddings(device.agent._held.learner.embeddings)
    model = model_from(surveyed, classes=len(device.task.classes))
    request = AnswersRequest(round=number, answers=envelopes, representation=model)
    return decode(device.agent.handle(encode(request)), AnswersReply)


def shipped(device: Device, count: int = 3) -> list[bytes]:
    items = [offer.item for offer in device.survey(random=count).offers]
    device.collect(items)
    return items


def test_the_same_number_twice_counts_once_within_a_request_and_between_two() -> None:
    device = device_of()
    first, second, third = shipped(device)
    both = deliver(device, answer(device, first, 0), answer(device, second, 0))
    assert both.accepted == 1
    later = deliver(device, answer(device, third, 0), answer(device, second, 1), number=2)
    assert later.accepted == 1
    assert device.outbox.incidents["replayed_answers"] == 2
    known = dict(zip(device.pool.ids(), device.pool.column("answer").tolist(), strict=True))
    assert [known[item] for item in (first, second, third)] == [1, 1, -1]


def test_an_answer_that_was_here_before_has_no_effect_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "pool.sqlite"
    with closing(Pool(path)) as pool:
        device = device_of(pool=pool)
        items = shipped(device, 2)
        assert deliver(device, answer(device, items[0], 5)).accepted == 1
    with closing(Pool(path)) as pool:
        again = build_device(device.task, [], pool=pool)
        reply = deliver(again, answer(again, items[1], 5), number=2)
        assert (reply.accepted, again.outbox.incidents["replayed_answers"]) == (0, 1)
        # another desk, or the same one started again, counts in an epoch of its own
        other = answer(again, items[1], 5, epoch=b"e" * 16)
        assert deliver(again, other, number=3).accepted == 1


def test_a_request_that_is_refused_moves_no_window() -> None:
    device = device_of()
    items = shipped(device)
    thief = SigningKey.generate(keyed_entropy(9, "thief"))
    forged = device.sealed_answer(items[0], 1, signer=thief)
    with pytest.raises(SignatureError):
        deliver(device, answer(device, items[1], 0), forged)
    assert device.pool.window(DESK.signing.public, EPOCH) is None
    assert deliver(device, answer(device, items[1], 0), number=2).accepted == 1


def with_desk_keys(device: Device, *keys: DatedKey) -> Device:
    parts = replace(device.agent._parts, desk_keys=keys, now=lambda: NOON)
    return replace(device, agent=Agent(parts))


def test_answers_of_any_listed_desk_key_count_while_its_time_lasts() -> None:
    device = device_of()
    items = shipped(device)
    next_key = SigningKey.generate(keyed_entropy(3, "next desk"))
    minute = timedelta(minutes=1)
    both = with_desk_keys(
        device,
        DatedKey(public=DESK.signing.public, ends=NOON + minute),
        DatedKey(public=next_key.public),
    )
    signed = [answer(device, items[0], 0), device.sealed_answer(items[1], 1, signer=next_key)]
    assert deliver(both, *signed).accepted == 2
    over = with_desk_keys(
        device,
        DatedKey(public=DESK.signing.public, ends=NOON),
        DatedKey(public=next_key.public),
    )
    with pytest.raises(SignatureError):
        deliver(over, answer(device, items[2], 1), number=2)


def test_candidates_are_sealed_to_the_newest_good_key_and_stay_where_there_is_none() -> None:
    device = device_of()
    next_key = SealingKey.generate(keyed_entropy(3, "next labeling"))
    hour = timedelta(hours=1)
    old = DatedKey(public=DESK.labeling.public, ends=NOON + hour)
    new = DatedKey(public=next_key.public, begins=NOON)
    items = [offer.item for offer in device.survey(random=3).offers]
    cases = ((NOON - hour, DESK.labeling), (NOON, next_key), (NOON + 2 * hour, next_key))
    for item, (now, expected) in zip(items, cases, strict=True):
        device.outbox._recipient = Recipient(labeling_keys=(new, old), now=lambda now=now: now)  # type: ignore[misc]  # a default in a lambda
        (sealed,) = device.collect([item], round_number=9).sealed
        assert recipient_id(sealed.envelope) == key_id(expected.public)
    assert marks_of(sealed.envelope).round == 9
    device.outbox._recipient = Recipient(labeling_keys=(old,), now=lambda: NOON + hour)
    (item,) = (offer.item for offer in device.survey(2, random=1).offers)
    (stays,) = device.collect([item]).sealed
    assert (stays.envelope, stays.refusal) == (b"", "RefusalError")


def test_a_candidate_tells_its_round_its_task_and_its_policy_and_no_two_share_a_number() -> None:
    device = device_of()
    items = [offer.item for offer in device.survey(random=5).offers]
    numbers = set()
    for sealed in device.collect(items, round_number=4).sealed:
        opened = open_envelope(
            sealed.envelope,
            keys=[DESK.labeling],
            scope=device.scope(Purpose.CANDIDATE, sealed.item),
            senders=[device.signing.public],
        )
        assert opened.marks.round == 4
        assert opened.marks.task.hex() == device.task.digest
        assert opened.marks.policy.hex() == device.task.policy_digest
        numbers.add((opened.marks.epoch, opened.marks.sequence))
    assert len(numbers) == 5


def test_a_device_put_back_to_an_older_pool_uses_no_number_again(tmp_path: Path) -> None:
    """A counter on the disk would have gone back with it."""
    seen = set()
    for _ in range(2):
        with closing(Pool(None)) as pool:
            device = device_of(pool=pool)
            items = [offer.item for offer in device.survey(random=2).offers]
            for sealed in device.collect(items).sealed:
                marks = marks_of(sealed.envelope)
                seen.add((marks.epoch, marks.sequence))
    assert len(seen) == 4
