"""What people do with heads from a terminal: list them, and ask who taught them what."""

import os
from contextlib import closing
from pathlib import Path

from coordinator.models.asking import explain_input
from coordinator.models.explain import (
    Explained,
    Row,
    explain,
    list_versions,
    traced_round,
    without_function,
)
from coordinator.models.one_input import embedding_of, read_input
from coordinator.models.trace import Trace
from coordinator.releases.tasks import current_task
from coordinator.rounds.clock import Clock, SteadyClock
from coordinator.service import CoordinatorSettings, open_store
from fieldvote.errors import InputError
from fieldvote.task import Task

_WAIT_S = 30.0


def versions(config: Path) -> list[Row]:
    """Return every head on the shelf in a line."""
    with closing(open_store(CoordinatorSettings.load(config))) as store:
        return list_versions(store)


def explained(
    config: Path, *, number: int | None = None, model: str = "", without: str = ""
) -> Explained:
    """Return which functions taught a head; or what it would be without one of them.

    Raises:
        InputError: there is no such head or function, or nobody asked.
    """
    if number is not None and model:
        raise InputError("give a round or a model, not both")
    with closing(open_store(CoordinatorSettings.load(config))) as store:
        state = traced_round(store, number=number, model=model)
        trace = Trace.from_bytes(store.artifact(state.trace))
    if without:
        return without_function(trace, state.number, without)
    return explain(trace, state.number)


def explained_input(
    config: Path,
    *,
    text: str = "",
    file: Path | None = None,
    number: int | None = None,
    model: str = "",
    label: str = "",
    wait_s: float | None = None,
    clock: Clock | None = None,
) -> Explained:
    """Ask the fleet which functions made a head say what it says of one input.

    Raises:
        InputError: the input, the head or the class is not one there is.
        UnavailableError: no coordinator leads the campaign, or no device answered.
    """
    if number is not None and model:
        raise InputError("give a round or a model, not both")
    settings = CoordinatorSettings.load(config)
    with closing(open_store(settings)) as store:
        task = current_task(store, Task.load(Path(settings.task)))
        embedding = embedding_of(task, read_input(task, text=text, file=file))
        return explain_input(
            store,
            task,
            embedding,
            number=number,
            model=model,
            label=label,
            wait_s=_WAIT_S if wait_s is None else wait_s,
            clock=clock or SteadyClock(),
            entropy=os.urandom,
        )
