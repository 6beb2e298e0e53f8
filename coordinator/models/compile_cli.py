"""`fieldvote models compile`: write the graphs that train a task's own network on devices."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fieldvote.errors import StoreError

_TRAINING = (
    b'\n[training]\ndepth = "all"               # how deep devices train; or "head", "last:2"\n'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What was written.

    Attributes:
        files: Each file and its bytes.
        parameters: Each weight that is trained, and how many numbers it is.
        error: How far the step's gradients are from finite differences, relative to their size.
    """

    files: dict[str, int]
    parameters: dict[str, int]
    error: float


def compile_command(
    task: Annotated[Path, typer.Argument(help="The task folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compile a task's model into the graphs its devices train it with, as task.toml says.

    Where task.toml says nothing of training yet, a table that trains all
    layers is added. The step is checked against finite differences of its own
    loss before a byte is written; what no rule understands is refused by name.

    Example: fieldvote models compile my-task
    """
    made = compile_folder(task)
    if as_json:
        typer.echo(
            json.dumps({"files": made.files, "parameters": made.parameters, "error": made.error})
        )
        return
    width = max(map(len, made.parameters))
    for name, size in made.parameters.items():
        typer.echo(f"trains {name:<{width}}  {size:>9,}")
    apart = f"within {made.error:.1e} of" if made.error > 0 else "those of"
    typer.echo(f"gradients are {apart} finite differences{', to rounding' * (not made.error)}")
    for name, size in made.files.items():
        typer.echo(f"wrote  {task / name}  {size:,} bytes")
    typer.echo("sign the task again: fieldvote keys sign")


def compile_folder(folder: Path) -> Compiled:
    """Write the graphs of a task folder; everything is compiled and checked before that.

    Raises:
        TaskError, SettingsError: the folder holds no task.
        InputError: the model holds what a rule does not know, by name.
        StoreError: a file cannot be written.
        MissingExtraError: onnx is not installed.
    """
    from coordinator.models.compiling import compile_training
    from fieldvote.settings import parse_toml
    from fieldvote.task import TASK_FILE, Task
    from fieldvote.training import TrainingNames

    files = Task.files(folder, graphs=False)
    added = "training" not in parse_toml(files[TASK_FILE], f"{folder}/{TASK_FILE}")
    if added:
        files[TASK_FILE] += _TRAINING
        files |= dict.fromkeys(TrainingNames().files, b"")
    task = Task.parse(files, str(folder))
    training = task.training or TrainingNames()
    outputs = (task.names.probabilities, task.names.embedding)
    made = compile_training(task.model, training, outputs=outputs)
    graphs = made.files(training)
    # task.toml last: it names the others
    written = {**graphs, **({TASK_FILE: files[TASK_FILE]} if added else {})}
    try:
        for name, content in written.items():
            (folder / name).write_bytes(content)
    except OSError as err:
        raise StoreError(f"{folder}: cannot be written ({err.strerror or err})") from err
    return Compiled(
        files={name: len(content) for name, content in graphs.items()},
        parameters={name: array.size for name, array in made.step.parameters.items()},
        error=made.error,
    )
