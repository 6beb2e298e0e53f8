"""A scenario: one flat TOML file that, with a seed, reproduces a rehearsal to the byte."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Literal

from coordinator.deep_settings import DeepSettings
from coordinator.recipe_settings import RecipeSettings
from coordinator.settings import CampaignSettings, InputSettings
from coordinator.steering_settings import (
    AllocationSettings,
    DriftSettings,
    GainSettings,
    StopSettings,
)
from coordinator.teaching_settings import TeachingSettings
from edge.settings import PoolSettings
from fieldvote.cohort_policy import CohortPolicy
from fieldvote.errors import InputError, nearest
from fieldvote.privacy_policy import PrivacySettings
from fieldvote.settings import load_settings, parse_settings, parse_toml
from simulations.arrivals import ArrivalSettings
from simulations.datasets import DATASETS, read_arrays
from simulations.network_settings import NetworkSettings

_AT_LEAST_ONE = (
    "labels_per_device",
    "offers",
    "exchanges",
    "epochs",
    "text_width",
)
_LEARNERS: Mapping[str, Literal["summed", "averaged", "deep"]] = {
    "summed": "summed",
    "averaged": "averaged",
    "deep": "deep",
}
_DEEP = "-deep"  # the scenario of a data set whose devices train a network
_FOLDER = resources.files("simulations") / "scenarios"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is rehearsed.

    Attributes:
        name: What the report calls it.
        data: A data set by name, or an .npz file.
        task: A task folder; empty builds one from the data.
        functions: A functions file for a task that is built; empty for none.
        devices: How many of the data's devices take part; None takes all.
        held_out: Share of the devices that only evaluate.
        rounds: How many rounds; None goes on to 99 % of the full-data score, at most 100.
        online_share: Share of the training devices that are surveyed in a round.
        labels_per_device: Labels a round may buy, per device online.
        strategy: Key of ACQUISITIONS, or "fleet".
        offers: Ranked offers a device may make in a round.
        sketch_bits: Bits of an offer's sketch; 0 for as many as there may be.
        seed_offers: Random items a device offers before there is a head.
        random_share: Share of a round's labels that is picked at random.
        price: Price of one answer.
        error_rate: How often an annotator slips, beyond what redaction hides.
        learner: "summed", "averaged", or "deep" for a network of its own.
        exchanges: Gradient exchanges a round may use.
        epochs: Local epochs per exchange, with "averaged" and "deep".
        l2: Strength of the head's L2 penalty, in units of one label.
        vote_weight: Weight of all voted items together, in units of one label.
        text_width: Hashed features of a text.
        keep_fields: Fields of a row an annotator is shown; empty shows all.
        keep_decimals: Decimals those fields are rounded to.
        inputs: How embeddings become the head's inputs.
        recipes: Which inputs are tried beside those, and when.
        arrivals: Which items come while the campaign runs.
        pool: How many items a device keeps at a time.
        drift: When those are taken to be unlike the ones before.
        gain: How often choosing is compared with picking at random.
        stop: When the campaign ends by itself.
        allocation: How a round's labels are shared out over classes and devices.
        network: What is trained, with "deep".
        deep: How, with "deep".
        privacy: The noise in sums, as in policy.toml; none unless said otherwise.
        teaching: How sure a label must be to teach how deep.
        cohort: Over whom sums are made, as in policy.toml; sums = "secure" hides each device's.
    """

    name: str
    data: str
    task: str = ""
    functions: str = ""
    devices: int | None = None
    held_out: float = 0.2
    rounds: int | None = None
    online_share: float = 0.25
    labels_per_device: int = 4
    strategy: str = "fleet"
    offers: int = 16
    random_share: float = 0.1
    price: float = 0.05
    error_rate: float = 0.0
    learner: str = "summed"
    exchanges: int = 8
    epochs: int = 5
    l2: float = 1.0
    vote_weight: float = 0.0
    text_width: int = 512
    keep_fields: tuple[str, ...] = ()
    keep_decimals: int = 3
    inputs: InputSettings = field(default_factory=InputSettings)
    recipes: RecipeSettings = field(default_factory=RecipeSettings)
    arrivals: ArrivalSettings = field(default_factory=ArrivalSettings)
    pool: PoolSettings = field(default_factory=PoolSettings)
    drift: DriftSettings = field(default_factory=DriftSettings)
    gain: GainSettings = field(default_factory=GainSettings)
    stop: StopSettings = field(default_factory=StopSettings)
    allocation: AllocationSettings = field(default_factory=AllocationSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    deep: DeepSettings = field(default_factory=DeepSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    teaching: TeachingSettings = field(default_factory=TeachingSettings)
    cohort: CohortPolicy = field(default_factory=CohortPolicy)
    sketch_bits: int = 0
    seed_offers: int = 1

    def __post_init__(self) -> None:
        """Refuse what no rehearsal can do."""
        if not 0.0 < self.held_out < 1.0:
            raise InputError(f"held_out: expected a share between 0 and 1, got {self.held_out}")
        if not 0.0 < self.online_share <= 1.0:
            raise InputError(
                f"online_share: expected a share above 0 and at most 1, got {self.online_share}"
            )
        for name in ("random_share", "error_rate"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"{name}: expected 0 to 1, got {getattr(self, name)}")
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if self.rounds is not None and self.rounds < 1:
            raise InputError(f"rounds: expected 1 or more, got {self.rounds}")
        if self.devices is not None and self.devices < 2:
            raise InputError(f"devices: expected 2 or more, got {self.devices}")
        if self.learner not in _LEARNERS:
            raise InputError(f"learner: {nearest(self.learner, _LEARNERS)}")

    @staticmethod
    def load(name: str | Path) -> "Scenario":
        """Return a scenario by name, or from a TOML file; paths in a file are relative to it.

        Raises:
            InputError: no scenario of ours has this name, and no file either.
            SettingsError: the file says something a scenario does not know.
        """
        path = Path(name)
        if path.suffix == ".toml":
            scenario = load_settings(path, Scenario)
            return replace(
                scenario,
                data=_beside(path, scenario.data, DATASETS),
                task=_beside(path, scenario.task, ()),
                functions=_beside(path, scenario.functions, _shipped(".functions.toml")),
            )
        if str(name) not in names():
            raise InputError(
                f"no scenario '{name}': {nearest(str(name), names())}; or give a .toml file"
            )
        content = (_FOLDER / f"{name}.toml").read_bytes()
        return parse_settings(parse_toml(content, f"scenario {name}"), Scenario, f"scenario {name}")

    @staticmethod
    def for_data(path: Path) -> "Scenario":
        """Return the scenario for a data file of anyone's making, called by the file's stem.

        Raises:
            DataError: the file is no archive of arrays.
        """
        name = "any_text.toml" if "utf8" in read_arrays(path) else "any.toml"
        content = (_FOLDER / name).read_bytes()
        made = parse_settings(parse_toml(content, "scenario any"), Scenario, "scenario any")
        return replace(made, name=path.stem, data=str(path))

    def functions_file(self) -> bytes:
        """Return the functions of a task that is built; empty TOML for none.

        Raises:
            InputError: the file is not there.
        """
        if not self.functions:
            return b""
        shipped = _FOLDER / self.functions
        place = shipped if shipped.is_file() else Path(self.functions)
        if not place.is_file():
            raise InputError(f"functions: no file {self.functions}")
        return place.read_bytes()

    def campaign(self, *, seed: int) -> CampaignSettings:
        """Return what the coordinator is set to do."""
        return CampaignSettings(
            name=self.name,
            seed=seed,
            strategy=self.strategy,
            surveyed_share=self.online_share,
            labels_per_device=self.labels_per_device,
            offers=self.offers,
            random_share=self.random_share,
            price=self.price,
            learner=_LEARNERS[self.learner],
            exchanges=self.exchanges,
            epochs=self.epochs,
            l2=self.l2,
            vote_weight=self.vote_weight,
            inputs=self.inputs,
            drift=self.drift,
            gain=self.gain,
            stop=self.stop,
            allocation=self.allocation,
            teaching=self.teaching,
            deep=self.deep,
            recipes=self.recipes,
            sketch_bits=self.sketch_bits,
            seed_offers=self.seed_offers,
        )


def names() -> tuple[str, ...]:
    """Return the scenarios that come with fieldvote."""
    stems = (name.removesuffix(".toml") for name in _shipped(".toml"))
    return tuple(sorted(stem for stem in stems if stem.removesuffix(_DEEP) in DATASETS))


def _shipped(ending: str) -> tuple[str, ...]:
    """Return the files that come with fieldvote and end so."""
    return tuple(sorted(f.name for f in _FOLDER.iterdir() if f.name.endswith(ending)))


def _beside(path: Path, value: str, known: Container[str]) -> str:
    """Return a path in a file as seen from here; what we know by name stays a name."""
    return value if not value or value in known else str(path.parent / value)
