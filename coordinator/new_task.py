"""`fieldvote new`: a small task folder that runs, with comments that say what to change."""

from collections.abc import Mapping
from enum import Enum
from io import BytesIO
from pathlib import Path
from typing import Annotated

import typer

from fieldvote.errors import InputError, StoreError

_WIDTH = 256
_MODEL_FILE = "model.onnx"
_SCENARIO_FILE = "scenario.toml"
_READINGS_FILE = "readings.npz"


class Kind(Enum):
    """What the items of the new task are."""

    TEXT = "text"
    TABULAR = "tabular"


def new(
    folder: Annotated[Path, typer.Argument(help="Where the task goes; made if absent.")],
    kind: Annotated[Kind, typer.Option(help="What an item is.")] = Kind.TEXT,
) -> None:
    """Write a small task folder that runs, with comments that say what to change.

    A folder that holds anything is refused and left as it is.

    Example: fieldvote new my-task --kind text
    """
    write_task(folder, kind)
    typer.echo(f"wrote {folder}")
    typer.echo(f"next: fieldvote check {folder}")


def write_task(folder: Path, kind: Kind) -> None:
    """Write a new task into a folder that is absent or empty.

    Raises:
        InputError: There is something in the way; nothing was changed.
        StoreError: The disk would not take it.
        MissingExtraError: onnx is not installed; nothing was changed.
    """
    files = task_files(kind)
    try:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise InputError(f"{folder}: is in the way, and is no folder")
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder}: is not empty; give the name of a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as err:
        raise StoreError(f"{folder}: cannot be written ({err.strerror or err})") from err


def task_files(kind: Kind) -> Mapping[str, bytes]:
    """Return the files of a new task by name; the same kind gives the same bytes."""
    from coordinator.models.backbone import identity_backbone
    from fieldvote.task import FUNCTIONS_FILE, POLICY_FILE, TASK_FILE

    if kind is Kind.TEXT:
        return {
            TASK_FILE: _TEXT_TASK.encode(),
            FUNCTIONS_FILE: _TEXT_FUNCTIONS.encode(),
            POLICY_FILE: _TEXT_POLICY.encode(),
            _SCENARIO_FILE: _scenario("offers", "messages", labels=4).encode(),
            _MODEL_FILE: identity_backbone(_WIDTH, classes=2),
        }
    return {
        TASK_FILE: _TABULAR_TASK.encode(),
        FUNCTIONS_FILE: _TABULAR_FUNCTIONS.encode(),
        POLICY_FILE: _TABULAR_POLICY.encode(),
        _SCENARIO_FILE: _scenario("wear", _READINGS_FILE, labels=2).encode(),
        _MODEL_FILE: identity_backbone(4, classes=2),
        _READINGS_FILE: _readings(),
    }


def _readings(machines: int = 20, each: int = 60) -> bytes:
    """Return made-up readings of a fleet of machines, some of them worn, as an .npz.

    Worn machines shake, run warm and draw more current, each from a base line of its own.
    """
    import numpy as np

    from fieldvote.rng import stream

    rng = stream(0, "readings")
    device = np.repeat(np.arange(machines), each)
    base = rng.normal(0.0, 0.4, (machines, 3))[device]
    hours = rng.uniform(0.0, 5000.0, len(device))
    worn = rng.random(len(device)) < 0.05 + 0.5 * (hours / 5000.0) ** 2
    noise = rng.normal(0.0, 1.0, (len(device), 3)) + base
    temperature = 55.0 + 4.0 * noise[:, 0] + 6.0 * worn
    vibration = 2.5 + 0.6 * noise[:, 1] + 2.2 * worn
    current = 8.0 + 0.8 * noise[:, 2] + 1.2 * worn
    rows = np.round(np.column_stack([temperature, vibration, current, hours]), 2)
    # a sensor that is silent now and then: missing is NaN
    rows[rng.random(rows.shape) < 0.02] = np.nan
    names = np.array(["temperature", "vibration", "current", "hours"])
    file = BytesIO()
    np.savez(file, X=rows, y=worn.astype(np.int64), device=device, feature_names=names)
    return file.getvalue()


def _scenario(name: str, data: str, labels: int) -> str:
    """Return a rehearsal of this task."""
    return f"""\
# A rehearsal of the task on this machine: fieldvote simulate scenario.toml
# This file and a seed decide every byte of the run.
name = "{name}"
task = "."               # the folder of the task, from this file
data = "{data}"
devices = 20             # those that are held out for evaluation included
rounds = 8
online_share = 0.5       # part of the devices that answer in a round
labels_per_device = {labels}    # answers paid for, per device online and round
"""


_TEXT_TASK = f"""\
# What is to be told apart, and by which model.
name = "offers"
classes = ["ordinary", "offer"]     # a vote is for one of these

[input]
kind = "text"
width = {_WIDTH}         # texts reach the model as this many hashed features

[model]
file = "model.onnx"         # frozen; what is learned is a head on its embedding
input = "input"             # (n, width) float32
probabilities = "probabilities"     # (n, classes)
embedding = "embedding"     # (n, d)
"""

_TEXT_FUNCTIONS = """\
# Labeling functions: each votes for a class or abstains. They may be wrong at times and may
# contradict each other; how far each is to be trusted is estimated from how they agree.
# Kinds: keyword, fuzzy, regex, lookup, model, python. Try them: fieldvote check .

[[function]]
id = "praises_prize"
kind = "keyword"            # one of these words, whole and in any case
class = "offer"
words = ["prize", "winner", "congratulations", "exclusive", "unlimited", "refund", "voucher"]
owner = "you@example.org"   # who answers for it
origin = "wording"          # functions of one origin tend to err together
languages = ["en"]
examples = [
    { input = "Congratulations! A PRIZE is waiting", vote = "offer" },
    { input = "see you at the station", vote = "abstain" },
]

[[function]]
id = "chats"
kind = "regex"              # RE2 syntax: https://github.com/google/re2/wiki/Syntax
class = "ordinary"
pattern = '(?i)\\b(haha|lol|mum|dad|see you|love you|miss you|running late)\\b'
owner = "you@example.org"
origin = "wording"
languages = ["en"]
examples = [
    { input = "haha ok, see you at six", vote = "ordinary" },
    { input = "50% off everything", vote = "abstain" },
]

# A third one to try: take the signs in front of it away.
# [[function]]
# id = "tells_to_stop"
# kind = "regex"
# class = "offer"
# pattern = '\\bSTOP\\b'
# owner = "you@example.org"
# origin = "fine print"
# examples = [{ input = "Reply STOP to end", vote = "offer" }]
"""

_TEXT_POLICY = """\
# What may leave a device. A device refuses what this does not allow.
[candidates]
redaction = "strict"        # a word leaves only if it is in the public vocabulary
locales = ["en"]

[limits]                    # what one device gives away at most, in one campaign
candidates = 200            # items shown, masked, to those who label
size_bytes = 5000000        # of every kind
offers = 64                 # items named in one survey, by a random id and without content

[rounds]
random_share = 0.1          # labels spent on random items: what choosing is measured against
price = 0.05                # of one answer, in your currency

[cohort]                    # over whom sums are made
sums = "plain"              # "secure": only over least_cohort devices, and no device tells its own
least_cohort = 10
"""

_TABULAR_TASK = """\
# What is to be told apart, and by which model.
name = "wear"
classes = ["normal", "worn"]        # a vote is for one of these

[input]
kind = "tabular"
fields = ["temperature", "vibration", "current", "hours"]     # in the order of the model's input

[model]
file = "model.onnx"         # frozen; what is learned is a head on its embedding
input = "input"             # (n, fields) float32
probabilities = "probabilities"     # (n, classes)
embedding = "embedding"     # (n, d)
"""

_TABULAR_FUNCTIONS = """\
# Labeling functions: each votes for a class or abstains. They may be wrong at times and may
# contradict each other; how far each is to be trusted is estimated from how they agree.
# Kinds: threshold, expression, lookup, model, python. Try them:
# fieldvote check . --items readings.npz

[[function]]
id = "shakes"
kind = "threshold"          # above, below, or both; a missing field abstains
class = "worn"
field = "vibration"
above = 4.2
owner = "you@example.org"   # who answers for it
origin = "workshop"         # functions of one origin tend to err together
examples = [
    { input = { vibration = 5.1 }, vote = "worn" },
    { input = { vibration = 2.0 }, vote = "abstain" },
    { input = { temperature = 70 }, vote = "abstain" },
]

[[function]]
id = "young"
kind = "threshold"
class = "normal"
field = "hours"
below = 1500
owner = "you@example.org"
origin = "warranty"
examples = [
    { input = { hours = 200 }, vote = "normal" },
    { input = { hours = 4000 }, vote = "abstain" },
]

# A third one to try: take the signs in front of it away.
# [[function]]
# id = "runs_cool"
# kind = "threshold"
# class = "normal"
# field = "temperature"
# below = 54
# owner = "you@example.org"
# origin = "workshop"
# examples = [{ input = { temperature = 50 }, vote = "normal" }]
"""

_TABULAR_POLICY = """\
# What may leave a device. A device refuses what this does not allow.
[candidates]
keep = { temperature = 0, vibration = 1, current = 1 }    # fields shown, and to how many decimals

[limits]                    # what one device gives away at most, in one campaign
candidates = 200            # items shown to those who label
size_bytes = 5000000        # of every kind
offers = 64                 # items named in one survey, by a random id and without content

[rounds]
random_share = 0.1          # labels spent on random items: what choosing is measured against
price = 0.05                # of one answer, in your currency

[cohort]                    # over whom sums are made
sums = "plain"              # "secure": only over least_cohort devices, and no device tells its own
least_cohort = 10
"""
