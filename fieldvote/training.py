"""What task.toml says of training the task's own network: `[training]`.

::

    [training]
    depth = "all"             # "head", "last:2", "all"; or parameters = ["fc1.weight", ...]
    optimizer = "sgd"         # or "momentum", "adam"
    terms = ["proximal"]      # what may be added to a gradient
    gate = "embedding"        # the tensor behind which a label may be too doubtful to teach

`fieldvote models compile TASK` makes the two graphs that these words ask for, and they are signed
with the task. A task without `[training]` learns a head on its frozen model, and nothing else.
"""

from dataclasses import dataclass
from typing import Literal

from fieldvote.errors import SettingsError
from fieldvote.policy import check_file
from fieldvote.settings import check_names

HEAD, ALL = "head", "all"
MOST_BATCH = 1 << 16
_LAST = "last:"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingNames:
    """How the network of a task is trained on devices, and the graphs that do it.

    Attributes:
        depth: "all", "head", or "last:N" for the last N layers.
        parameters: Names of initializers, in place of a depth; empty goes by depth.
        optimizer: What a device steps by; its memory ends with each visit.
        terms: What may be added to a gradient: "clip" and "proximal".
        gate: Tensor behind which labels teach only where they are sure enough; empty for none.
        step: Name of the train step's file, in the task folder.
        scoring: Name of the file of the network that is told its weights.
    """

    depth: str = ALL
    parameters: tuple[str, ...] = ()
    optimizer: Literal["sgd", "momentum", "adam"] = "sgd"
    terms: tuple[Literal["clip", "proximal"], ...] = ()
    gate: str = ""
    step: str = "train_step.onnx"
    scoring: str = "scoring.onnx"

    def __post_init__(self) -> None:
        """Words that ask for one thing, and two files to tell apart."""
        if self.depth not in (HEAD, ALL) and not self.layers:
            raise SettingsError(
                f"depth: expected 'head', 'all' or 'last:N' with N of 1 or more, got '{self.depth}'"
            )
        check_names(self.parameters, "parameters", least=0)
        check_names(self.terms, "terms", least=0)
        for key, name in (("step", self.step), ("scoring", self.scoring)):
            check_file(name, key)
        if self.step == self.scoring:
            raise SettingsError(f"scoring: '{self.scoring}' is the step itself")

    @property
    def layers(self) -> int:
        """How many last layers are trained; 0 where that is not what depth says.

        >>> TrainingNames(depth="last:2").layers
        2
        """
        count = self.depth.removeprefix(_LAST)
        plain = self.depth.startswith(_LAST) and count.isdecimal() and len(count) < 5
        return int(count) if plain else 0

    @property
    def files(self) -> tuple[str, str]:
        """The files of the task folder that belong to training."""
        return self.step, self.scoring


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """How a device trains its network in one exchange; goes with a request for a gradient.

    Attributes:
        batch: Samples to a step.
        rate: Learning rate of the device.
        clip: Length in parameter units to which what was learnt is cut before it leaves.
        clip_norm: Length to which each step's gradient is cut, where the step can.
        proximal: Strength of the pull towards where training started, where the step can.
        seed: Decides in which order lessons come.
    """

    batch: int
    rate: float
    clip: float
    clip_norm: float
    proximal: float
    seed: int
