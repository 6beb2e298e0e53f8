"""Where a label comes from and where it went: who said so, and which model learned from it."""

from coordinator.labels.consensus import NONE_OF_THESE
from coordinator.rounds.campaign import STREAM
from coordinator.rounds.events import Trained, load_event
from coordinator.store.campaign import Store
from coordinator.store.rows import KeptLabel
from coordinator.store.schema import SHARE_UNIT
from coordinator.transport import node_of
from fieldvote.errors import DataError
from fieldvote.task import Task

Row = dict[str, str | int | float]
_SHOWN = 12  # of a digest


def list_labels(store: Store, task: Task, number: int | None = None) -> list[Row]:
    """Return a line for every label people gave, the oldest round first.

    Args:
        store: Of the campaign.
        task: What the campaign is about.
        number: Only labels of items this round asked for.

    Raises:
        DataError: a label is of no class of the task.
    """
    trained = _models(store)
    return [
        _row(kept, task, trained)
        for kept in store.kept_labels()
        if number is None or kept.round == number
    ]


def _models(store: Store) -> dict[int, str]:
    """Return the model each round made."""
    events = (load_event(*row) for row in store.events(STREAM))
    return {event.round: event.model for event in events if isinstance(event, Trained)}


def _row(kept: KeptLabel, task: Task, trained: dict[int, str]) -> Row:
    """Return one label in a line."""
    label = kept.label
    said = [
        f"{answer.annotator}{' (expert)' if answer.expert else ''}: {_name(task, answer.label)}"
        for answer, _ in kept.answers
    ]
    guidelines = sorted({answer.guideline for answer, _ in kept.answers if answer.guideline})
    # later models learned from it too: the first is where to begin looking
    first = min((r for r in trained if kept.counted is not None and r >= kept.counted), default=0)
    return {
        "trace": f"{kept.round}/{label.item.hex()}",
        "class": _name(task, label.label),
        "source": "people",
        "method": label.method,
        "confidence": round(label.agreement / SHARE_UNIT, 3),
        "answers": ", ".join(said),
        "guideline": ", ".join(guidelines),
        "schema": task.digest[:_SHOWN],
        "device": str(node_of(kept.device)),  # too large for most columns of whole numbers
        "at": kept.at[:19],
        "counted": kept.counted or 0,
        "model": trained.get(first, "")[:_SHOWN],
        "delivered": "yes" if kept.delivered else "no",
    }


def _name(task: Task, label: int) -> str:
    if label == NONE_OF_THESE:
        return "none of these"
    if not 0 <= label < len(task.classes):
        raise DataError(f"the store holds class {label}, the task has {len(task.classes)}")
    return task.classes[label]
