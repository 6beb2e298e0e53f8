"""What a campaign looks at in a new head beside its score: its teachers, its memory, its doubts."""

from dataclasses import dataclass
from typing import Literal

from fieldvote.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluenceSettings:
    """How far it is traced which function taught a head what.

    Attributes:
        enabled: Whether devices are asked; only where votes teach at all.
        curvature_exchanges: Exchanges spent on what would be if a function were gone; with 0 the
            curvature is guessed from kept sums, which is cheaper and says less.
        most_numbers: Where the directions of all classes are more numbers than this, they are
            looked at as one behaviour: directions are as many as classes times the head's weights.
    """

    enabled: bool = True
    curvature_exchanges: int = 2
    most_numbers: int = 1 << 16

    def __post_init__(self) -> None:
        """Refuse exchanges that are none."""
        if self.curvature_exchanges < 0 or self.most_numbers < 1:
            raise SettingsError(
                "influence: expected curvature_exchanges of 0 or more, and most_numbers of 1 or"
                " more"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationSettings:
    """Whether it is counted how sure a head is, and what goes by it.

    Attributes:
        measure: Whether devices count it with an evaluation. Devices of programs that know no such
            question refuse it: while most are, it must be off.
        scores: Whether devices score their items by what a head says at its temperature. Held-out
            devices then have a word in what is asked, in one number. A network is always taken at
            its word.
    """

    measure: bool = True
    scores: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """What becomes of what was known when functions change.

    Attributes:
        measure: When it is counted what a new head still knows: where functions changed since the
            head before it was trained, always, or never.
        refuses: Whether a head that lost too much is refused; else it is only said.
        least_score: Share of what the head before got right that a head must get right too, unless
            it gained more than it lost beyond chance.
        margin: How much accuracy a class, or the random arm, or the held-out devices, may lose.
        least_items: A class or slice with fewer judged items is not judged.
        allow_unknown: Whether such a class or slice lets a head pass.
        hold: How strongly weights that the head before rested on are held in the round after a
            change; 1 weighs what taught it as much as what teaches now, 0 holds nothing. With the
            summed learner only, and only if it was set when that head was trained.
        teacher_share: How far, in that round, items that no new function votes on learn from the
            head before; 0 to 1.
        replay: How much more, in that round, the answers that stand for each class weigh.
        replayed: So many answers a device may replay at most.
    """

    measure: Literal["changes", "always", "never"] = "changes"
    refuses: bool = False
    least_score: float = 0.98
    margin: float = 0.02
    least_items: int = 10
    allow_unknown: bool = True
    hold: float = 0.0
    teacher_share: float = 0.0
    replay: float = 0.0
    replayed: int = 32

    def __post_init__(self) -> None:
        """Refuse shares and weights that are none."""
        for name in ("least_score", "margin", "teacher_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise SettingsError(f"retention.{name}: expected 0 to 1, got {getattr(self, name)}")
        if not 0.0 <= self.hold <= 1e6:
            raise SettingsError(f"retention.hold: expected 0 to 1000000, got {self.hold}")
        if not 0.0 <= self.replay <= 15.0:
            # an answer weighs 16 at most
            raise SettingsError(f"retention.replay: expected 0 to 15, got {self.replay}")
        if self.least_items < 1 or self.replayed < 1:
            raise SettingsError("retention: expected least_items and replayed of 1 or more")

    @property
    def keeps(self) -> bool:
        """Whether training does anything about it."""
        return self.hold > 0 or self.teacher_share > 0 or self.replay > 0
