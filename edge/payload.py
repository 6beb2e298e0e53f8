"""What a device has to add to one sum: one vector, and which items are in it.

It is made when the device checks in, and is in a sum when it was masked: from then on it may be
masked again for the same sum in the same epoch, and for no other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from edge.entering import Change, Entering
from edge.holdings import Holdings
from edge.pool import Pool
from edge.windows import windows
from fieldvote.codec import IntVector, decode, encode
from fieldvote.errors import InputError, SealError
from fieldvote.heads import EvaluateReply
from fieldvote.records import AnswersRequest, Reply, Request, SurveyRequest
from fieldvote.releases import TrialReply
from fieldvote.summed_fields import SUMMED, take_out
from privacy.secagg import Layout, Section
from strategies.aggregation.sketch import sketch_length
from strategies.labeling import VoteSummary
from strategies.representation import Moments

_NOTE = "secure payload"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Payload:
    """What a device has to add to one sum.

    Attributes:
        name: Of the sum.
        sections: How many numbers each summed field has.
        kinds: What numbers are, for the ledger.
        counts: How many there are of each of those kinds.
        vector: The numbers.
        entering: Items that are in the sum once this is masked.
        pool: Of the sums all items were in when it was made.
        roster: Digest of the roster under which it was masked; empty before.
    """

    name: bytes
    sections: tuple[int, ...]
    kinds: tuple[str, ...]
    counts: tuple[int, ...]
    vector: IntVector
    entering: tuple[Entering, ...]
    pool: bytes
    roster: bytes = b""

    @property
    def carries(self) -> Mapping[str, int]:
        """How many of the numbers are summaries, updates and so on."""
        return dict(zip(self.kinds, self.counts, strict=True))

    def masked_under(self, roster: bytes) -> "Payload":
        """Return this as it is remembered once it is masked."""
        return replace(self, roster=roster)

    def is_good(self, held: Holdings) -> bool:
        """Return whether none of its items entered a sum since it was made.

        Masked, it is what entered; else what was summed in between must not be summed again.
        """
        return bool(self.roster) or not self.entering or self.pool == sums_now(held)

    def keep(self, pool: Pool) -> None:
        """Write it down, in the place of the one before."""
        blob = encode(self, _KINDS)
        (locked,) = pool.locker.seal("note", _NOTE, [(_NOTE, blob)])
        pool.keep_note(_NOTE, locked)

    @staticmethod
    def of(pool: Pool) -> "Payload | None":
        """Return the one that was written down, None where there is none that can be read."""
        note = pool.note(_NOTE)
        if note is None:
            return None
        try:
            (blob,) = pool.locker.open("note", _NOTE, [(_NOTE, note)])
            return decode(blob, _KINDS, (Payload,))
        except (SealError, InputError):
            return None  # from before the pool was locked, or purged; what it held is not summed


def forget_unmasked(pool: Pool) -> None:
    """Let go of what was not masked yet, for its items are at other places now; it is made anew."""
    payload = Payload.of(pool)
    if payload is not None and not payload.roster:
        pool.update("DELETE FROM note WHERE name = ?", [(_NOTE,)])


_KINDS: dict[int, type] = {1: Payload}


def payload_of(
    held: Holdings, question: Request, reply: Reply, change: Change, *, name: bytes
) -> tuple[Reply, Payload | None]:
    """Return a reply without what is summed, and that as a payload.

    A device with nothing to add has a vector of zeros: who has something does not show. Only of a
    trial it cannot make sense of it knows no length, and has none.

    Raises:
        RefusalError: a number is greater than a device's may be.
    """
    summed = SUMMED[type(question)]
    if isinstance(reply, EvaluateReply):
        evaluates = held.parts.evaluates
        reply = replace(
            reply,
            confusion=_by_arm(reply.confusion, evaluates),
            calibration=_by_arm(reply.calibration, evaluates),
        )
    if isinstance(reply, TrialReply) and not reply.items:
        return replace(reply, told=0), None
    clear, parts = take_out(reply, summed.bounds)
    for each, length in _lengths(held, question).items():
        if not len(parts[each]):
            parts[each] = np.zeros(length, dtype=np.int64)
    sections = tuple(len(parts[name]) for name in summed.bounds)
    layout = Layout(
        tuple(
            Section(name=name, length=len(parts[name]), bound=bound)
            for name, bound in summed.bounds.items()
        )
    )
    carries = summed.carries(sections)
    return clear, Payload(
        name=name,
        sections=sections,
        kinds=tuple(carries),
        counts=tuple(carries.values()),
        vector=layout.join(parts),
        entering=change.entering,
        pool=sums_now(held),
    )


def sums_now(held: Holdings) -> bytes:
    """Return a digest of which sums every item is in."""
    pool = held.parts.pool
    both = [pool.column("summed"), pool.column("anchored")]
    digest = blake2b(held.parts.task.digest.encode(), digest_size=16)
    digest.update(np.concatenate(both).tobytes())
    digest.update(repr(windows(pool)).encode())
    return digest.digest()


def _by_arm(counts: IntVector, evaluates: bool) -> IntVector:
    """Return sums of held-out devices, then those of the random arm: a device has one of them."""
    nothing = np.zeros_like(counts)
    return np.concatenate([counts, nothing] if evaluates else [nothing, counts])


def _lengths(held: Holdings, question: Request) -> Mapping[str, int]:
    """Return how long fields are that a plain reply leaves empty where there is nothing."""
    shape = {"functions": len(held.parts.task.functions), "classes": held.classes}
    match question:
        case SurveyRequest():
            width = held.learner.embeddings.shape[1]
            return {
                "votes": len(VoteSummary.empty(**shape).to_vector()),
                "moments": len(Moments.empty(width=width).to_vector()),
                "renewed": shape["functions"],
            }
        case AnswersRequest(representation=made):
            length = sketch_length(len(made.mean) + made.fourier + 1)
            return {"labeled": length, "voted": length}
        case _:
            return {}
