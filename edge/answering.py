"""Opening the answers people gave: from the desk, to this device, each once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge.agent_parts import AgentParts
from edge.pool import Pool
from fieldvote.errors import SealError, WireError
from fieldvote.records import Answer, decode
from privacy.sealing.context import Purpose, Scope
from privacy.sealing.envelope import Opened, open_envelope
from privacy.sealing.replay import Window
from privacy.sealing.rotation import good_keys

_REPLAYED = "replayed_answers"


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
