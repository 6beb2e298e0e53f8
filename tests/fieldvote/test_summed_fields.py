from dataclasses import fields
from typing import get_type_hints

import numpy as np
import pytest

from fieldvote.codec import IntVector
from fieldvote.delivery import BundleReply
from fieldvote.errors import WireError
from fieldvote.heads import ServeReply
from fieldvote.records import (
    KINDS,
    AnswersReply,
    AnswersRequest,
    CollectReply,
    HelloReply,
    SurveyReply,
    SurveyRequest,
    encode,
)
from fieldvote.summed_fields import (
    CHANGING,
    SUMMED,
    Summed,
    as_told,
    common,
    name_of,
    nothing_of,
    put_in,
    take_out,
)
from fieldvote.sums import Confirmation, EpochKey, MaskedInput, RosterReply, SummedReply, Unmasking
from tests.fuzz.samples import record_of

ALONE = {HelloReply, CollectReply, ServeReply, BundleReply}
MASKED = {EpochKey, RosterReply, SummedReply, MaskedInput, Confirmation, Unmasking}
NOT_SUMMED = {"round", "step", "task", "offers"}
"""What of a reply that is summed is of one device by its nature, or of none."""

REPLIES = {kind for kind in KINDS.values() if kind.__name__.endswith("Reply")}


def test_every_number_of_every_reply_is_summed_or_known_to_be_none() -> None:
    assert {summed.reply for summed in SUMMED.values()} == REPLIES - ALONE - MASKED
    for summed in SUMMED.values():
        assert {field.name for field in fields(summed.reply)} - set(summed.bounds) <= NOT_SUMMED


@pytest.mark.parametrize(
    "kind", sorted(ALONE, key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__
)
def test_a_reply_that_leaves_alone_has_no_vector(kind: type) -> None:
    assert IntVector not in get_type_hints(kind).values()


@pytest.mark.parametrize("summed", SUMMED.values(), ids=lambda summed: summed.reply.__name__)
def test_what_is_taken_out_is_put_in_again(summed: Summed) -> None:
    reply = record_of(summed.reply)
    clear, parts = take_out(reply, summed.bounds)  # type: ignore[type-var]  # one of the replies
    assert encode(put_in(clear, parts)) == encode(reply)
    assert not any(np.any(part) for part in take_out(clear, summed.bounds)[1].values())


def test_a_number_that_comes_back_as_several_is_refused() -> None:
    clear, parts = take_out(record_of(SurveyReply), SUMMED[SurveyRequest].bounds)
    with pytest.raises(WireError, match="items of 2 numbers"):
        put_in(clear, {**parts, "items": np.arange(2)})


def test_answers_have_one_name_whoever_they_are_for() -> None:
    asked = record_of(AnswersRequest)
    assert common(asked).answers == ()
    assert name_of(asked) == name_of(common(asked))


def test_questions_that_differ_have_names_that_differ() -> None:
    names = {name_of(record_of(kind)) for kind in SUMMED}
    assert len(names) == len(SUMMED)


@pytest.mark.parametrize("kind", CHANGING, ids=lambda kind: kind.__name__)
def test_a_lost_sum_is_a_reply_that_adds_nothing(kind: type) -> None:
    reply = nothing_of(record_of(kind))
    _, parts = take_out(reply, SUMMED[kind].bounds)
    assert not any(np.any(part) for name, part in parts.items() if name != "told")


def test_a_cohort_with_nothing_says_it_as_a_device_does() -> None:
    whole = SurveyReply(
        round=1,
        items=0,
        voted=0,
        votes=np.zeros(5, dtype=np.int64),
        moments=np.zeros(9, dtype=np.int64),
        offers=(),
        renewed=np.zeros(2, dtype=np.int64),
    )
    told = as_told(whole)
    assert isinstance(told, SurveyReply)
    assert not any(map(len, (told.votes, told.moments, told.renewed)))
    zeros = np.zeros(3, dtype=np.int64)
    answers = AnswersReply(
        round=1, accepted=2, trained=1, anchors=zeros + 1, labeled=zeros, voted=zeros
    )
    told = as_told(answers)
    assert isinstance(told, AnswersReply)
    assert (len(told.anchors), len(told.labeled), len(told.voted)) == (3, 0, 0)
