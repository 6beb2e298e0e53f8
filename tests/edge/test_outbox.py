"""Attacks on the one door out: what must never leave does not, and what leaves is on the ledger."""

import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest

import edge.outbox as door
from edge.asking import ask, peer_uid, receive
from edge.items import row_payload, text_payload
from edge.outbox import serve
from fieldvote.codec import MAX_MESSAGE_BYTES
from fieldvote.errors import (
    InputError,
    LedgerSpentError,
    RefusalError,
    UnavailableError,
)
from fieldvote.records import Offer, SealedItem, SurveyReply, encode
from fieldvote.rights import Rights
from privacy.pii import Redactor
from strategies.representation import Moments
from tests.doubles.agents import Device, build_device, model_from
from tests.doubles.sockets import serving, short_folder
from tests.doubles.tasks import FIELDS, tabular_files, task_of, text_files

PERSONAL = ("Zuzanna", "Kowalczyk", "07700 900123", "zuzanna.k@example.org", "AB12 3CD")
TEXTS = [
    f"Hi {PERSONAL[0]}, you have a prize waiting",
    f"see you at home, your {PERSONAL[1]}",
    f"call me on {PERSONAL[2]} when you are home",
    f"write to {PERSONAL[3]} for the voucher",
    f"mum moved to {PERSONAL[4]} and we will see her",
    "a prize and a voucher for you",
]


class Everything:
    """A redactor that has been tampered with."""

    def redact(self, text: str) -> "Everything":
        self.text, self.spans = text, ()
        return self


def text_device(*, candidates: int = 200, size_bytes: int = 5_000_000, offers: int = 64) -> Device:
    files = text_files(candidates=candidates, size_bytes=size_bytes, offers=offers)
    return build_device(task_of(files), [text_payload(text) for text in TEXTS])


def whole_sequence(device: Device) -> list[bytes]:
    """Run every kind of request, and return all bytes that left, envelopes opened as well."""
    surveyed = device.survey(random=len(TEXTS))
    model = model_from(Moments.from_vector(surveyed.moments), classes=2)
    collected = device.collect(offer.item for offer in surveyed.offers)
    shipped = [sealed for sealed in collected.sealed if sealed.envelope]
    answers = [device.sealed_answer(sealed.item, 1) for sealed in shipped]
    device.answers(answers, model)
    device.gradient(model, vote_weight=0.5)
    device.evaluate(model)
    device.survey(2, chosen=5, random=1, model=model)
    return [*device.sent, *(encode(device.opened(sealed)) for sealed in shipped)]


def leaks(blobs: list[bytes]) -> set[str]:
    """Return the planted strings that occur anywhere, in whole or by one of their parts."""
    needles = {part for text in PERSONAL for part in (text, *text.split(), *text.split("@"))}
    return {
        n for n in needles if len(n) > 3 and any(n.lower().encode() in b.lower() for b in blobs)
    }


def test_nothing_personal_is_in_any_byte_that_leaves() -> None:
    device = text_device()
    blobs = whole_sequence(device)
    assert len(blobs) == 6 + len(TEXTS)
    assert leaks(blobs) == set()
    assert device.outbox.incidents["second_scan"] == 0
    opened = b" ".join(blobs[6:]).decode("utf-8", errors="replace")
    assert "you have a prize waiting" in opened
    assert "[" in opened


def test_a_tampered_redactor_is_stopped_by_the_second_scan() -> None:
    device = text_device()
    device.outbox._redactor = Everything()  # type: ignore[assignment]  # that is the attack
    blobs = whole_sequence(device)
    assert leaks(blobs) == set()
    assert device.outbox.incidents["second_scan"] == len(TEXTS) - 1


def test_without_redaction_and_scan_the_same_search_finds_what_was_planted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = text_device()
    device.outbox._redactor = Everything()  # type: ignore[assignment]  # that is the attack
    monkeypatch.setattr(door, "second_scan", lambda *_: ())
    assert set(PERSONAL) <= leaks(whole_sequence(device))


def test_a_stopped_item_stays_is_counted_and_costs_nothing() -> None:
    device = text_device()
    device.outbox._redactor = Everything()  # type: ignore[assignment]  # that is the attack
    before = device.ledger.entries()
    sealed = device.outbox.ship(bytes(16), text_payload(TEXTS[0]), rights=Rights.SHIP)
    assert sealed == SealedItem(item=bytes(16), envelope=b"", refusal="LeakError")
    assert device.outbox.incidents["second_scan"] == 1
    assert device.ledger.entries() == before
    surveyed = device.survey(random=len(TEXTS))
    device.collect(offer.item for offer in surveyed.offers)
    assert (device.pool.column("arm") >= 0).tolist() == [False] * 5 + [True]


def test_an_incident_tells_no_content() -> None:
    device = text_device()
    device.outbox._redactor = Everything()  # type: ignore[assignment]  # that is the attack
    with pytest.raises(RefusalError, match="the item stays") as caught:
        device.outbox.mask(bytes(16), text_payload(TEXTS[2]))
    assert leaks([str(caught.value).encode()]) == set()


def test_every_byte_that_leaves_is_on_the_ledger() -> None:
    device = text_device()
    whole_sequence(device)
    spent = device.ledger.spent
    assert spent.size_bytes == sum(len(reply) for reply in device.sent)
    assert spent.candidates == len(TEXTS) == spent.by_kind["candidates"].candidates


def test_a_candidate_past_the_limit_stays_while_the_others_leave() -> None:
    device = text_device(candidates=2)
    surveyed = device.survey(random=len(TEXTS))
    collected = device.collect(offer.item for offer in surveyed.offers)
    refusals = [sealed.refusal for sealed in collected.sealed]
    assert refusals == ["", ""] + ["LedgerSpentError"] * 4
    assert all(bool(sealed.envelope) == (not sealed.refusal) for sealed in collected.sealed)
    assert (device.pool.column("arm") >= 0).sum() == 2
    assert device.ledger.spent.candidates == 2


@pytest.mark.parametrize("size_bytes", [0, 1, 40, 300])
def test_a_spent_ledger_lets_nothing_out_and_leaves_the_pool_as_it_was(size_bytes: int) -> None:
    device = text_device(size_bytes=size_bytes)
    before, charged = device.state(), device.ledger.entries()
    with pytest.raises(LedgerSpentError, match=f"the limit is {size_bytes}"):
        device.survey(random=len(TEXTS))
    assert device.state() == before
    assert device.ledger.entries() == charged
    assert device.sent == []


def test_what_a_reply_costs_is_what_decides_whether_it_leaves() -> None:
    trial = text_device()
    trial.survey(random=3)
    cost = len(trial.sent[0])
    device = text_device(size_bytes=cost)
    device.survey(random=3)
    assert device.ledger.spent.size_bytes == cost
    short = text_device(size_bytes=cost - 1)
    with pytest.raises(LedgerSpentError):
        short.survey(random=3)
    assert short.ledger.entries() == ()


def test_more_offers_than_the_policy_allows_are_refused() -> None:
    device = text_device(offers=3)
    before = device.state()
    with pytest.raises(RefusalError, match="4 offers, the policy allows 3"):
        device.survey(random=4)
    assert device.state() == before
    assert device.ledger.entries() == ()
    assert len(device.survey(random=3).offers) == 3


def test_the_policy_counts_offers_however_a_reply_was_made() -> None:
    device = text_device(offers=1)
    offer = Offer(item=bytes(16), arm=0, score=0, predicted=-1, sketch=bytes(8))
    empty = np.empty(0, dtype=np.int64)
    reply = SurveyReply(
        round=1, items=0, voted=0, votes=empty, moments=empty, offers=(offer, offer)
    )
    with pytest.raises(RefusalError, match="2 offers"):
        device.outbox.release(reply)


def test_a_row_shows_the_policys_fields_rounded_and_no_other() -> None:
    rows = [np.array([0.123456, 12.7, 41.99]), np.array([np.nan, -3.5, np.nan])]
    device = build_device(task_of(tabular_files()), [row_payload(row) for row in rows])
    collected = device.collect(offer.item for offer in device.survey(random=2).offers)
    shown = {sealed.item: device.opened(sealed) for sealed in collected.sealed}
    first, second = (shown[item] for item in device.pool.ids())
    assert (first.names, first.values, first.text) == (("heat", "speed"), ("0.1", "13.0"), "")
    assert (second.names, second.values[0]) == (("heat", "speed"), "")
    assert FIELDS[2] not in str(shown)
    assert "41" not in first.values


def test_an_envelope_opens_for_its_own_item_only() -> None:
    device = text_device()
    collected = device.collect(offer.item for offer in device.survey(random=2).offers)
    one, other = collected.sealed
    with pytest.raises(RefusalError):
        device.opened(SealedItem(item=other.item, envelope=one.envelope, refusal=""))
    assert one.envelope != other.envelope
    assert len(one.envelope) == len(other.envelope)


@pytest.fixture
def place() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder / "agent.sock"


def test_requests_and_replies_cross_whole_and_the_socket_is_removed(place: Path) -> None:
    big = bytes(range(256)) * 8192
    with serving(place, lambda request: request[::-1]):
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        for request in (b"", b"x", big):
            assert ask(place, request) == request[::-1]
    assert not place.exists()


def test_an_error_of_the_agent_travels_as_its_sentence(place: Path) -> None:
    def refuse(request: bytes) -> bytes:
        raise InputError(f"{len(request)} bytes are no request")

    with serving(place, refuse):
        with pytest.raises(RefusalError, match=r"^3 bytes are no request$"):
            ask(place, b"abc")
        with pytest.raises(RefusalError, match=r"^4 bytes"):
            ask(place, b"abcd")


def test_an_unexpected_error_tells_its_kind_and_the_agent_stays_up(place: Path) -> None:
    def fail(request: bytes) -> bytes:
        if request == b"good":
            return b"fine"
        raise ValueError(f"the item says {PERSONAL[3]}")

    with serving(place, fail):
        with pytest.raises(RefusalError, match="unexpected ValueError") as caught:
            ask(place, b"bad")
        assert leaks([str(caught.value).encode()]) == set()
        assert ask(place, b"good") == b"fine"


def test_another_user_gets_no_answer(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def handle(request: bytes) -> bytes:
        asked.append(request)
        return b"secret"

    with serving(place, handle):
        monkeypatch.setattr(door, "peer_uid", lambda _: os.getuid() + 1)
        with pytest.raises(UnavailableError):
            ask(place, b"x", timeout_s=5)
        monkeypatch.undo()
        assert ask(place, b"y") == b"secret"
    assert asked == [b"y"]


def test_the_peers_user_is_read_from_the_socket_itself() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_uid(ours) == os.getuid()


def test_a_frame_past_the_limit_is_refused_before_it_is_read(place: Path) -> None:
    with serving(place, lambda request: request), socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(place))
        peer.sendall(struct.pack(">I", MAX_MESSAGE_BYTES + 2))
        peer.settimeout(5)
        assert b"passes the limit" in receive(peer)


def test_a_peer_that_hangs_up_disturbs_nobody(place: Path) -> None:
    with serving(place, lambda request: request):
        for part in (b"", b"\x00\x00", struct.pack(">I", 10) + b"half"):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(str(place))
                peer.sendall(part)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(place))
            peer.sendall(struct.pack(">I", 1) + b"x")
        assert ask(place, b"still here") == b"still here"


def test_a_stale_socket_is_replaced(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
    assert place.is_socket()
    with pytest.raises(UnavailableError, match="is 'fieldvote edge run' up"):
        ask(place, b"x")
    with serving(place, lambda _: b"alive"):
        for _ in range(100):
            try:
                assert ask(place, b"x") == b"alive"
                break
            except UnavailableError:
                time.sleep(0.02)  # bound, and not yet listening
        else:
            pytest.fail("nobody answered")


def test_a_file_in_the_way_is_left_alone(place: Path) -> None:
    place.write_text("mine")
    with pytest.raises(UnavailableError, match=r"agent\.sock is in the way"):
        serve(place, lambda request: request, Event())
    assert place.read_text() == "mine"


def test_a_place_where_no_socket_can_be_is_said(place: Path) -> None:
    with pytest.raises(UnavailableError, match=r"cannot listen on agent\.sock"):
        serve(place.parent / "absent" / "agent.sock", lambda request: request, Event())
    with pytest.raises(UnavailableError, match=r"cannot listen on .*too long"):
        serve(place.parent / ("x" * 120), lambda request: request, Event())
    with pytest.raises(UnavailableError, match="no agent answers"):
        ask(place, b"x")


def test_a_redactor_of_the_policys_mode_stands_at_the_door() -> None:
    assert isinstance(text_device().outbox._redactor, Redactor)
