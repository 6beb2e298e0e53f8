"""What is said while a new version of the labeling functions is tried in shadow.

A release differs from its task in the functions alone, so the targets and the functions are all
that travels: a device has the rest, and the signature is over the whole.
"""

from dataclasses import dataclass

import numpy as np

from fieldvote.codec import IntVector


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequest:
    """Vote with these functions too, on items that are in your sums, and send what that adds.

    Attributes:
        round: Number of the release.
        task: Digest of the task the functions are compared with.
        targets: What the owner signed of the next task.
        functions: Its functions.toml; every other file is the device's own.
    """

    round: int
    task: str
    targets: bytes
    functions: bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrialReply:
    """What the new functions said, beside the old ones and each other.

    Summaries are over the functions of the device's task, then those of the next that are new to
    it, each in their file's order; only the numbers that are about a new function travel, see
    strategies.new_columns. The rest was sent before.

    Attributes:
        round: Number of the release.
        task: Digest of the next task; empty where there was nothing to add.
        items: How many items the sums are over; an item adds to each count once in its life.
        seen: On how many of them each new function voted or abstained.
        votes: Numbers of a vote summary.
        anchors: Numbers of an anchor summary of answered items.
        errors: How many items each new function could not answer for.
        micros: What a new function takes on a thousand items, in microseconds.
        told: How many devices these numbers are of.
    """

    round: int
    task: str
    items: int
    seen: IntVector
    votes: IntVector
    anchors: IntVector
    errors: IntVector
    micros: IntVector
    told: int = 1

    @staticmethod
    def nothing(number: int) -> "TrialReply":
        """Return the reply of a device, or a cohort, that has nothing to add."""
        none = np.empty(0, dtype=np.int64)
        return TrialReply(
            round=number,
            task="",
            items=0,
            seen=none,
            votes=none,
            anchors=none,
            errors=none,
            micros=none,
        )
