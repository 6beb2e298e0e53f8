"""The agent: one device's part in a round, request by request.

It decides what a request is about and gathers the numbers; :mod:`edge.outbox` decides what leaves.
Rules it keeps:

- A pool item enters at most one released sum for each version of a function, and of each pair, so
  that two surveys, or two trials of a release, never subtract to one item.
- An item whose rights do not let it be shown is never offered.
- Only what was offered is shipped, only what was shipped can be answered, the first answer stays.
- A request that changes the pool is journaled with its reply: asked twice, it answers with the same
  bytes, charges nothing, and counts once.
- What is asked of another task than the one that is installed is refused; a survey or answers of a
  release before it are met as the installed one can, and the reply says which that is.
- Bad requests change nothing.
- Where the policy hides records, what is summed is paid for and noised: see :mod:`edge.private`.
- Where the policy asks for secure sums, no sum leaves on its own: see :mod:`edge.summing`.
- Who the owner is, and what is news of that, is for :mod:`edge.trust` to say. While nothing good
  says that this task is the newest, only that news and a newer task are listened to.

What few devices are ever asked is imported when they are: the program stays small on the others.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.agent_parts import AgentParts as AgentParts  # whoever makes an agent makes these
from edge.answering import take_answers
from edge.deep_teaching import check_servable
from edge.entering import nothing
from edge.holdings import Holdings
from edge.keeper_state import STATE
from edge.private_door import check_asked, without_sums
from edge.serving_head import served_by as served_by  # whoever asks an agent asks this
from edge.serving_head import take_up
from edge.shipping import ship_granted
from edge.surveying import survey
from edge.teaching import evaluate, gradient, tell_of_votes
from fieldvote.comparing import CompareRequest
from fieldvote.delivery import BundleRequest
from fieldvote.errors import RefusalError, WireError
from fieldvote.heads import EvaluateRequest, GradientRequest, ServeRequest, VotesRequest
from fieldvote.private import PrivateRequest
from fieldvote.recasting import RecastRequest
from fieldvote.records import (
    REQUESTS,
    AnswersRequest,
    CollectRequest,
    HelloReply,
    HelloRequest,
    Reply,
    Request,
    SurveyRequest,
    decode,
)
from fieldvote.releases import TrialRequest
from fieldvote.summed_fields import question_of
from fieldvote.sums import SUM_REQUESTS
from fieldvote.traces import TraceRequest

if TYPE_CHECKING:
    from edge.summing import SecureSums

_CHANGING = (
    SurveyRequest,
    CollectRequest,
    AnswersRequest,
    ServeRequest,
    TrialRequest,
    *SUM_REQUESTS,
)
_EVALUATING = (
    HelloRequest,
    EvaluateRequest,
    PrivateRequest,
    ServeRequest,
    BundleRequest,
    TraceRequest,
    CompareRequest,
    *SUM_REQUESTS,
)
# what holds no sums, or holds them under masks
_ALONE = (HelloRequest, CollectRequest, ServeRequest, BundleRequest, *SUM_REQUESTS)


class Agent:
    """Answers requests; holds the pool's arrays in memory between them."""

    def __init__(self, parts: AgentParts) -> None:
        """Score and vote on the whole pool once."""
        self._parts = parts
        self._held = Holdings.of(parts)
        self._kept = parts.pool.note(STATE)

    @property
    def votes(self) -> NDArray[np.int8]:
        """The functions' votes on the pool; shape (n, m). They stay on the device."""
        return self._held.votes

    def handle(self, request: bytes) -> bytes:
        """Return the reply to a request.

        Raises:
            WireError: the bytes are no request.
            RefusalError: the policy or the ledger says no.
        """
        message = decode(request, *REQUESTS)
        trust = self._parts.trust
        about_owner = isinstance(message, HelloRequest | BundleRequest)
        if trust and not about_owner and (reason := trust.staleness()):
            # who holds news back must not be able to keep this device at work
            raise RefusalError(f"no round without the owner's word: {reason}")
        asked = question_of(message)
        check_asked(self._parts.task.policy.privacy, asked)
        judges = isinstance(asked, VotesRequest) and asked.about == "pseudo"
        if self._parts.evaluates and not (judges or isinstance(asked, _EVALUATING)):
            raise RefusalError("this device only evaluates: it is neither surveyed nor trained on")
        if self._parts.task.policy.cohort.secure and not isinstance(message, _ALONE):
            raise RefusalError("the policy asks for secure sums: this device tells none of its own")
        self._take_in()
        if not isinstance(message, _CHANGING):
            return self._parts.outbox.release(self._read(message))
        if isinstance(message, SUM_REQUESTS):
            return self._sum(message, request)
        name = blake2b(request, digest_size=16).digest()
        known = self._parts.pool.recall(name)
        if known is not None:
            return known
        reply, change = self._work(message)
        blob = self._parts.outbox.release(reply)
        with self._parts.pool.changing():
            change()
            self._parts.pool.remember(name, blob)
        return blob

    def _take_in(self) -> None:
        """Score and vote on what came to the pool since the last look; forget what was let go."""
        kept = self._parts.pool.note(STATE)
        if kept != self._kept or len(self._parts.pool) > len(self._held.ids):
            self._held, self._kept = self._held.grown(), kept

    def _read(self, message: Request) -> Reply:
        """Answer a request that leaves the pool as it is."""
        match message:
            case HelloRequest():
                if self._parts.trust:
                    self._parts.trust.refresh(message.news)
                return self._hello(message)
            case GradientRequest():
                return gradient(self._held, message)
            case EvaluateRequest():
                return evaluate(self._held, message)
            case VotesRequest():
                return tell_of_votes(self._held, message)
            case PrivateRequest():
                from edge.private import release_noised

                return release_noised(self._held, message)
            case TraceRequest():
                from edge.influence import trace

                return trace(self._held, message)
            case RecastRequest():
                from edge.recasting import recast

                return recast(self._held, message)
            case CompareRequest():
                from edge.comparing import compare

                return compare(self._held, message)
            case BundleRequest() if self._parts.arrive:
                return self._parts.arrive(message)
            case _:
                raise WireError(f"{type(message).__name__} is not answered here")

    def _sum(self, message: Request, request: bytes) -> bytes:
        """Return the reply to a leg of a sum; the last of each kind is said again as it was."""
        sums = self._secure_sums()
        known = sums.recall(message, request)
        if known is not None:
            return known
        leaving = sums.work(message)
        blob = self._parts.outbox.release(leaving.reply, carries=leaving.carries)
        with self._parts.pool.changing():
            leaving.change()
            sums.remember(message, request, blob)
        return blob

    def _secure_sums(self) -> "SecureSums":
        """Return what answers under masks; all it must not forget is in the pool."""
        from edge.summing import SecureSums

        return SecureSums(self._held, self._answer)

    def _answer(self, message: Request) -> tuple[Reply, Callable[[], None]]:
        """Answer any request, and say what it changes."""
        if isinstance(message, _CHANGING):
            reply, change = self._work(message)
        else:
            reply, change = self._read(message), nothing
        self._parts.outbox.check(reply)  # before anything of it is put under masks
        return reply, change

    def _work(self, message: Request) -> tuple[Reply, Callable[[], None]]:
        """Answer a request, and say what it changes once the reply may leave."""
        match message:
            case SurveyRequest():
                surveyed, remember = survey(self._held, message)
                return without_sums(self._parts.task.policy.privacy, surveyed), remember
            case CollectRequest():
                return ship_granted(self._parts, self._held.positions, message)
            case AnswersRequest():
                taken, remember = take_answers(self._held, message)
                return without_sums(self._parts.task.policy.privacy, taken), remember
            case ServeRequest():
                if self._parts.trust:
                    self._parts.trust.check_order(message, self._parts.task.family)
                check_servable(self._held, message)
                return take_up(self._parts.pool, message)
            case TrialRequest():
                from edge.shadow import try_release

                self._held.check_task(message.task)
                return try_release(self._parts, self._held.votes, message)
            case _:
                raise WireError(f"{type(message).__name__} is not answered here")

    def _hello(self, message: HelloRequest) -> HelloReply:
        task, show = self._parts.task.digest, self._parts.show
        certificate, proof = show(message, task) if show else (b"", b"")
        trust = self._parts.trust
        counted = not self._parts.task.policy.privacy.on  # an exact count of records is a sum too
        return HelloReply(
            task=task,
            evaluates=self._parts.evaluates,
            items=len(self._held.ids) if counted else 0,
            signing_key=self._parts.outbox.signing_key,
            sealing_key=self._parts.sealing_key.public,
            certificate=certificate,
            proof=proof,
            version=(trust.newest or 0) if trust else 0,
        )
