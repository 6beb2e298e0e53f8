from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coordinator.inbox import Inbox
from coordinator.store.campaign import Store, open_store
from coordinator.store.rows import StoredCandidate, StoredOffer
from fieldvote.records import (
    ARM_CHOSEN,
    ARM_RANDOM,
    CollectReply,
    DeviceId,
    SealedItem,
    encode,
)
from privacy.sealing import SealingKey
from privacy.sealing.context import Purpose
from strategies.labeling import VoteSummary
from strategies.representation import Moments
from tests.coordinator.replies import (
    MOMENTS,
    NOON,
    NOTHING,
    ONE,
    SHAPES,
    THREE,
    TWO,
    VOTES,
    WIDTH,
    answers,
    contents,
    envelope,
    hello,
    item,
    meet,
    offer,
    signer,
    survey,
    total,
)


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(open_store(None, now=lambda: NOON)) as fresh:
        yield fresh


def bad_survey(**changes: object) -> bytes:
    return encode(replace(survey(offer("bad")), **changes))  # type: ignore[arg-type]  # a table


def bad_offer(**changes: object) -> bytes:
    return encode(survey(replace(offer("bad"), **changes)))  # type: ignore[arg-type]  # a table


BAD_SURVEYS = {
    "no bytes": b"",
    "noise": b"\xff\x00 no message",
    "cut short": encode(survey())[:-3],
    "another kind": encode(answers()),
    "another round": encode(survey(round_number=2)),
    "votes too short": bad_survey(votes=VOTES.to_vector()[:-1]),
    "votes too long": bad_survey(votes=np.append(VOTES.to_vector(), 0)),
    "no votes": bad_survey(votes=NOTHING),
    "negative votes": bad_survey(votes=-VOTES.to_vector()),
    "more votes than items": bad_survey(votes=VOTES.to_vector() * 1000),
    "huge votes": bad_survey(votes=np.full(SHAPES.votes, 2**62)),
    "moments of another width": bad_survey(
        moments=Moments.from_embeddings(np.ones((3, 5))).to_vector()
    ),
    "moments that are none": bad_survey(moments=MOMENTS.to_vector()[:-1]),
    "no moments": bad_survey(moments=NOTHING),
    "a negative count of items": bad_survey(items=-3),
    "more voted than there are": bad_survey(voted=4),
    "fewer voted than none": bad_survey(voted=-1),
    "an item id of another length": bad_offer(item=b"short"),
    "a sketch of another length": bad_offer(sketch=bytes(9)),
    "an unknown arm": bad_offer(arm=3),
    "a score off the scale": bad_offer(score=70_000),
    "a class that is none": bad_offer(predicted=2),
    "too many offers": encode(survey(*[offer("bad")] * 4097)),
}


@pytest.mark.parametrize("blob", BAD_SURVEYS.values(), ids=BAD_SURVEYS)
@pytest.mark.parametrize("liar", [ONE, THREE])
def test_a_survey_that_does_not_fit_is_dropped_counted_and_disturbs_nobody(
    store: Store, blob: bytes, liar: DeviceId
) -> None:
    """The liar may be the first that is looked at, or the last."""
    inbox = Inbox(store, SHAPES)
    others = [device for device in (ONE, TWO, THREE) if device != liar]
    good = {device: encode(survey(offer(f"of {device}"))) for device in others}
    with store.transaction():
        assert inbox.survey(1, {**good, liar: blob}) == (2, 2)
    assert inbox.dropped.total() == 1
    assert total(store, "votes") == (2 * VOTES.to_vector()).tolist()
    assert total(store, "moments") == (2 * MOMENTS.to_vector()).tolist()
    assert total(store, "voted items") == [6]
    assert {o.device for o in store.offers(1)} == set(others)
    # it has not used its turn up: a good reply still counts
    with store.transaction():
        assert inbox.survey(1, {liar: encode(survey(offer("late")))}) == (1, 1)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_no_bytes_at_all_stop_the_inbox(data: st.DataObject) -> None:
    blob = data.draw(
        st.one_of(
            st.binary(max_size=60),
            st.builds(
                _flipped,
                st.sampled_from([encode(survey()), encode(answers()), encode(hello())]),
                st.integers(0, 10**6),
                st.integers(1, 255),
            ),
        )
    )
    with closing(open_store(None, now=lambda: NOON)) as store:
        inbox = Inbox(store, SHAPES)
        with store.transaction():
            inbox.hello({ONE: blob}, "digest")
            inbox.survey(1, {ONE: blob, TWO: encode(survey())})
            inbox.collect(1, {ONE: blob}, {})
            inbox.answers(1, {ONE: blob}, {ONE: [item("a")]}, width=WIDTH)
            inbox.gradients(1, 0, {ONE: blob}, fits=lambda _: True)
            inbox.judged(1, {ONE: blob})
        assert inbox.dropped.total() >= 4
        votes = store.total("votes")
        assert votes is not None
        assert votes[0] >= 3


def _flipped(blob: bytes, place: int, bits: int) -> bytes:
    place %= len(blob)
    return blob[:place] + bytes([blob[place] ^ bits]) + blob[place + 1 :]


def test_the_same_survey_twice_counts_once(store: Store) -> None:
    inbox, blob = Inbox(store, SHAPES), encode(survey())
    assert inbox.survey(1, {ONE: blob}) == (1, 1)
    before = contents(store)
    assert inbox.survey(1, {ONE: blob}) == (0, 0)
    # not even with another content
    assert inbox.survey(1, {ONE: encode(survey(offer("b"), offer("c")))}) == (0, 0)
    assert contents(store) == before
    assert inbox.survey(1, {TWO: encode(survey(offer("d")))}) == (1, 1)
    assert inbox.survey(2, {ONE: encode(survey(offer("e"), round_number=2))}) == (1, 1)


def test_a_survey_over_no_new_items_adds_nothing_but_its_offers(store: Store) -> None:
    inbox = Inbox(store, SHAPES)
    empty = replace(survey(), items=0, voted=0, votes=NOTHING, moments=NOTHING)
    assert inbox.survey(1, {ONE: encode(empty)}) == (1, 1)
    assert total(store, "votes") is None
    assert total(store, "voted items") is None
    assert len(store.offers(1)) == 1


def test_sums_add_up_over_devices_whatever_the_order_they_come_in(store: Store) -> None:
    rng = np.random.default_rng(3)
    blobs = {}
    expected: list[NDArray[np.int64]] = []
    for number in rng.permutation(6):
        votes = rng.integers(-1, 2, size=(5, 2)).astype(np.int8)
        expected.append(VoteSummary.from_votes(votes, classes=2).to_vector())
        moments = Moments.from_embeddings(rng.normal(size=(5, 2))).to_vector()
        reply = replace(
            survey(offer(f"i{number}")), items=5, voted=5, votes=expected[-1], moments=moments
        )
        blobs[DeviceId(int(number))] = encode(reply)
    assert Inbox(store, SHAPES).survey(1, blobs) == (6, 6)
    assert total(store, "votes") == np.sum(expected, axis=0).tolist()


def granted(name: str, device: DeviceId, arm: int = ARM_CHOSEN) -> dict[bytes, StoredOffer]:
    made = StoredOffer(
        device=device, item=item(name), arm=arm, score=1, predicted=0, sketch=bytes(8)
    )
    return {item(name): made}


def sealed(name: str, sealed_as: bytes | None = None, refusal: str = "") -> SealedItem:
    made = envelope(name, ONE) if sealed_as is None else sealed_as
    return SealedItem(item=item(name), envelope=made, refusal=refusal)


def collected(store: Store, *candidates: SealedItem, number: int = 1) -> tuple[int, int]:
    """Let the first device bring what it was granted."""
    blob = encode(CollectReply(round=number, sealed=candidates))
    asked = {name: offer for name in "abcz" for name, offer in granted(name, ONE).items()}
    return Inbox(store, SHAPES).collect(number, {ONE: blob}, asked)


def test_a_candidate_is_put_away_byte_by_byte_as_it_came(store: Store) -> None:
    meet(store, ONE)
    came_as = envelope("a", ONE)
    reply = CollectReply(round=1, sealed=(sealed("a", came_as),))
    came = Inbox(store, SHAPES).collect(1, {ONE: encode(reply)}, granted("a", ONE, ARM_RANDOM))
    assert came == (1, 0)
    kept = StoredCandidate(item=item("a"), device=ONE, arm=ARM_RANDOM, envelope=came_as)
    assert store.queue() == [kept]


def test_only_what_was_granted_to_this_very_device_is_taken(store: Store) -> None:
    meet(store, ONE, TWO)
    inbox = Inbox(store, SHAPES)
    asked = {**granted("a", ONE), **granted("b", TWO), **granted("c", ONE)}
    mine, theirs = envelope("a", ONE), envelope("b", TWO)
    first = CollectReply(
        round=1,
        sealed=(
            sealed("a", mine),
            sealed("b"),
            sealed("never offered"),
            sealed("c", b"", "Leak"),
        ),
    )
    second = CollectReply(round=1, sealed=(sealed("b", theirs),))
    assert inbox.collect(1, {ONE: encode(first), TWO: encode(second)}, asked) == (2, 1)
    assert inbox.dropped == {"not granted": 2}
    assert [(c.item, c.device, c.envelope) for c in store.queue()] == [
        (item("a"), ONE, mine),
        (item("b"), TWO, theirs),
    ]


def test_the_same_candidate_twice_is_kept_once(store: Store) -> None:
    meet(store, ONE)
    inbox, first = Inbox(store, SHAPES), envelope("a", ONE)
    again = [sealed("a", envelope("a", ONE, sequence=n)) for n in (1, 2)]
    inbox.collect(1, {ONE: encode(CollectReply(round=1, sealed=(sealed("a", first),)))},
                  granted("a", ONE))  # fmt: skip
    inbox.collect(1, {ONE: encode(CollectReply(round=1, sealed=tuple(again)))}, granted("a", ONE))
    assert [c.envelope for c in store.queue()] == [first]


NOT_TAKEN = {
    "no envelope": b"sealed",
    "cut short": envelope("a", ONE)[:100],
    "a flipped bit": envelope("a", ONE)[:-1] + bytes([envelope("a", ONE)[-1] ^ 1]),
    "of another item": envelope("b", ONE),
    "of another device": envelope("a", TWO),
    "signed by another": envelope("a", ONE, by=signer(TWO)),
    "of another round": envelope("a", ONE, round_number=2),
    "of another task": envelope("a", ONE, family="cd" * 32),
    "under another policy": envelope("a", ONE, policy=b"q" * 32),
    "for another purpose": envelope("a", ONE, purpose=Purpose.ANSWER),
}


@pytest.mark.parametrize("made", NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_an_envelope_that_is_not_its_devices_for_this_round_is_dropped_and_counted(
    store: Store, made: bytes
) -> None:
    meet(store, ONE, TWO)
    inbox = Inbox(store, SHAPES)
    blob = encode(CollectReply(round=1, sealed=(sealed("a", made), sealed("z"))))
    asked = {**granted("a", ONE), **granted("z", ONE)}
    assert inbox.collect(1, {ONE: blob}, asked) == (1, 0)
    assert inbox.dropped.total() == 1
    assert [candidate.item for candidate in store.queue()] == [item("z")]


def test_a_candidate_of_a_device_nobody_met_is_dropped(store: Store) -> None:
    assert collected(store, sealed("a")) == (0, 0)
    assert store.queue() == []


def test_an_envelope_that_was_here_before_is_dropped_after_a_restart_too(tmp_path: Path) -> None:
    """Its number, not its bytes: a thief could not make another of it, a device could."""
    path = tmp_path / "store.sqlite"
    made = envelope("a", ONE, sequence=7)
    with closing(open_store(path, now=lambda: NOON)) as store:
        meet(store, ONE)
        assert collected(store, sealed("a", made)) == (1, 0)
    replays = [sealed("b", envelope("b", ONE, sequence=7, round_number=2))]
    fresh = [sealed("c", envelope("c", ONE, sequence=8, round_number=2))]
    with closing(open_store(path, now=lambda: NOON)) as store:
        assert collected(store, *replays, *fresh, number=2) == (1, 0)
        assert {candidate.item for candidate in store.queue()} == {item("a"), item("c")}


def test_a_window_moves_with_the_candidate_it_let_in_or_not_at_all(store: Store) -> None:
    meet(store, ONE)

    class DiesError(Exception):
        pass

    def die_before_the_commit() -> None:
        with store.transaction():
            collected(store, sealed("a"))
            raise DiesError

    with pytest.raises(DiesError):
        die_before_the_commit()
    assert collected(store, sealed("a")) == (1, 0)


@pytest.mark.parametrize(
    "blob",
    [b"", encode(survey()), encode(CollectReply(round=2, sealed=(sealed("a"),)))],
    ids=["no bytes", "another kind", "another round"],
)
def test_a_collection_that_does_not_fit_is_dropped_and_counted(store: Store, blob: bytes) -> None:
    inbox = Inbox(store, SHAPES)
    assert inbox.collect(1, {ONE: blob}, granted("a", ONE)) == (0, 0)
    assert inbox.dropped.total() == 1
    assert store.queue() == []


def test_a_device_introduces_itself_and_keeps_its_first_keys(store: Store) -> None:
    inbox = Inbox(store, SHAPES)
    assert inbox.hello({ONE: encode(hello())}, "digest") == 1
    other = SealingKey(b"9" * 32).public
    inbox.hello({ONE: encode(hello(sealing_key=other))}, "digest")
    assert store.devices()[ONE].sealing_key == hello().sealing_key


@pytest.mark.parametrize(
    "blob",
    [
        encode(hello(task="another")),
        encode(hello(signing_key=b"short")),
        encode(hello(sealing_key=b"")),
        # points of low order: 32 bytes, and still nothing can be sealed to them
        encode(hello(sealing_key=bytes(32))),
        encode(hello(sealing_key=b"\1" + bytes(31))),
        encode(survey()),
        b"",
    ],
    ids=["task", "signing key", "no key", "zero key", "low order", "another kind", "no bytes"],
)
def test_a_device_with_another_task_or_without_usable_keys_is_not_met(
    store: Store, blob: bytes
) -> None:
    inbox = Inbox(store, SHAPES)
    assert inbox.hello({ONE: blob, TWO: encode(hello())}, "digest") == 1
    assert set(store.devices()) == {TWO}
    assert inbox.dropped.total() == 1
