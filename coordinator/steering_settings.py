"""How a campaign steers itself: what it watches for, compares, chooses by, and when it ends.

All of it is off unless the campaign's file says otherwise.
"""

from dataclasses import dataclass

from fieldvote.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftSettings:
    """When new items are taken to be unlike those before, and what is done about it.

    Attributes:
        watch: Whether devices send histograms of items that are new.
        divergence: Least Jensen-Shannon divergence of a histogram that matters, in nats.
        odds: Rounds in which nothing changes, for each of which an alarm is raised.
        noise_stddev: Standard deviation of the noise on each count a round comes to; 0 for exact
            sums.
        rounds: Whether an alarm begins a round that is aimed at what is new.
        share: Share of such a round's picks for classes that are predicted more than before.
        alike: So many items that fit no class and look alike are suggested as a class of their own.
    """

    watch: bool = False
    divergence: float = 0.01
    odds: float = 500.0
    noise_stddev: float = 0.0
    rounds: bool = True
    share: float = 0.5
    alike: int = 5

    def __post_init__(self) -> None:
        """Refuse a watch that always or never rings."""
        if not 0.0 < self.divergence < 0.69 or not 2.0 <= self.odds <= 1e9:
            raise SettingsError("drift: expected a divergence in 0 to 0.69, odds of 2 to 1e9")
        if not 0.0 <= self.noise_stddev <= 1e9 or not 0.0 <= self.share <= 1.0 or self.alike < 2:
            raise SettingsError(
                "drift: expected noise_stddev of 0 or more, share of 0 to 1, alike of 2 or more"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GainSettings:
    """How often it is measured what choosing has brought over picking at random.

    Attributes:
        every: Every so many rounds; 0 never.
        least: Labels of each kind there must be.
        exchanges: Gradients two shadow heads are trained with; each is an exchange.
    """

    every: int = 0
    least: int = 10
    exchanges: int = 6

    def __post_init__(self) -> None:
        """Refuse heads that nothing trains."""
        if self.every < 0 or self.least < 1 or not 2 <= self.exchanges <= 64:
            raise SettingsError(
                "gain: expected every of 0 or more, least of 1 or more, exchanges of 2 to 64"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSettings:
    """When a campaign begins no more rounds; what is left out ends nothing.

    Attributes:
        at_accuracy: Share of held-out items that are right: surely so, by the lower end of its 95 %
            interval.
        at_least_gain: What 1,000 labels bring over random ones: surely less, by the upper end of
            the interval of the newest comparison.
        when_spent: Whether a budget too small for another label ends it.
    """

    at_accuracy: float | None = None
    at_least_gain: float | None = None
    when_spent: bool = False

    def __post_init__(self) -> None:
        """Refuse an accuracy that no head can have."""
        if self.at_accuracy is not None and not 0.0 < self.at_accuracy < 1.0:
            raise SettingsError(f"stop.at_accuracy: expected 0 to 1, got {self.at_accuracy}")
        if self.at_least_gain is not None and not -1e6 < self.at_least_gain < 1e6:
            raise SettingsError(f"stop.at_least_gain: expected a number, got {self.at_least_gain}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassShare:
    """A class that is to have so many of all labels.

    Attributes:
        name: Of the class.
        share: Of all labels of the campaign, at least; 0 to 1.
    """

    name: str
    share: float

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        if not 0.0 < self.share <= 1.0:
            raise SettingsError(f"allocation: expected a share above 0, to 1, got {self.share}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationSettings:
    """How a round's labels are shared out before the rest goes where they help most.

    Attributes:
        classes: Classes with a quota. What is missing of it is asked for among items that are
            predicted to be of the class.
        per_device: Least picks of each device's ranked offers.
        per_device_most: Most picks of a device's ranked offers, in even shares of a round, and
            rounded up; more only where the others offer too little. 0 for no limit.
    """

    classes: tuple[ClassShare, ...] = ()
    per_device: int = 0
    per_device_most: float = 3.0

    def __post_init__(self) -> None:
        """Refuse to give away more than there is."""
        names = [each.name for each in self.classes]
        together = sum(each.share for each in self.classes)
        if len(set(names)) < len(names) or together > 1.0 + 1e-9:
            raise SettingsError("allocation.classes: expected each once, and shares of 1 in all")
        if self.per_device < 0:
            raise SettingsError(f"allocation.per_device: expected 0 or more, got {self.per_device}")
        if self.per_device_most != 0 and not 1.0 <= self.per_device_most <= 1e6:
            raise SettingsError(
                f"allocation.per_device_most: expected 0, or 1 or more, got {self.per_device_most}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacitySettings:
    """How many answers people can give before a round's time is over.

    Attributes:
        answers_per_hour: Of everybody together; without it, what was seen of them, and no limit
            before enough was seen.
        hours: In how many hours a round's items should be answered; without it nothing is limited.
        minutes_per_answer: What an answer is taken to last where no other was measured.
    """

    answers_per_hour: float | None = None
    hours: float | None = None
    minutes_per_answer: float = 0.5

    def __post_init__(self) -> None:
        """Refuse people who never answer."""
        for name in ("answers_per_hour", "hours"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < 1e9:
                raise SettingsError(f"capacity.{name}: expected above 0, got {value}")
        if not 0.0 < self.minutes_per_answer < 1e6:
            raise SettingsError(
                f"capacity.minutes_per_answer: expected above 0, got {self.minutes_per_answer}"
            )
