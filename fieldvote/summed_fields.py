"""Which numbers of which reply are sums, and so may leave a device only as part of one.

Offers, refusals, sealed candidates and what names a round stay with the rest of the reply: they are
of one device by their nature. Sample counts and metrics are sums like any others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from fieldvote.codec import IntVector
from fieldvote.comparing import CompareReply, CompareRequest
from fieldvote.errors import WireError
from fieldvote.heads import (
    EvaluateReply,
    EvaluateRequest,
    GradientReply,
    GradientRequest,
    VotesReply,
    VotesRequest,
)
from fieldvote.portions import PORTIONS
from fieldvote.private import PrivateReply, PrivateRequest
from fieldvote.recasting import RecastReply, RecastRequest
from fieldvote.records import (
    AnswersReply,
    AnswersRequest,
    DeviceId,
    Reply,
    Request,
    SurveyReply,
    SurveyRequest,
    decode,
    encode,
)
from fieldvote.releases import TrialReply, TrialRequest
from fieldvote.sums import SummedRequest
from fieldvote.traces import TraceReply, TraceRequest

COHORT = DeviceId(0)
"""Who a reply is from that holds the sums of a whole cohort; no node of a fleet is called so."""

NAME_BYTES = 32
COUNT = 1 << 30  # items of one device
RIGHT = 1 << 22  # items one device is judged on: such a count over 500 devices fits 32 bits
FINE = 1 << 52  # fixed point; with it 2,000 devices fit 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    """What of a reply is summed.

    Attributes:
        reply: Its type.
        bounds: Greatest absolute value on one device, by field, in the order of the sections.
    """

    reply: type[Reply]
    bounds: Mapping[str, int]

    def carries(self, sections: Sequence[int]) -> dict[str, int]:
        """Return how many of the numbers are summaries, updates and so on; see portions."""
        found: dict[str, int] = {}
        for name, length in zip(self.bounds, sections, strict=True):
            kind = PORTIONS.get((self.reply, name), "overhead")
            found[kind] = found.get(kind, 0) + length
        return found


_TRIAL_COUNTS = ("items", "told", "seen", "votes", "anchors", "errors")

SUMMED: Mapping[type[Request], Summed] = {
    SurveyRequest: Summed(
        reply=SurveyReply,
        bounds={
            "items": COUNT,
            "voted": COUNT,
            "votes": COUNT,
            "moments": FINE,
            "renewed": COUNT,
            "arrivals": COUNT,
        },
    ),
    AnswersRequest: Summed(
        reply=AnswersReply,
        bounds={
            "accepted": COUNT,
            "trained": COUNT,
            "anchors": COUNT,
            "labeled": FINE,
            "voted": FINE,
            "renewed": COUNT,
        },
    ),
    GradientRequest: Summed(reply=GradientReply, bounds={"sums": FINE}),
    VotesRequest: Summed(reply=VotesReply, bounds={"sums": FINE}),
    TraceRequest: Summed(reply=TraceReply, bounds={"sums": FINE}),
    CompareRequest: Summed(reply=CompareReply, bounds={"sums": FINE}),
    RecastRequest: Summed(reply=RecastReply, bounds={"sums": FINE}),
    PrivateRequest: Summed(reply=PrivateReply, bounds={"sums": FINE}),
    EvaluateRequest: Summed(reply=EvaluateReply, bounds={"confusion": RIGHT, "calibration": FINE}),
    TrialRequest: Summed(
        reply=TrialReply, bounds={**dict.fromkeys(_TRIAL_COUNTS, COUNT), "micros": FINE}
    ),
}
"""Every question whose answer is added up, by its type."""

QUESTIONS: tuple[type[Request], ...] = tuple(SUMMED)
CHANGING: tuple[type[Request], ...] = (SurveyRequest, AnswersRequest, TrialRequest)
"""Those whose answer says more than the sum, and changes the device: it counts also without it."""


def common(question: Request) -> Request:
    """Return what every device of an exchange is asked alike: all but the answers it is brought."""
    return replace(question, answers=()) if isinstance(question, AnswersRequest) else question


def name_of(question: Request) -> bytes:
    """Return the name of the one sum that answers to a question may be in."""
    return blake2b(encode(common(question)), digest_size=NAME_BYTES, person=b"summed").digest()


@lru_cache(maxsize=4)  # one question goes to a whole fleet
def read_question(blob: bytes) -> tuple[Request, bytes]:
    """Return a question whose answers are summed, and the name of their sum.

    Raises:
        WireError: the bytes are no such question.
    """
    question = decode(blob, *QUESTIONS)
    return question, name_of(question)


def question_of(message: Request) -> Request:
    """Return what a device is asked: what is inside, where it is asked under masks.

    Raises:
        WireError: what is inside is nothing whose answers are summed.
    """
    return read_question(message.question)[0] if isinstance(message, SummedRequest) else message


def nothing_of(question: Request) -> Reply:
    """Return the reply of a cohort whose sum is lost: nothing was added.

    Raises:
        WireError: such a question is asked again instead.
    """
    none = np.empty(0, dtype=np.int64)
    match question:
        case SurveyRequest():
            return SurveyReply(
                round=question.round, items=0, voted=0, votes=none, moments=none, offers=()
            )
        case AnswersRequest():
            return AnswersReply(
                round=question.round, accepted=0, trained=0, anchors=none, labeled=none, voted=none
            )
        case TrialRequest():
            return TrialReply.nothing(question.round)
        case _:
            raise WireError(f"{type(question).__name__} has no answer without a sum")


def take_out(reply: Reply, bounds: Mapping[str, int]) -> tuple[Reply, dict[str, IntVector]]:
    """Return a reply without what is summed, and that by field; a number is a vector of one.

    >>> reply = VotesReply(round=1, step=0, sums=np.array([3, 4]))
    >>> clear, parts = take_out(reply, SUMMED[VotesRequest].bounds)
    >>> len(clear.sums), parts["sums"].tolist()
    (0, [3, 4])
    """
    parts = {}
    for name in bounds:
        value = getattr(reply, name)
        parts[name] = np.array([value] if isinstance(value, int) else value, dtype=np.int64)
    nothing = np.empty(0, dtype=np.int64)
    left = {name: 0 if isinstance(getattr(reply, name), int) else nothing for name in bounds}
    return replace(reply, **left), parts  # type: ignore[arg-type]  # fields the table names


def put_in(clear: Reply, parts: Mapping[str, IntVector]) -> Reply:
    """Undo take_out: the reply of a cohort, with what its devices' come to.

    Raises:
        WireError: a field that is one number has another length.
    """
    filled: dict[str, int | IntVector] = {}
    for name, part in parts.items():
        if isinstance(getattr(clear, name), int):
            if len(part) != 1:
                raise WireError(f"{name} of {len(part)} numbers, expected one")
            filled[name] = int(part[0])
        else:
            filled[name] = part
    return replace(clear, **filled)  # type: ignore[arg-type]  # fields the table names


def as_told(whole: Reply) -> Reply:
    """Return a cohort's reply as one device would tell it: what is nothing is left empty."""
    none = np.empty(0, dtype=np.int64)
    match whole:
        case SurveyReply(items=items, renewed=renewed):
            more = bool(renewed.any())
            return replace(
                whole,
                votes=whole.votes if items or more else none,
                moments=whole.moments if items else none,
                renewed=renewed if more else none,
                offers=(),
            )
        case AnswersReply():
            return replace(
                whole,
                labeled=whole.labeled if whole.labeled.any() else none,
                voted=whole.voted if whole.voted.any() else none,
            )
        case _:
            return whole
