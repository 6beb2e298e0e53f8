"""Taking in the answers people gave: from the desk, to this device, each once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.agent_parts import AgentParts
from edge.delta import anchor_delta
from edge.entering import VOTED_SUMS, Change, Entering
from edge.holdings import Holdings
from edge.pool import Pool
from edge.released import Released
from edge.sums import released
from fieldvote.errors import SealError, WireError
from fieldvote.records import Answer, AnswersReply, AnswersRequest, decode
from privacy.sealing.context import Purpose, Scope
from privacy.sealing.envelope import Opened, open_envelope
from privacy.sealing.replay import Window
from privacy.sealing.rotation import good_keys
from strategies.labeling import AnchorSummary

_REPLAYED = "replayed_answers"
_NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedAnswers:
    """Answers that were not here before.

    Attributes:
        answers: In the order they came.
        windows: What was seen now, by sender and epoch.
    """

    answers: tuple[Answer, ...]
    windows: Mapping[tuple[bytes, bytes], Window]

    def remember(self, pool: Pool) -> None:
        """Store what was seen; the caller holds the transaction that takes the answers in."""
        for (sender, epoch), window in self.windows.items():
            pool.keep_window(sender, epoch, window.to_bytes())


def open_answers(parts: AgentParts, envelopes: Iterable[bytes], *, classes: int) -> OpenedAnswers:
    """Open answers; one that was here before is left out, and counted as an incident.

    A coordinator that was restored from a backup may honestly send an answer again, so it does not
    refuse the request as a wrong signature does.

    Args:
        parts: The device.
        envelopes: What came.
        classes: k; an answer is below it.

    Raises:
        SealError: one is not sealed to this device.
        SignatureError: one is not signed by a desk whose key is good now, for this task.
        WireError: one holds no answer, or names no class.
    """
    answers, windows = list[Answer](), dict[tuple[bytes, bytes], Window]()
    for envelope in envelopes:
        opened = _open(parts, envelope)
        answer = decode(opened.plaintext, Answer)
        if not 0 <= answer.label < classes:
            raise WireError(f"an answer names class {answer.label} of {classes}")
        place = opened.sender, opened.marks.epoch
        window = windows.get(place) or Window.from_bytes(parts.pool.window(*place))
        try:
            windows[place] = window.admit(opened.marks.sequence)
        except SealError:
            parts.outbox.incidents[_REPLAYED] += 1
            continue
        answers.append(answer)
    return OpenedAnswers(answers=tuple(answers), windows=windows)


def _open(parts: AgentParts, envelope: bytes) -> Opened:
    """Open one envelope as this device, for its task."""
    return open_envelope(
        envelope,
        keys=[parts.sealing_key],
        scope=Scope(
            purpose=Purpose.ANSWER,
            family=parts.task.family,
            device=parts.outbox.signing_key,
        ),
        senders=good_keys(parts.desk_keys, parts.now()),
    )


def take_answers(
    held: Holdings, message: AnswersRequest, *, owed: bool = False
) -> tuple[AnswersReply, Change]:
    """Return what new answers add to the sums, and what the pool is to remember of them.

    Args:
        held: The pool.
        message: The answers.
        owed: Whether answers that came before and are in no sum yet are added: their sum was lost.
    """
    held.check_task(message.task)
    pool, task, votes = held.parts.pool, held.parts.task, held.votes
    arms, known = pool.column("arm"), pool.column("answer")
    fresh: dict[int, int] = {}
    opened = open_answers(held.parts, message.answers, classes=held.classes)
    for answer in opened.answers:
        place = held.positions.get(answer.item, -1)
        if place >= 0 and arms[place] >= 0 and known[place] < 0:
            fresh.setdefault(place, answer.label)
    groups = {s: at[known[at] >= 0] for s, at in released(pool, "anchored").items()}
    waiting = groups.get(Released(), _NOTHING) if owed else _NOTHING
    waiting = waiting[pool.column("answered_in")[waiting] >= 0]
    places = np.concatenate([waiting, np.array(list(fresh), dtype=np.int64)])
    labels = np.concatenate([known[waiting], np.array(list(fresh.values()), dtype=np.int64)])
    barred = held.held_out(arms)
    trains = ~barred[places]
    first = pool.note(VOTED_SUMS) is None and (not owed or bool(len(places) or (known >= 0).any()))
    voted = np.flatnonzero(held.voted & ~barred) if first else _NOTHING
    renewed, more = anchor_delta(groups, votes, known, task.versions, classes=held.classes)
    anchors = AnchorSummary.from_votes(votes[places], labels, classes=held.classes)
    reply = AnswersReply(
        round=message.round,
        accepted=len(places),
        trained=int(trains.sum()),
        anchors=(anchors + more).to_vector(),
        labeled=_head_sums(held, message, places[trains]),
        voted=_head_sums(held, message, voted),
        task=task.digest,
        renewed=len(renewed),
    )

    def remember() -> None:
        opened.remember(pool)
        for place, label in fresh.items():
            pool.answer(place, label, message.round)

    counted = np.concatenate([places, renewed])
    anchored = Entering(kind="anchored", versions=task.versions, places=counted)
    sent = Entering(kind="voted", versions=(), places=_NOTHING)
    entering = (anchored, sent) if first or not owed else (anchored,)
    return reply, Change(pool=pool, at_once=remember, entering=entering)


def _head_sums(
    held: Holdings, message: AnswersRequest, places: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the sketched Gram sums of these items, nothing for none."""
    if not len(places):
        return _NOTHING
    return held.learner.labeled_sums(message.representation, places).to_vector()
