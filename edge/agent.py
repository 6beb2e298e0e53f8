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
- Who the owner is, and what is news of that, is for :mod:`edge.trust` to say. While nothing good
  says that this task is the newest, only that news and a newer task are listened to.
"""

from collections.abc import Callable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from edge.agent_parts import AgentParts as AgentParts  # whoever makes an agent makes these
from edge.answering import take_answers
from edge.holdings import Holdings
from edge.serving_head import served_by as served_by  # whoever asks an agent asks this
from edge.serving_head import take_up
from edge.shadow import try_release
from edge.shipping import ship_granted
from edge.surveying import survey
from edge.teaching import evaluate, gradient, tell_of_votes
from fieldvote.delivery import BundleRequest
from fieldvote.errors import RefusalError, WireError
from fieldvote.heads import EvaluateRequest, GradientRequest, ServeRequest, VotesRequest
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

_CHANGING = (SurveyRequest, CollectRequest, AnswersRequest, ServeRequest, TrialRequest)
_EVALUATING = (HelloRequest, EvaluateRequest, ServeRequest, BundleRequest)


class Agent:
    """Answers requests; holds the pool's arrays in memory between them."""

    def __init__(self, parts: AgentParts) -> None:
        """Score and vote on the whole pool once."""
        self._parts = parts
        self._held = Holdings.of(parts)

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
        if self._parts.evaluates and not isinstance(message, _EVALUATING):
            raise RefusalError("this device only evaluates: it is neither surveyed nor trained on")
        if not isinstance(message, _CHANGING):
            return self._parts.outbox.release(self._read(message))
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
            case BundleRequest() if self._parts.arrive:
                return self._parts.arrive(message)
            case _:
                raise WireError(f"{type(message).__name__} is not answered here")

    def _work(self, message: Request) -> tuple[Reply, Callable[[], None]]:
        """Answer a request, and say what it changes once the reply may leave."""
        match message:
            case SurveyRequest():
                return survey(self._held, message)
            case CollectRequest():
                return ship_granted(self._parts, self._held.positions, message)
            case AnswersRequest():
                return take_answers(self._held, message)
            case ServeRequest():
                if self._parts.trust:
                    self._parts.trust.check_order(message, self._parts.task.family)
                return take_up(self._parts.pool, message)
            case TrialRequest():
                self._held.check_task(message.task)
                return try_release(self._parts, self._held.votes, message)
            case _:
                raise WireError(f"{type(message).__name__} is not answered here")

    def _hello(self, message: HelloRequest) -> HelloReply:
        task, show = self._parts.task.digest, self._parts.show
        certificate, proof = show(message, task) if show else (b"", b"")
        trust = self._parts.trust
        return HelloReply(
            task=task,
            evaluates=self._parts.evaluates,
            items=len(self._held.ids),
            signing_key=self._parts.outbox.signing_key,
            sealing_key=self._parts.sealing_key.public,
            certificate=certificate,
            proof=proof,
            version=(trust.newest or 0) if trust else 0,
        )
