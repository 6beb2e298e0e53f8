from dataclasses import fields

import pytest

from fieldvote import sums
from fieldvote.codec import decode, encode
from fieldvote.errors import WireError

KEY = sums.EpochKey(epoch=3, device=7, exchange=b"x" * 32, signature=b"s" * 64)
MESSAGES = [
    KEY,
    sums.Roster(
        epoch=3,
        robust=True,
        degree=4,
        least_partners=2,
        keepers=5,
        threshold=3,
        least_cohort=5,
        keys=(KEY, KEY),
        signature=b"",
    ),
    sums.DepositRequest(roster=b"d" * 32, round=1),
    sums.Deposit(round=1, seat=0, commitment=b"c", shares=b"s", edges=b"e"),
    sums.MaskRequest(round=1, length=9, bound=1 << 40, word_bytes=8, cohort=b"\x1f"),
    sums.MaskedInput(round=1, seat=0, words=bytes(36), commitment=b"c", shares=b"s"),
    sums.ConfirmRequest(round=1, survivors=b"\x1f"),
    sums.Confirmation(round=1, seat=0, tags=b"t"),
    sums.UnmaskRequest(round=1, survivors=b"\x1f", confirmed=b"\x1f", tags=b"t"),
    sums.Unmasking(round=1, seat=0, pads=b"p"),
    sums.EpochRequest(epoch=3),
    sums.RosterReply(roster=b"d" * 32, seat=4),
    sums.SummedRequest(question=b"q", deposit=sums.DepositRequest(roster=b"d" * 32, round=1)),
    sums.SummedReply(clear=b"r", deposit=None, sections=(1, 9)),
]
KINDS: dict[int, type] = {26 + place: type(message) for place, message in enumerate(MESSAGES)}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_of_a_sum_survives_the_wire(message: object) -> None:
    assert decode(encode(message, KINDS), KINDS, (type(message),)) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_of_a_sum_with_a_field_of_another_type_is_refused(message: object) -> None:
    first = fields(message)[0].name  # type: ignore[arg-type]  # all of them are records
    wrong = {field.name: getattr(message, field.name) for field in fields(message)} | {first: "1"}  # type: ignore[arg-type]  # as above
    with pytest.raises(WireError):
        decode(encode(type(message)(**wrong), KINDS), KINDS, (type(message),))


def test_every_message_is_listed_here() -> None:
    defined = {value for value in vars(sums).values() if isinstance(value, type)}
    assert defined == set(KINDS.values())
    assert sums.SUM_KINDS == KINDS
