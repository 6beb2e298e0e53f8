"""What a campaign lets which label teach: the [teaching] table of its settings."""

from dataclasses import dataclass, replace
from typing import Literal

from fieldvote.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class TeachingSettings:
    """How sure a label must be to teach how deep; as it stands, every voted label teaches all.

    Attributes:
        gate: "off" lets every voted label teach all layers; "fixed" goes by high and middle;
            "share" cuts where deep_share of the fleet's voted items lie above; "measured" does so
            where people's answers show that the doubtful rest would teach too little; "auto" is
            "share" where layers below the head are trained, and "off" where there are none.
        deep_share: Share of the voted items that may teach all layers.
        taught_share: Share of them that may teach anything; for the rest people are to be asked.
        high: With "fixed", least confidence for all layers.
        middle: With "fixed", least confidence for the head.
        voices: Independent functions that must support a label for all layers.
        agreement: Least share of the independent functions that does, for all layers.
        sharpness: A voted label weighs its confidence beyond chance to this power.
        most_weight: Weights above are cut to it, and counted.
        pseudo_share: Share of a device's lessons that the model's own labels may be; 0 for none.
        pseudo_precision: How right they must be, by answers that are never trained on.
        second_views: What the second view of a lesson weighs, relative to the lesson; 0 to 1.
        consistency: Weight of the second views of all items that teach nothing else, relative to a
            device's other lessons; they shall be what the head before says of the items themselves.
        verified_only: Whether only what people answered teaches anything.
        report: Whether to ask what taught how deep even where no gate is on; a gate always asks.
    """

    gate: Literal["auto", "off", "fixed", "share", "measured"] = "auto"
    deep_share: float = 0.5
    taught_share: float = 1.0
    high: float = 0.9
    middle: float = 0.0
    voices: int = 1
    agreement: float = 0.5
    sharpness: float = 1.0
    most_weight: float = 4.0
    pseudo_share: float = 0.0
    pseudo_precision: float = 0.9
    second_views: float = 0.0
    consistency: float = 0.0
    verified_only: bool = False
    report: bool = False

    def __post_init__(self) -> None:
        """Refuse tiers that are not in order, and shares that are none."""
        if not 0.0 <= self.deep_share <= self.taught_share <= 1.0:
            raise SettingsError("teaching: expected 0 <= deep_share <= taught_share <= 1")
        if not 0.0 <= self.middle <= self.high <= 1.0:
            raise SettingsError("teaching: expected 0 <= middle <= high <= 1")
        if self.voices < 0 or not 0.0 <= self.agreement <= 1.0:
            raise SettingsError("teaching: expected voices of 0 or more, an agreement of 0 to 1")
        if not 0.0 <= self.sharpness <= 100.0 or not 0.0 <= self.consistency <= 100.0:
            raise SettingsError("teaching: expected sharpness and consistency of 0 to 100")
        if not 0.0 <= self.second_views <= 1.0:
            raise SettingsError("teaching.second_views: expected 0 to 1")
        if not 0.0 < self.most_weight <= 16.0:
            raise SettingsError("teaching.most_weight: expected above 0, to 16")
        if not 0.0 <= self.pseudo_share < 1.0 or not 0.0 < self.pseudo_precision < 1.0:
            raise SettingsError("teaching: expected pseudo_share and pseudo_precision below 1")

    def settled(self, *, deep: bool) -> "TeachingSettings":
        """Return this with a gate that is no longer "auto".

        >>> TeachingSettings().settled(deep=True).gate, TeachingSettings().settled(deep=False).gate
        ('share', 'off')
        """
        if self.gate != "auto":
            return self
        return replace(self, gate="share" if deep else "off")

    @property
    def says(self) -> bool:
        """Whether anything is other than that every voted label teaches all layers."""
        return self != TeachingSettings(gate="off")

    @property
    def asks_for_depth(self) -> bool:
        """Whether devices are asked what taught how deep."""
        return self.report or self.gate != "off" or self.pseudo_share > 0 or self.consistency > 0
