"""The door's steps come in one order, and what a step refuses never reaches the next."""

from collections.abc import Callable

import pytest

import edge.outbox as door
from edge.items import text_payload
from fieldvote.errors import LedgerSpentError
from fieldvote.records import CollectReply, SealedItem
from fieldvote.rights import Rights
from tests.doubles.agents import Device, build_device
from tests.doubles.tasks import task_of, text_files

TEXT = "ask Zbigniew about the prize"
STEPS = ["redact", "scan", "seal", "charge"]


@pytest.fixture
def device() -> Device:
    return build_device(task_of(text_files(candidates=5)), [text_payload(TEXT)])


@pytest.fixture
def steps(device: Device, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each step as it is taken, in the order it is taken."""
    taken: list[str] = []

    def noting(name: str, step: Callable[..., object]) -> Callable[..., object]:
        def noted(*arguments: object, **named: object) -> object:
            taken.append(name)
            return step(*arguments, **named)

        return noted

    redactor = device.outbox._redactor
    monkeypatch.setattr(redactor, "redact", noting("redact", redactor.redact))
    monkeypatch.setattr(door, "second_scan", noting("scan", vars(door)["second_scan"]))
    monkeypatch.setattr(door, "seal", noting("seal", vars(door)["seal"]))
    monkeypatch.setattr(device.ledger, "charge", noting("charge", device.ledger.charge))
    return taken


def ship(device: Device, rights: Rights = Rights.SHIP) -> SealedItem:
    return device.outbox.ship(bytes(16), text_payload(TEXT), rights=rights)


def test_an_item_is_redacted_scanned_sealed_and_charged_in_this_order(
    device: Device, steps: list[str]
) -> None:
    sealed = ship(device)
    assert steps == STEPS
    assert sealed.envelope
    # and the charge was for these very bytes, written down before they were returned
    assert [entry.size_bytes for entry in device.ledger.entries()] == [len(sealed.envelope)]


@pytest.mark.parametrize("rights", [Rights.NONE, Rights.SUM])
def test_what_the_policy_refuses_is_not_even_redacted(
    device: Device, steps: list[str], rights: Rights
) -> None:
    assert ship(device, rights) == SealedItem(item=bytes(16), envelope=b"", refusal="RefusalError")
    assert steps == []


def test_what_cannot_be_redacted_is_not_scanned_sealed_or_charged(
    device: Device, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: str) -> object:
        raise ValueError(text)

    monkeypatch.setattr(device.outbox._redactor, "redact", fail)
    assert ship(device).refusal == "LeakError"
    assert steps == []


def test_what_the_scan_finds_is_neither_sealed_nor_charged(
    device: Device, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Everything:
        text = TEXT

    monkeypatch.setattr(device.outbox._redactor, "redact", lambda _: Everything())
    assert ship(device).refusal == "LeakError"
    assert steps == ["scan"]


def test_a_scan_that_fails_is_a_scan_that_was_not_passed(
    device: Device, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: str, _: object) -> object:
        raise ValueError(text)

    monkeypatch.setattr(door, "second_scan", fail)
    assert ship(device) == SealedItem(item=bytes(16), envelope=b"", refusal="LeakError")
    assert steps == ["redact"]
    assert device.outbox.incidents["masking"] == 1


def test_what_the_ledger_refuses_is_not_handed_out(
    device: Device, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise LedgerSpentError("spent")

    monkeypatch.setattr(device.ledger, "charge", refuse)
    assert ship(device).envelope == b""
    assert steps == STEPS[:3]
    reply = CollectReply(round=1, sealed=())
    with pytest.raises(LedgerSpentError):
        device.outbox.release(reply)
