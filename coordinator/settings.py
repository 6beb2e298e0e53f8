"""What a campaign is set to do; read once, handed down as values."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from coordinator.deep_settings import DeepSettings
from coordinator.governance_settings import (
    CalibrationSettings,
    InfluenceSettings,
    RetentionSettings,
)
from coordinator.recipe_settings import RecipeSettings
from coordinator.steering_settings import (
    AllocationSettings,
    CapacitySettings,
    DriftSettings,
    GainSettings,
    StopSettings,
)
from coordinator.teaching_settings import TeachingSettings
from fieldvote.errors import SettingsError, nearest
from strategies.acquisition import ACQUISITIONS
from strategies.acquisition.sketches import SKETCH_BITS

STRATEGIES = ("fleet", "auto", *sorted(ACQUISITIONS))
_LEAST = dict.fromkeys(("labels_per_device", "offers", "epochs"), 1) | dict.fromkeys(
    ("price", "l2", "vote_weight", "vote_exchanges", "surveyed_share", "random_share"), 0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSettings:
    """How embeddings become the head's inputs; see strategies.representation.

    Attributes:
        whiten: 1 gives every embedding dimension the same spread, 0 keeps their own; without a
            value the summed moments decide.
        norm: Typical length of a standardised input.
        recentre: Share of a device's own mean that is taken out, 0 to 1.
        fourier: Number of random Fourier features.
        bandwidth_share: Kernel width relative to the distance of two random items.
        smooth: How far an item is moved to its nearest neighbours on its device, 0 to 1.
    """

    whiten: float | None = None
    norm: float = 8.0
    recentre: float = 0.0
    fourier: int = 0
    bandwidth_share: float = 0.5
    smooth: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceSettings:
    """How fast rounds follow each other, and whom they wait for.

    Attributes:
        minimum_share: Share of the devices asked that must answer a survey, a training or an
            evaluation; with fewer the question is asked again.
        spare_share: Share of the devices asked that a survey need not wait for; so many more are
            surveyed, if they are there.
        answered_share: Share of a round's candidates after whose answers it goes on.
        open_rounds: Rounds under way at a time: while people answer one, the next may be surveyed.
        least_interval_s: Time between the beginnings of two rounds.
        longest_queue_s: No round begins while candidates have waited for people longer than this.
    """

    minimum_share: float = 0.5
    spare_share: float = 0.0
    answered_share: float = 1.0
    open_rounds: int = 1
    least_interval_s: float = 0.0
    longest_queue_s: float = 604800.0

    def __post_init__(self) -> None:
        """Refuse what no round can go by."""
        for name in ("minimum_share", "spare_share", "answered_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise SettingsError(f"pace.{name}: expected 0 to 1, got {getattr(self, name)}")
        if self.spare_share > 1.0 - self.minimum_share:
            raise SettingsError("pace.spare_share: with minimum_share it passes 1")
        if self.open_rounds < 1:
            raise SettingsError(f"pace.open_rounds: expected 1 or more, got {self.open_rounds}")
        for name in ("least_interval_s", "longest_queue_s"):
            if getattr(self, name) < 0:
                raise SettingsError(f"pace.{name}: expected 0 or more, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSettings:
    """What a campaign may spend in all; a limit that is left out is none.

    Attributes:
        labels: Answers that may be paid.
        money: What they may cost, in the campaign's currency.
        size_bytes: Bytes of requests and replies, as they are before Flower wraps them.
        minutes: Annotators' minutes, measured where they answer one item after the other.
    """

    labels: int | None = None
    money: float | None = None
    size_bytes: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        """Refuse debts."""
        for name in ("labels", "money", "size_bytes", "minutes"):
            limit = getattr(self, name)
            if limit is not None and limit < 0:
                raise SettingsError(f"budget.{name}: expected 0 or more, got {limit}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelingSettings:
    """When answers are a label, and what people are told before they answer.

    Attributes:
        answers: How many different people may be asked about one item.
        agree: How many of them must say the same; more than half by default. Where they cannot any
            more, the item is disputed, and an expert decides.
        expert_price: Price of an expert's answer; the campaign's price by default.
        expert_wait_s: How long a round waits for an expert; later answers count in a later round.
        guideline: What annotators read before they begin; each answer tells its version.
    """

    answers: int = 1
    agree: int | None = None
    expert_price: float | None = None
    expert_wait_s: float = 86400.0
    guideline: str = ""

    def __post_init__(self) -> None:
        """Refuse rules under which two classes could both win, or none ever could."""
        if self.answers < 1:
            raise SettingsError(f"labeling.answers: expected 1 or more, got {self.answers}")
        least = self.answers // 2 + 1
        if self.agree is not None and not least <= self.agree <= self.answers:
            raise SettingsError(
                f"labeling.agree: expected {least} to {self.answers} of {self.answers} answers,"
                f" got {self.agree}"
            )
        if self.expert_wait_s < 0 or (self.expert_price or 0.0) < 0:
            raise SettingsError("labeling: expected expert_wait_s and expert_price of 0 or more")

    @property
    def needed(self) -> int:
        """How many answers must say the same."""
        return self.answers // 2 + 1 if self.agree is None else self.agree

    @property
    def most(self) -> int:
        """How many answers one item may cost, an expert's among them."""
        return self.answers + (self.answers > 1)

    @property
    def version(self) -> str:
        """Names the guideline; empty where there is none."""
        return sha256(self.guideline.encode()).hexdigest()[:12] if self.guideline else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSettings:
    """How a new head reaches the devices.

    Attributes:
        enabled: Whether devices are given it at all; it is trained, judged and kept either way.
        canary_share: Share of the devices there that try it first; at least one.
        doubt: A head is refused, or taken back, when it is worse by more than so many standard
            errors; 1.96 is wrong about a head that is as good once in forty times.
    """

    enabled: bool = True
    canary_share: float = 0.1
    doubt: float = 1.96

    def __post_init__(self) -> None:
        """Refuse shares and doubts that are none."""
        if not 0.0 <= self.canary_share <= 1.0 or not self.doubt > 0:
            raise SettingsError("rollout: expected canary_share of 0 to 1 and a doubt above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseSettings:
    """How a new version of the labeling functions is tried, and what it may do without a person.

    Attributes:
        share: Share of the training devices there it is tried on; at least one.
        auto: "promote" takes up a release that breaks no limit; "ask" leaves that to a person.
        least_items: With fewer items a trial says too little, and a person decides.
        most_errors: Share of items a function may not be able to answer for.
        most_conflict_rise: How much more often two functions may disagree than before.
        least_accuracy_change: How far the estimated accuracy of a vote may fall, as a negative
            number.
        doubt: A limit is broken by more than so many standard errors, or it is not.
    """

    share: float = 0.2
    auto: Literal["promote", "ask"] = "ask"
    least_items: int = 100
    most_errors: float = 0.01
    most_conflict_rise: float = 0.05
    least_accuracy_change: float = -0.02
    doubt: float = 1.96

    def __post_init__(self) -> None:
        """Refuse shares and limits that are none."""
        if not 0.0 < self.share <= 1.0:
            raise SettingsError(f"releases.share: expected above 0, to 1, got {self.share}")
        for name in ("most_errors", "most_conflict_rise"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise SettingsError(f"releases.{name}: expected 0 to 1, got {getattr(self, name)}")
        if not -1.0 <= self.least_accuracy_change <= 1.0:
            raise SettingsError("releases.least_accuracy_change: expected -1 to 1")
        if self.least_items < 0 or not self.doubt > 0:
            raise SettingsError("releases: expected least_items of 0 or more and a doubt above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSettings:
    """One campaign.

    Attributes:
        name: What it is called in files and reports.
        seed: Names every random decision of the coordinator.
        strategy: Key of ACQUISITIONS, "fleet", or "auto", which learns by what rounds have brought.
        surveyed_share: Share of the training devices surveyed in a round.
        labels_per_device: Labels a round may buy, per surveyed device.
        offers: Ranked offers a device may make in a round.
        sketch_bits: Bits of an offer's sketch, a multiple of 8; 0 for as many as there may be.
        seed_offers: Random items a device offers before there is a head; with "fleet" one of each
            device is asked, typical and unlike the others'.
        random_share: Share of a round's labels picked at random; half of them only evaluate.
        price: Price of one answer, in the campaign's currency.
        learner: "summed" solves the head from sums; "averaged" averages local heads; "deep" trains
            the task's own network on the devices.
        exchanges: Gradient exchanges a round may use.
        epochs: Local epochs per exchange, with "averaged" and "deep".
        l2: Strength of the head's L2 penalty, in units of one label.
        vote_weight: Weight of all voted items together, in units of one label; 0 leaves votes out.
        vote_exchanges: How often devices may be asked what their votes say under the label model,
            in a round that trains with it; 0 leaves it as the summed votes alone make it.
        deadline_s: How long one exchange waits for replies before it asks again.
        inputs: How embeddings become inputs.
        pace: How fast rounds follow each other.
        budget: What may be spent.
        rollout: How a new head reaches the devices.
        labeling: When answers are a label.
        releases: How new labeling functions are tried.
        deep: How the task's own network is trained, with "deep".
        teaching: How sure a label must be to teach how deep.
        influence: How far it is traced which function taught a head what.
        retention: What becomes of what was known when functions change.
        calibration: Whether it is counted how sure a head is, and what goes by it.
        drift: When new items are taken to be unlike those before.
        gain: How often choosing is compared with picking at random.
        stop: When a campaign ends.
        capacity: How many answers people can give.
        allocation: How a round's labels are shared out over classes and devices.
        recipes: Which inputs are tried, and when.
        robust: How heads that devices trained are combined, with "averaged"; "mean" weighs each by
            its labels, and one device may move it anywhere. Of the others, "multi_krum" costs
            least. Under secure sums there is only "groups", the median over sums of random groups.
        lying_share: Part of the devices that the other rules take for liars.
        groups: How many groups there are; a group is no smaller than the policy's least cohort.
    """

    name: str
    seed: int = 1
    strategy: str = "fleet"
    surveyed_share: float = 0.25
    labels_per_device: int = 4
    offers: int = 16
    random_share: float = 0.1
    price: float = 0.05
    learner: Literal["summed", "averaged", "deep"] = "summed"
    exchanges: int = 8
    epochs: int = 5
    l2: float = 1.0
    vote_weight: float = 0.0
    vote_exchanges: int = 3
    deadline_s: float = 60.0
    inputs: InputSettings = field(default_factory=InputSettings)
    pace: PaceSettings = field(default_factory=PaceSettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    rollout: RolloutSettings = field(default_factory=RolloutSettings)
    labeling: LabelingSettings = field(default_factory=LabelingSettings)
    releases: ReleaseSettings = field(default_factory=ReleaseSettings)
    deep: DeepSettings = field(default_factory=DeepSettings)
    teaching: TeachingSettings = field(default_factory=TeachingSettings)
    influence: InfluenceSettings = field(default_factory=InfluenceSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    calibration: CalibrationSettings = field(default_factory=CalibrationSettings)
    drift: DriftSettings = field(default_factory=DriftSettings)
    gain: GainSettings = field(default_factory=GainSettings)
    stop: StopSettings = field(default_factory=StopSettings)
    capacity: CapacitySettings = field(default_factory=CapacitySettings)
    allocation: AllocationSettings = field(default_factory=AllocationSettings)
    recipes: RecipeSettings = field(default_factory=RecipeSettings)
    robust: Literal["mean", "median", "trimmed_mean", "krum", "multi_krum", "groups"] = "mean"
    lying_share: float = 0.2
    groups: int = 3
    sketch_bits: int = 0
    seed_offers: int = 1

    def __post_init__(self) -> None:
        """Refuse a campaign that could never learn."""
        if not 0.0 <= self.lying_share < 0.5:
            raise SettingsError(f"lying_share: expected 0 to below 0.5, got {self.lying_share}")
        if self.groups < 3:
            raise SettingsError(f"groups: expected 3 or more, got {self.groups}: two outvote none")
        if self.sketch_bits % 8 or not 0 <= self.sketch_bits <= SKETCH_BITS:
            raise SettingsError(
                f"sketch_bits: expected a multiple of 8 of at most {SKETCH_BITS}, got"
                f" {self.sketch_bits}"
            )
        if not 1 <= self.seed_offers <= 64:
            raise SettingsError(f"seed_offers: expected 1 to 64, got {self.seed_offers}")
        for name, least in _LEAST.items():
            if not least <= getattr(self, name) < float("inf"):
                raise SettingsError(f"{name}: expected {least} or more, got {getattr(self, name)}")
        for name in ("surveyed_share", "random_share"):
            if getattr(self, name) > 1:
                raise SettingsError(f"{name}: expected at most 1, got {getattr(self, name)}")
        if not (self.name and self.surveyed_share and self.deadline_s > 0):
            raise SettingsError("expected a name, and surveyed_share and deadline_s above 0")
        if self.strategy not in STRATEGIES:
            raise SettingsError(f"strategy: {nearest(self.strategy, STRATEGIES)}")
        if self.strategy == "auto" and not self.random_share > 0:
            raise SettingsError(
                "random_share: expected above 0: without a random arm 'auto' learns by items that"
                " strategies picked"
            )
        if self.learner == "summed" and self.exchanges < 2:
            raise SettingsError(
                f"exchanges: expected 2 or more, got {self.exchanges}: the first gradient only"
                " says where the head stands"
            )

    @property
    def expert_price(self) -> float:
        """Price of an expert's answer, in the campaign's currency."""
        own = self.labeling.expert_price
        return self.price if own is None else own

    @property
    def item_price(self) -> float:
        """What one item may cost at most."""
        rule = self.labeling
        return rule.answers * self.price + (rule.most - rule.answers) * self.expert_price
