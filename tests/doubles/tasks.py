"""Small task folders as files: what tests put under a device that is not about the task."""

from pathlib import Path

from coordinator.models.backbone import identity_backbone
from fieldvote.task import Task

TEXT_WIDTH = 64
FIELDS = ("heat", "speed", "age")
# the base point of X25519: a public key like any other, whose secret is nobody's here
DESK_KEY = "09".ljust(64, "0")

_TEXT = f"""
name = "offers"
classes = ["ordinary", "offer"]
[input]
kind = "text"
width = {TEXT_WIDTH}
"""
_TEXT_FUNCTIONS = """
[[function]]
id = "prize"
kind = "keyword"
class = "offer"
owner = "ann"
words = ["prize", "winner", "voucher"]

[[function]]
id = "chat"
kind = "keyword"
class = "ordinary"
owner = "ann"
words = ["see", "home", "mum"]
"""
_TABULAR = """
name = "wear"
classes = ["normal", "worn", "broken"]
[input]
kind = "tabular"
fields = ["heat", "speed", "age"]
"""
_TABULAR_FUNCTIONS = """
[[function]]
id = "hot"
kind = "threshold"
class = "worn"
owner = "ann"
field = "heat"
above = 0.5

[[function]]
id = "slow"
kind = "threshold"
class = "broken"
owner = "ann"
field = "speed"
below = -0.7

[[function]]
id = "young"
kind = "threshold"
class = "normal"
owner = "ann"
field = "age"
below = 0
"""


def text_files(
    *,
    functions: str = _TEXT_FUNCTIONS,
    candidates: int = 200,
    size_bytes: int = 5_000_000,
    offers: int = 64,
) -> dict[str, bytes]:
    """Return the files of a task over texts with two classes."""
    return {
        "task.toml": _TEXT.encode(),
        "functions.toml": functions.encode(),
        "policy.toml": _policy(candidates, size_bytes, offers).encode(),
        "model.onnx": identity_backbone(TEXT_WIDTH, classes=2),
    }


def tabular_files(
    *,
    functions: str = _TABULAR_FUNCTIONS,
    candidates: int = 200,
    size_bytes: int = 5_000_000,
    offers: int = 64,
) -> dict[str, bytes]:
    """Return the files of a task over rows of FIELDS with three classes; age stays at home."""
    policy = _policy(candidates, size_bytes, offers)
    return {
        "task.toml": _TABULAR.encode(),
        "functions.toml": functions.encode(),
        "policy.toml": (policy + "\n[candidates]\nkeep = { heat = 1, speed = 0 }\n").encode(),
        "model.onnx": identity_backbone(len(FIELDS), classes=3),
    }


def task_of(files: dict[str, bytes]) -> Task:
    """Return files as a task."""
    return Task.parse(files, "task")


def write_task(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files into a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def _policy(candidates: int, size_bytes: int, offers: int) -> str:
    return (
        f"[limits]\ncandidates = {candidates}\nsize_bytes = {size_bytes}\noffers = {offers}\n"
        "[rounds]\nrandom_share = 0.5\n"
    )


def write_device(
    folder: Path,
    files: dict[str, bytes],
    *,
    items: str | None = None,
    item_file: str = "",
    **said: str,
) -> Path:
    """Write a task, a device.toml and what it names into a folder; return the device.toml.

    Args:
        folder: Made if absent.
        files: The task.
        items: One text a line, the pool is filled from them.
        item_file: Another file to fill it from, as TOML.
        said: Further lines of device.toml, as TOML; an empty one is left out.
    """
    write_task(folder / "task", files)
    (folder / "sketch.key").write_bytes(bytes(range(8)))
    lines = {
        "folder": '"state"',
        "task": '"task"',
        "labeling_key": f'"{DESK_KEY}"',
        "desk_key": f'"{DESK_KEY}"',
        "sketch_secret": '"sketch.key"',
    }
    if items is not None:
        (folder / "items.txt").write_text(items)
        item_file = '"items.txt"'
    config = folder / "device.toml"
    known = {name: value for name, value in {**lines, "items": item_file, **said}.items() if value}
    config.write_text("".join(f"{name} = {value}\n" for name, value in known.items()))
    return config
