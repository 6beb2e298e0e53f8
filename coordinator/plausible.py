"""Whether numbers, keys and replies from a device are such as an honest one could send."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError
from fieldvote.records import ARM_CHOSEN, ARM_RANDOM, ARM_SEED, AnswersReply, SurveyReply
from fieldvote.releases import TrialReply
from privacy.sealing import SigningKey, seal
from privacy.sealing.context import DIGEST_BYTES, EPOCH_BYTES, Marks, Purpose, Scope
from strategies.aggregation.sketch import HeadSums, sketch_length
from strategies.new_columns import new_anchors, new_votes
from strategies.representation import Moments

KEY_BYTES = 32
MOST_ITEMS = 1 << 30
MOST_FINE = MOST_ITEMS << 20  # where an item counts in multiples of 2^-20
_ID_BYTES = 16
_MAX_OFFERS = 4096
_ARMS = (ARM_CHOSEN, ARM_RANDOM, ARM_SEED)
_MAX_SCORE = 65535
_MOST_MICROS = 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """What the task makes of the vectors a device may send.

    Attributes:
        votes: Length of a vote summary.
        anchors: Length of an anchor summary.
        classes: k.
        functions: m.
        task: Digest of the task.
        family: Digest of the task's family.
        policy: SHA-256 of the task's policy.
    """

    votes: int
    anchors: int
    classes: int
    functions: int = 0
    task: str = ""
    family: str = ""
    policy: bytes = bytes(DIGEST_BYTES)


def are_counts(vector: NDArray[np.int64], length: int, *, most: int) -> bool:
    """Return whether this is a vector of so many counts."""
    return len(vector) == length and not ((vector < 0) | (vector > most)).any()


def builds(build: Callable[[NDArray[np.int64]], object], vector: NDArray[np.int64]) -> bool:
    """Return whether the room that adds these sums up would take them."""
    try:
        build(vector)
    except InputError:
        return False
    return True


def usual(lengths: Iterable[int]) -> int:
    """Return the length that occurs most often, 0 where there is none."""
    most = Counter(lengths).most_common(1)
    return most[0][0] if most else 0


def can_be_sealed_to(key: bytes) -> bool:
    """Return whether an answer can be sealed to this key; some keys of the right length are none.

    A device with such a key would stop the desk at its first answer.
    """
    try:
        seal(
            b"",
            recipient=key,
            scope=Scope(purpose=Purpose.ANSWER, family="", device=b""),
            marks=Marks(epoch=bytes(EPOCH_BYTES), sequence=0),
            signer=SigningKey(bytes(KEY_BYTES)),
        )
    except (InputError, ValueError):
        return False
    return True


def can_survey(reply: SurveyReply, shapes: Shapes, *, moments: int, sketch: int) -> bool:
    """Return whether a survey's vectors and offers are what a device of this task can send.

    A count over n items is n at most, so one device cannot make the sums overflow.
    """
    renewed = reply.renewed
    most = reply.items + (int(renewed.max()) if len(renewed) else 0)
    sums = 0 <= most <= MOST_ITEMS and (
        most == len(reply.votes) == 0
        or (
            are_counts(reply.votes, shapes.votes, most=most)
            and reply.votes[0] == reply.items
            and (not len(renewed) or are_counts(renewed, shapes.functions, most=most))
        )
    )
    first = reply.items == len(reply.moments) == reply.voted == 0 or (
        reply.items > 0
        and 0 <= reply.voted <= reply.items
        and len(reply.moments) == moments
        and builds(Moments.from_vector, reply.moments)
    )
    return (
        sums
        and first
        and len(reply.offers) <= _MAX_OFFERS
        and all(
            len(offer.item) == _ID_BYTES
            and len(offer.sketch) == sketch
            and offer.arm in _ARMS
            and 0 <= offer.score <= _MAX_SCORE
            and -1 <= offer.predicted < shapes.classes
            for offer in reply.offers
        )
    )


def can_teach(reply: AnswersReply, shapes: Shapes, answers: int, width: int) -> bool:
    """Return whether a device that was sent so many answers can have sent these sums.

    One whose sums are made under masks adds none in its own reply.
    """
    length = sketch_length(width)
    if not (reply.renewed or any(map(len, (reply.anchors, reply.labeled, reply.voted)))):
        return True
    return (
        answers > 0
        and 0 <= reply.renewed <= MOST_ITEMS
        and are_counts(reply.anchors, shapes.anchors, most=answers + reply.renewed)
        and all(
            len(vector) == 0 or (len(vector) == length and builds(HeadSums.from_vector, vector))
            for vector in (reply.labeled, reply.voted)
        )
    )


def can_try(reply: TrialReply, *, task: str, functions: int, brought: int, classes: int) -> bool:
    """Return whether a device can have said this of a release's new functions.

    Args:
        reply: What it said.
        task: Digest of the release's task.
        functions: How many functions the sums are over.
        brought: How many of those are new; the last ones.
        classes: k.
    """
    vectors = (reply.seen, reply.votes, reply.anchors, reply.errors, reply.micros)
    if not reply.items:
        return reply.task in ("", task) and not any(len(vector) for vector in vectors)
    votes = int(new_votes(functions, brought, classes=classes).sum())
    anchors = int(new_anchors(functions, brought, classes=classes).sum())
    most = reply.items
    return (
        0 < reply.told <= most <= MOST_ITEMS
        and reply.task == task
        and are_counts(reply.seen, brought, most=most)
        and are_counts(reply.votes, votes, most=most)
        and are_counts(reply.anchors, anchors, most=MOST_ITEMS)
        and are_counts(reply.errors, brought, most=most)
        and are_counts(reply.micros, brought, most=_MOST_MICROS)
    )
