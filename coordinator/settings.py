"""What a campaign is set to do; read once, handed down as values."""

from dataclasses import dataclass, field
from typing import Literal


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
    """

    whiten: float | None = None
    norm: float = 8.0
    recentre: float = 0.0
    fourier: int = 0
    bandwidth_share: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSettings:
    """One campaign.

    Attributes:
        name: What it is called in files and reports.
        seed: Names every random decision of the coordinator.
        strategy: Key of ACQUISITIONS, or "fleet".
        surveyed_share: Share of the training devices surveyed in a round.
        labels_per_device: Labels a round may buy, per surveyed device.
        offers: Ranked offers a device may make in a round.
        random_share: Share of a round's labels picked at random; half of them only evaluate.
        price: Price of one answer, in the campaign's currency.
        learner: "summed" solves the head from sums; "averaged" averages local heads.
        exchanges: Gradient exchanges a round may use.
        epochs: Local epochs per exchange, with "averaged".
        l2: Strength of the head's L2 penalty, in units of one label.
        vote_weight: Weight of all voted items together, in units of one label; 0 leaves votes out.
        deadline_s: How long one exchange waits for replies.
        inputs: How embeddings become inputs.
    """

    name: str
    seed: int = 1
    strategy: str = "fleet"
    surveyed_share: float = 0.25
    labels_per_device: int = 4
    offers: int = 16
    random_share: float = 0.1
    price: float = 0.05
    learner: Literal["summed", "averaged"] = "summed"
    exchanges: int = 8
    epochs: int = 5
    l2: float = 1.0
    vote_weight: float = 0.0
    deadline_s: float = 60.0
    inputs: InputSettings = field(default_factory=InputSettings)
