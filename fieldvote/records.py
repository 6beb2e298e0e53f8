"""What crosses between a device and the coordinator: every message there is, as a frozen value.

Requests come from the coordinator, replies from the device's outbox. Arrays of integers are sums or
weights in fixed point; what each means is said by the room that makes it. A reply holds no item, no
text and no feature row: the only content that ever leaves is inside a sealed envelope.
"""

from dataclasses import dataclass, field
from typing import NewType, TypeAlias

import numpy as np

from fieldvote.codec import LATER, IntVector, Record
from fieldvote.codec import decode as _decode
from fieldvote.codec import encode as _encode
from fieldvote.comparing import CompareReply, CompareRequest
from fieldvote.delivery import BundleReply, BundleRequest
from fieldvote.heads import (
    EvaluateReply,
    EvaluateRequest,
    GradientReply,
    GradientRequest,
    HeadModel,
    ServeReply,
    ServeRequest,
    VotesReply,
    VotesRequest,
)
from fieldvote.private import PrivateReply, PrivateRequest
from fieldvote.recasting import RecastReply, RecastRequest
from fieldvote.releases import TrialReply, TrialRequest
from fieldvote.sums import SUM_KINDS, SUM_REQUESTS, SumReply, SumRequest
from fieldvote.traces import TraceReply, TraceRequest

DeviceId = NewType("DeviceId", int)

ARM_CHOSEN = 0  # picked by the acquisition strategy
ARM_RANDOM = 1  # picked at random among a device's unlabeled items
ARM_SEED = 2  # the first random label of a device


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloRequest:
    """Who are you? Asked before a device takes part, and whenever there is news.

    Attributes:
        campaign: Who asks.
        challenge: 32 random bytes to be signed, where a device must show its certificate.
        news: What is new of the fleet's roles, as a bundle; empty where no keys are used.
    """

    campaign: str
    challenge: bytes = b""
    news: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloReply:
    """A device introduces itself.

    Attributes:
        task: Digest of the task it has installed.
        evaluates: Whether it only evaluates, with labels of its own, and never trains.
        items: Size of its pool.
        signing_key: Public Ed25519 key its envelopes are signed with.
        sealing_key: Public X25519 key answers are sealed to.
        certificate: What its fleet says of these keys, in PEM; empty where it is not enrolled.
        proof: Signature that the certificate is its own; empty where no challenge was sent.
        version: The newest its owner signed that was ever installed; 0 where no root is set.
    """

    task: str
    evaluates: bool
    items: int
    signing_key: bytes
    sealing_key: bytes
    certificate: bytes = b""
    proof: bytes = b""
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyRequest:
    """Vote, sum, and offer.

    Attributes:
        round: Which round.
        strategy: Key of the acquisition the device ranks its items by.
        offers: How many ranked items to offer at most.
        random_offers: How many random items to offer at most.
        first: Whether those random items are the device's seed labels.
        model: The head to score with; none before the first is trained.
        task: Digest of the task that is asked about; empty for whichever it is.
        watch: The head that new items are counted by; none where nobody watches.
        fresh: Only items that were counted in this round or later are ranked; 0 for all.
        bits: Of an offer's sketch, at most what devices make them of; 0 for that.
    """

    round: int
    strategy: str
    offers: int
    random_offers: int
    first: bool
    model: HeadModel | None
    task: str = ""
    watch: HeadModel | None = field(default=None, metadata=LATER)
    fresh: int = field(default=0, metadata=LATER)
    bits: int = field(default=0, metadata=LATER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One item a device would ship if asked: no content, a random id, and what selection needs.

    Attributes:
        item: Random id of 16 bytes, meaningless elsewhere.
        arm: ARM_CHOSEN, ARM_RANDOM or ARM_SEED.
        score: Acquisition score, 0 to 65535, more is more wanted.
        predicted: Predicted class, -1 before there is a model.
        sketch: Signs of the embedding under a projection the coordinator does not know.
    """

    item: bytes
    arm: int
    score: int
    predicted: int
    sketch: bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurveyReply:
    """Sums over what was in no earlier sum, and offers.

    Attributes:
        round: The round answered.
        items: How many items are in a sum for the first time.
        voted: How many of those got at least one vote.
        votes: Vote summary as a vector.
        moments: Sums of the embedding of those items as a vector.
        offers: What the device would ship.
        task: Digest of the task whose functions voted.
        renewed: How many other items each function has voted on for the first time; in `votes`
            only counts of such functions hold them. Shape (m,), or empty for none.
        arrivals: Histograms of items that are in none yet; empty where nobody watches.
    """

    round: int
    items: int
    voted: int
    votes: IntVector
    moments: IntVector
    offers: tuple[Offer, ...]
    task: str = ""
    renewed: IntVector = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    arrivals: IntVector = field(default_factory=lambda: np.empty(0, dtype=np.int64), metadata=LATER)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectRequest:
    """Ship these items, redacted and sealed."""

    round: int
    grants: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedItem:
    """One candidate in its envelope, or the reason why it stays."""

    item: bytes
    envelope: bytes
    refusal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectReply:
    """What was granted, sealed to the labeling key."""

    round: int
    sealed: tuple[SealedItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnswersRequest:
    """Answers to your own items, each sealed to your key; send back what they add to the sums."""

    round: int
    answers: tuple[bytes, ...]
    representation: HeadModel
    task: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnswersReply:
    """What the new answers add.

    Attributes:
        round: The round answered.
        accepted: How many answers were new.
        trained: How many of those may be trained on.
        anchors: Anchor summary of the newly answered items.
        labeled: Head sums of the newly answered items that may be trained on.
        voted: Head sums of the voted items; only once, else empty.
        task: Digest of the task whose functions voted.
        renewed: How many items answered before are in the anchors of functions that are new.
    """

    round: int
    accepted: int
    trained: int
    anchors: IntVector
    labeled: IntVector
    voted: IntVector
    task: str = ""
    renewed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedItem:
    """What an annotator sees: redacted text, or the named fields the policy keeps.

    Attributes:
        item: The offer's id.
        text: Redacted text; empty for tabular items.
        names: Names of the kept fields.
        values: Their values as text, empty where missing.
    """

    item: bytes
    text: str
    names: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an annotator said of one item."""

    item: bytes
    label: int


Request: TypeAlias = (
    HelloRequest
    | SurveyRequest
    | CollectRequest
    | AnswersRequest
    | GradientRequest
    | EvaluateRequest
    | ServeRequest
    | BundleRequest
    | VotesRequest
    | TrialRequest
    | PrivateRequest
    | TraceRequest
    | CompareRequest
    | RecastRequest
    | SumRequest
)
Reply: TypeAlias = (
    HelloReply
    | SurveyReply
    | CollectReply
    | AnswersReply
    | GradientReply
    | EvaluateReply
    | ServeReply
    | BundleReply
    | VotesReply
    | TrialReply
    | PrivateReply
    | TraceReply
    | CompareReply
    | RecastReply
    | SumReply
)

REQUESTS: tuple[type[Request], ...] = (
    HelloRequest,
    SurveyRequest,
    CollectRequest,
    AnswersRequest,
    GradientRequest,
    EvaluateRequest,
    ServeRequest,
    BundleRequest,
    VotesRequest,
    TrialRequest,
    PrivateRequest,
    TraceRequest,
    CompareRequest,
    RecastRequest,
    *SUM_REQUESTS,
)

# A number once given is never given again.
KINDS: dict[int, type] = {
    1: HelloRequest,
    2: HelloReply,
    3: SurveyRequest,
    4: SurveyReply,
    5: CollectRequest,
    6: CollectReply,
    7: AnswersRequest,
    8: AnswersReply,
    9: GradientRequest,
    10: GradientReply,
    11: EvaluateRequest,
    12: EvaluateReply,
    13: MaskedItem,
    14: Answer,
    15: HeadModel,
    16: BundleRequest,
    17: BundleReply,
    18: ServeRequest,
    19: ServeReply,
    20: VotesRequest,
    21: VotesReply,
    24: TrialRequest,
    25: TrialReply,
    **SUM_KINDS,  # 26 to 39
    44: PrivateRequest,
    45: PrivateReply,
    47: TraceRequest,
    48: TraceReply,
    50: RecastRequest,
    51: RecastReply,
    55: CompareRequest,
    56: CompareReply,
}


def encode(record: object) -> bytes:
    """Return the message that carries this record.

    >>> decode(encode(CollectRequest(round=1, grants=(b"a",))), CollectRequest).grants
    (b'a',)
    """
    return _encode(record, KINDS)


def decode(blob: bytes, *expected: type[Record]) -> Record:
    """Return the record in these bytes, which must be of an expected kind.

    Raises:
        WireError: the bytes are not such a message.
    """
    return _decode(blob, KINDS, expected)
