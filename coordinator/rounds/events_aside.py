"""What can happen to a round beside its way: it is looked at, compared, stopped, held or given up.

:mod:`coordinator.rounds.events` has them among all the others; whoever needs one takes it there.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """New items were compared with those of the rounds before.

    Attributes:
        round: Which round.
        counts: Digest of what all rounds since the watch began have counted.
        panel: Digest of what is known of each histogram since.
        items: How many items were new in this look.
        fired: What raised an alarm now.
        alarmed: What has an alarm that is on.
        accepted: Whether what the last alarm was about counts as usual from here on.
        reason: The alarm in a sentence; empty where none was raised.
        aims: The classes that are predicted more since the alarm, as shares that add up to 1.
        steps: In which parts of one the sums are counted, where they are noised.
        noise: Standard deviation of the noise on each number of this look, in those; 0 for none.
    """

    round: int
    counts: str
    panel: str
    items: int
    fired: tuple[str, ...] = ()
    alarmed: tuple[str, ...] = ()
    accepted: bool = False
    reason: str = ""
    aims: tuple[float, ...] = ()
    steps: int = 1
    noise: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two shadow heads, of chosen labels and of random ones, were compared on the same items.

    Attributes:
        round: Which round.
        labels: How many labels each was trained on.
        better: Items only the head of chosen labels has right.
        worse: Items only the other has right.
        items: How many there were.
        per_thousand: Difference of accuracy for each 1,000 labels.
        low: Lower end of its 95 % interval.
        high: Upper end.
        plan: Digest of which labels.
    """

    round: int
    labels: int
    better: int
    worse: int
    items: int
    per_thousand: float
    low: float
    high: float
    plan: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The campaign begins no more rounds of its own.

    Attributes:
        round: The last one that was begun.
        reason: Why, in a sentence.
    """

    round: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recast:
    """Which inputs the head is trained on, and what votes weigh, is settled.

    Attributes:
        round: Which round.
        base: Digest of the head to start from.
        inputs: Digest of everything else training starts from, in place of the one before.
        errors: Of the inputs in use and of every other way, in millionths; empty: not judged.
        vote_weight: What all votes together weigh from now on, alone in here; empty: as before.
        losses: Per label, of heads that learned at each weight that was tried, 0 first, in
            millionths of a nat; empty: not judged.
    """

    round: int
    base: str
    inputs: str
    errors: tuple[int, ...] = ()
    vote_weight: tuple[float, ...] = ()
    losses: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """Somebody stopped the round for a while."""

    round: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A paused or quarantined round goes on where it was."""

    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """Something does not add up; a person must look before the round goes on."""

    round: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """The round is given up; its labels stay."""

    round: int
    reason: str
