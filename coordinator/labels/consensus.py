"""When answers are a label: enough people who say the same, or an expert where they cannot.

Pure, and the only place that decides it: the desk that seals a label, the round that waits for
labels, and the audit that makes them again all ask here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from coordinator.settings import LabelingSettings
from coordinator.store.rows import Annotation, StoredCandidate
from coordinator.store.schema import SHARE_UNIT

NONE_OF_THESE = -1
"""What somebody answers of an item that fits no class; it is paid, and teaches nothing."""
ONE_ANSWER, CONSENSUS, EXPERT = "one answer", "consensus", "expert"


class Standing(Enum):
    """Where an item stands that has no label."""

    OPEN = "more annotators are asked"
    DISPUTED = "an expert is asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What answers came to.

    Attributes:
        label: The class, or NONE_OF_THESE.
        method: "one answer", "consensus" or "expert".
        agreement: Share of the annotators who said so, in millionths.
    """

    label: int
    method: str
    agreement: int


Judgement: TypeAlias = Verdict | Standing


def judge(answers: Sequence[Annotation], rule: LabelingSettings) -> Judgement:
    """Return what the answers to one item come to.

    Args:
        answers: One per person, in the order they came in.
        rule: How many must agree.

    >>> said = [Annotation(item=b"", annotator=name, label=label)
    ...         for name, label in (("a", 1), ("b", 0), ("c", 1))]
    >>> rule = LabelingSettings(answers=3)
    >>> judge(said[:2], rule), judge(said[:2], LabelingSettings(answers=2))
    (<Standing.OPEN: 'more annotators are asked'>, <Standing.DISPUTED: 'an expert is asked'>)
    >>> judge(said, rule)
    Verdict(label=1, method='consensus', agreement=666667)
    """
    votes = Counter(said.label for said in answers if not said.expert)
    asked = votes.total()
    for said in answers:
        if said.expert:
            share = votes[said.label] / asked if asked else 1.0
            return Verdict(label=said.label, method=EXPERT, agreement=round(share * SHARE_UNIT))
    label, most = votes.most_common(1)[0] if votes else (0, 0)
    if most >= rule.needed:
        method = ONE_ANSWER if asked == 1 else CONSENSUS
        return Verdict(label=label, method=method, agreement=round(most / asked * SHARE_UNIT))
    return (
        Standing.OPEN if most + max(rule.answers - asked, 0) >= rule.needed else Standing.DISPUTED
    )


def disputed(
    queue: Sequence[StoredCandidate],
    said: Mapping[bytes, Sequence[Annotation]],
    rule: LabelingSettings,
) -> int:
    """Return how many of the items that wait are an expert's."""
    return sum(judge(said.get(each.item, ()), rule) is Standing.DISPUTED for each in queue)
