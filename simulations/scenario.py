"""A scenario: one flat TOML file that, with a seed, reproduces a rehearsal to the byte."""

from collections.abc import Container
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from coordinator.settings import CampaignSettings, InputSettings
from fieldvote.errors import InputError, nearest
from fieldvote.settings import load_settings, parse_settings, parse_toml
from simulations.datasets import DATASETS, read_arrays

_AT_LEAST_ONE = (
    "labels_per_device",
    "offers",
    "exchanges",
    "epochs",
    "text_width",
)
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
        random_share: Share of a round's labels that is picked at random.
        price: Price of one answer.
        error_rate: How often an annotator slips, beyond what redaction hides.
        learner: "summed" or "averaged".
        exchanges: Gradient exchanges a round may use.
        epochs: Local epochs per exchange, with "averaged".
        l2: Strength of the head's L2 penalty, in units of one label.
        vote_weight: Weight of all voted items together, in units of one label.
        text_width: Hashed features of a text.
        keep_fields: Fields of a row an annotator is shown; empty shows all.
        keep_decimals: Decimals those fields are rounded to.
        inputs: How embeddings become the head's inputs.
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
        if self.learner not in ("summed", "averaged"):
            raise InputError(f"learner: {nearest(self.learner, ['summed', 'averaged'])}")

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
            learner="averaged" if self.learner == "averaged" else "summed",
            exchanges=self.exchanges,
            epochs=self.epochs,
            l2=self.l2,
            vote_weight=self.vote_weight,
            inputs=self.inputs,
        )


def names() -> tuple[str, ...]:
    """Return the scenarios that come with fieldvote."""
    stems = (name.removesuffix(".toml") for name in _shipped(".toml"))
    return tuple(stem for stem in stems if stem in DATASETS)


def _shipped(ending: str) -> tuple[str, ...]:
    """Return the files that come with fieldvote and end so."""
    return tuple(sorted(f.name for f in _FOLDER.iterdir() if f.name.endswith(ending)))


def _beside(path: Path, value: str, known: Container[str]) -> str:
    """Return a path in a file as seen from here; what we know by name stays a name."""
    return value if not value or value in known else str(path.parent / value)
