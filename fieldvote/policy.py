"""What the owner of a fleet allows to leave its devices, and what answers may cost: policy.toml.

::

    [candidates]                 what of an item is shown to those who label
    redaction = "strict"
    locales = ["en"]
    unmarked = "ship"            what may be done with an item whose source says nothing
    keep = { speed = 1 }         fields that may leave, and to how many decimals

    [candidates.fields]          fields that may leave in another way, see fieldvote.field_rules
    age = { kind = "age", width = 5 }

    [candidates.vocabularies]    files of this task, made by `fieldvote vocabulary build`
    de = "de.vocabulary"

    [candidates.tagger]          a model of this task that finds names; it only ever adds
    file = "tagger.onnx"
    kinds = ["PERSON", "ORG"]

    [limits]                     what one device gives away at most
    candidates = 200
    size_bytes = 5000000

    [rounds]                     how answers are bought
    random_share = 0.1
    price = 0.05

    [teaching]                   what models may be taught
    verified_only = false        true: only what people answered teaches anything

    [cohort]                     over whom sums are made, see fieldvote.cohort_policy
    sums = "plain"               "secure": a device tells no sum of its own

    [training]                   what training a network may cost, see fieldvote.training_limits
    seconds = 60.0

    [privacy]                    noise in sums, see fieldvote.privacy_policy; without: exact sums
    unit = "record"
"""

import math
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from fieldvote.cohort_policy import CohortPolicy
from fieldvote.errors import SettingsError
from fieldvote.field_rules import FieldRule, check_decimals
from fieldvote.privacy_policy import PrivacySettings, check_floor
from fieldvote.rights import Rights
from fieldvote.settings import check_names
from fieldvote.training_limits import TrainingLimits

_MOST_KINDS = 64


class RedactionMode(Enum):
    """How a candidate is masked before it may leave."""

    BALANCED = "balanced"
    HIGH = "high"
    STRICT = "strict"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggerPolicy:
    """A model of the task folder that points at names in a text.

    Attributes:
        file: Name of the ONNX file.
        kinds: What its outputs after the first stand for, in order; the first is "nothing".
    """

    file: str
    kinds: tuple[str, ...]

    def __post_init__(self) -> None:
        """A file of the folder that is signed, and kinds to tell apart."""
        check_file(self.file, "file")
        check_names(self.kinds, "kinds", least=1)
        if len(self.kinds) > _MOST_KINDS:
            raise SettingsError(f"kinds: expected at most {_MOST_KINDS}, got {len(self.kinds)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatePolicy:
    """What of an item may be shown to those who label.

    Attributes:
        redaction: How texts are masked.
        locales: Languages whose rules and vocabulary apply.
        unmarked: What may be done with an item whose source says nothing about it.
        keep: Fields of a row that may leave, and the decimals each is rounded to; negative rounds
            to tens, hundreds and so on. What is not listed here or in fields stays.
        fields: Fields of a row that may leave, and what of them.
        vocabularies: Locale and the file of the task folder with its words; a locale without one
            has the vocabulary that comes with the program.
        tagger: A model that adds to what is masked.
    """

    redaction: RedactionMode = RedactionMode.STRICT
    locales: tuple[str, ...] = ("en",)
    unmarked: Rights = Rights.SHIP
    keep: tuple[tuple[str, int], ...] = ()
    fields: tuple[tuple[str, FieldRule], ...] = ()
    vocabularies: tuple[tuple[str, str], ...] = ()
    tagger: TaggerPolicy | None = None

    def __post_init__(self) -> None:
        """At least one locale, one rule for a field, and files that can be told apart."""
        check_names(self.locales, "locales", least=1)
        for name, decimals in self.keep:
            check_decimals(decimals, f"keep.{name}")
        kept = dict(self.keep)
        for name, _ in self.fields:
            if name in kept:
                raise SettingsError(f"fields.{name}: keep names this field too; one rule for each")
        for locale, file in self.vocabularies:
            check_file(file, f"vocabularies.{locale}")
            if locale not in self.locales:
                raise SettingsError(f"vocabularies.{locale}: is not one of the locales")
        check_names(self.files, "vocabularies and tagger", least=0)

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the task folder that this policy names."""
        own = tuple(file for _, file in self.vocabularies)
        return own if self.tagger is None else (*own, self.tagger.file)

    @property
    def shipped_locales(self) -> tuple[str, ...]:
        """The locales whose vocabulary comes with the program."""
        own = dict(self.vocabularies)
        return tuple(locale for locale in self.locales if locale not in own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one device gives away at most, in one campaign.

    Attributes:
        candidates: Items shown to those who label.
        size_bytes: Bytes sent up, of every kind.
        offers: Items named in one survey, by a random id and without content.
    """

    candidates: int = 200
    size_bytes: int = 5_000_000
    offers: int = 64

    def __post_init__(self) -> None:
        """Nothing below zero; zero shuts the door."""
        for name in ("candidates", "size_bytes", "offers"):
            if (value := getattr(self, name)) < 0:
                raise SettingsError(f"{name}: expected 0 or more, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPolicy:
    """How answers are bought.

    Attributes:
        random_share: Part of each round's labels that is spent on items drawn at random; what the
            gain of choosing is measured against, and what class balance is estimated from.
        price: What one answer costs, in the currency of the budget.
    """

    random_share: float = 0.1
    price: float = 0.0

    def __post_init__(self) -> None:
        """A share is a share, and nobody is paid to ask."""
        if not 0.0 <= self.random_share <= 1.0:
            raise SettingsError(f"random_share: expected 0 to 1, got {self.random_share}")
        if not (math.isfinite(self.price) and self.price >= 0.0):
            raise SettingsError(f"price: expected 0 or more, got {self.price}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TeachingPolicy:
    """What models may be taught, whatever a campaign is set to.

    Attributes:
        verified_only: Whether a label that no person gave may teach nothing at all; for fleets on
            whose safety the model has a say.
    """

    verified_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the owner of the fleet allows: policy.toml."""

    candidates: CandidatePolicy = CandidatePolicy()
    limits: Limits = Limits()
    rounds: RoundPolicy = RoundPolicy()
    teaching: TeachingPolicy = TeachingPolicy()
    cohort: CohortPolicy = field(default_factory=CohortPolicy)
    training: TrainingLimits = field(default_factory=TrainingLimits)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)

    def __post_init__(self) -> None:
        """Noise that is shared needs as many devices in a sum as share it."""
        check_floor(self.privacy, least_sum=self.cohort.least_sum if self.cohort.secure else None)


def check_file(file: str, key: str) -> None:
    """Raise SettingsError for what is no plain name of a file in the task folder."""
    if Path(file).name != file or file in ("", ".."):
        raise SettingsError(f"{key}: expected a file name in the task folder, got '{file}'")
