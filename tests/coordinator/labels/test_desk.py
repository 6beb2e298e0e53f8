from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.labels.desk import Desk, Elsewhere, Seat
from coordinator.labels.desk_keys import DeskKeys
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store, open_store
from coordinator.store.rows import KnownDevice, StoredCandidate
from fieldvote.errors import InputError, SealError, StoreError
from fieldvote.records import (
    Answer,
    DeviceId,
    MaskedItem,
    decode,
    encode,
)
from privacy.sealing import SealingKey, SigningKey, open_envelope, seal
from privacy.sealing.context import Marks, Purpose, Scope

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TASK = "ab" * 32
KEYS = DeskKeys(labeling=SealingKey(b"l" * 32), signing=SigningKey(b"d" * 32))
SIGNERS = {DeviceId(n): SigningKey(bytes([n]) * 32) for n in (1, 2)}
OPENERS = {DeviceId(n): SealingKey(bytes([n + 100]) * 32) for n in (1, 2)}
SETTINGS = CampaignSettings(name="desk", price=0.25)
SECRET = "a planted sentence nobody may find"
ONE, TWO = DeviceId(1), DeviceId(2)


@dataclass(slots=True)
class Reader:
    """Answers with a class, and remembers what it saw."""

    label: int | None = 1
    seen: list[MaskedItem] = field(default_factory=list)

    def answer(self, item: MaskedItem) -> int | None:
        self.seen.append(item)
        return self.label


def item(name: str) -> bytes:
    return name.encode().ljust(16, b"_")


def scope(
    purpose: Purpose = Purpose.CANDIDATE,
    name: str = "",
    *,
    device: DeviceId = ONE,
    family: str = TASK,
) -> Scope:
    owner = SIGNERS[device].public
    return Scope(purpose=purpose, family=family, device=owner, item=item(name) if name else b"")


def sealed(
    name: str,
    *,
    says: str | None = None,
    signer: SigningKey = SIGNERS[ONE],
    bound: Scope | None = None,
    recipient: bytes = KEYS.labeling.public,
    plain: bytes | None = None,
) -> bytes:
    """Return an envelope as a device makes it, or as one that cheats does."""
    masked = MaskedItem(item=item(says or name), text=SECRET, names=(), values=())
    return seal(
        encode(masked) if plain is None else plain,
        recipient=recipient,
        scope=bound or replace(scope(name=name), device=signer.public),
        marks=Marks(epoch=bytes(16), sequence=0, round=1),
        signer=signer,
    )


def put(store: Store, name: str, envelope: bytes, device: DeviceId = ONE) -> None:
    store.keep_candidate(
        1, StoredCandidate(item=item(name), device=device, arm=0, envelope=envelope)
    )


def meet(store: Store) -> None:
    for device in SIGNERS:
        store.meet(
            KnownDevice(
                id=device,
                evaluates=False,
                items=3,
                signing_key=SIGNERS[device].public,
                sealing_key=OPENERS[device].public,
            )
        )


def other_of(path: Path) -> Store:
    """Return a second connection to a store."""
    return open_store(path, now=lambda: NOON)


def desk(reader: Reader) -> Desk:
    return Desk(KEYS, Seat(annotator=reader), settings=SETTINGS, task=TASK, classes=8)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path / "store.sqlite", now=lambda: NOON)) as fresh:
        meet(fresh)
        yield fresh


def test_an_answer_is_sealed_to_the_device_that_owns_the_item(store: Store) -> None:
    put(store, "a", sealed("a"))
    put(store, "b", sealed("b", signer=SIGNERS[TWO]), TWO)
    desk(Reader(label=2)).work(store)
    waiting = store.undelivered()
    for device, name in ((ONE, "a"), (TWO, "b")):
        [(answered, envelope)] = waiting[device]
        assert answered == item(name)
        for other, key in OPENERS.items():
            bound = scope(Purpose.ANSWER, device=device)
            if other == device:
                plain = open_envelope(
                    envelope, keys=[key], scope=bound, senders=[KEYS.signing.public]
                ).plaintext
                assert decode(plain, Answer) == Answer(item=item(name), label=2)
            else:
                with pytest.raises(SealError):
                    open_envelope(envelope, keys=[key], scope=bound, senders=[KEYS.signing.public])
    assert store.paid() == (2, 0.5)


A = sealed("a")
CHEATS = {
    "a flipped byte": A[:-1] + bytes([A[-1] ^ 1]),
    "a flipped signature": A[:20] + bytes([A[20] ^ 1]) + A[21:],
    "cut short": A[:40],
    "no envelope": b"hello",
    "the envelope of another item": sealed("b"),
    "another item inside": sealed("a", says="b"),
    "another device's signature": sealed("a", signer=SIGNERS[TWO]),
    "a stranger's signature": sealed("a", signer=SigningKey(b"x" * 32)),
    "another task": sealed("a", bound=scope(name="a", family="0" * 64)),
    "another purpose": sealed("a", bound=scope(Purpose.ANSWER, "a")),
    "another desk": sealed("a", recipient=SealingKey(b"z" * 32).public),
    "no item inside": sealed("a", plain=b"not a message"),
    "another kind inside": sealed("a", plain=encode(Answer(item=item("a"), label=1))),
}


@pytest.mark.parametrize("envelope", CHEATS.values(), ids=CHEATS)
def test_what_a_device_did_not_sign_for_this_item_and_task_is_skipped_and_stays_queued(
    store: Store, envelope: bytes
) -> None:
    put(store, "a", envelope)
    put(store, "z", sealed("z"))
    reader = Reader()
    desk(reader).work(store)
    assert [seen.item for seen in reader.seen] == [item("z")]
    assert [waiting.item for waiting in store.queue()] == [item("a")]
    assert store.paid() == (1, 0.25)


def test_two_envelopes_of_one_device_that_were_swapped_do_not_open(store: Store) -> None:
    put(store, "a", sealed("b"))
    put(store, "b", sealed("a"))
    reader = Reader()
    desk(reader).work(store)
    assert reader.seen == []
    assert len(store.queue()) == 2


def test_a_candidate_of_a_device_nobody_met_waits(store: Store) -> None:
    put(store, "a", sealed("a"), DeviceId(77))
    reader = Reader()
    desk(reader).work(store)
    assert reader.seen == []
    assert len(store.queue()) == 1


def test_a_skipped_item_waits_for_somebody_else(store: Store) -> None:
    put(store, "a", sealed("a"))
    desk(Reader(label=None)).work(store)
    assert store.paid() == (0, 0.0)
    reader = Reader()
    desk(reader).work(store)
    assert [seen.text for seen in reader.seen] == [SECRET]
    assert store.queue() == []


def test_what_is_answered_is_not_asked_again(store: Store) -> None:
    put(store, "a", sealed("a"))
    reader = Reader()
    for _ in range(3):
        desk(reader).work(store)
    assert len(reader.seen) == 1
    assert store.paid() == (1, 0.25)


def test_each_answer_is_durable_before_the_next_item_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with closing(open_store(path, now=lambda: NOON)) as store, closing(other_of(path)) as other:
        meet(store)
        for name in ("a", "b", "c"):
            put(store, name, sealed(name))
        paid: list[int] = []

        class Watching(Reader):
            def answer(self, item: MaskedItem) -> int | None:
                paid.append(other.paid()[0])
                return 0

        desk(Watching()).work(store)
        assert paid == [0, 1, 2]


def test_a_store_that_cannot_write_loses_no_answer_it_had(store: Store) -> None:
    put(store, "a", sealed("a"))
    put(store, "b", sealed("b"))

    class Tired(Reader):
        def answer(self, item: MaskedItem) -> int | None:
            if store.paid()[0]:
                raise StoreError("the disk is full")
            return 1

    with pytest.raises(StoreError):
        desk(Tired()).work(store)
    assert store.paid() == (1, 0.25)
    desk(Reader()).work(store)
    assert store.paid() == (2, 0.5)


def test_the_store_never_holds_what_an_annotator_saw(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with closing(open_store(path, now=lambda: NOON)) as store:
        meet(store)
        for name in ("a", "b"):
            put(store, name, sealed(name))
        reader = Reader()
        desk(reader).work(store)
        assert [seen.text for seen in reader.seen] == [SECRET] * 2
        _assert_hidden(tmp_path)
    _assert_hidden(tmp_path)


def _assert_hidden(folder: Path) -> None:
    files = list(folder.iterdir())
    content = b"".join(file.read_bytes() for file in files)
    assert item("a") in content  # it is the right place to look
    for encoding in ("utf-8", "utf-16-le"):
        for word in ("planted", "sentence", "nobody"):
            assert word.encode(encoding) not in content
    assert KEYS.labeling.to_bytes() not in content


def test_whoever_sits_here_has_seen_everything_and_a_desk_elsewhere_may_answer_more(
    store: Store,
) -> None:
    put(store, "a", sealed("a"))
    put(store, "b", A)
    assert Elsewhere().work(store)
    assert [waiting.item for waiting in store.queue()] == [item("a"), item("b")]
    # one is answered and one never opens: waiting would bring no more
    assert not desk(Reader()).work(store)
    assert not desk(Reader()).work(store)
    assert store.paid()[0] == 1
    assert Elsewhere().work(store)


def test_two_desks_at_one_queue_pay_each_item_once(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with closing(open_store(path, now=lambda: NOON)) as store, closing(other_of(path)) as other:
        meet(store)
        for name in ("a", "b"):
            put(store, name, sealed(name))

        class Slow(Reader):
            def answer(self, item: MaskedItem) -> int | None:
                desk(Reader(label=3)).work(other)  # meanwhile a colleague answers all
                return 1

        desk(Slow()).work(store)
        assert store.paid() == (2, 0.5)
        answers = dict(store.undelivered()[ONE])
        said = {
            name: decode(
                open_envelope(
                    envelope,
                    keys=[OPENERS[ONE]],
                    scope=scope(Purpose.ANSWER),
                    senders=[KEYS.signing.public],
                ).plaintext,
                Answer,
            ).label
            for name, envelope in answers.items()
        }
        assert said == {item("a"): 3, item("b"): 3}


@pytest.mark.parametrize("label", [-2, 8])
def test_an_answer_that_names_no_class_is_refused_and_the_item_waits(
    store: Store, label: int
) -> None:
    put(store, "a", sealed("a"))
    with pytest.raises(InputError, match="there are 8"):
        desk(Reader(label=label)).work(store)
    assert [waiting.item for waiting in store.queue()] == [item("a")]
