"""Why did it say so? A person's question about one input, from the wish to the lines that answer.

What the head makes of the input is found out where the question is asked; the input itself goes
nowhere. Its embedding waits in the store until whoever leads the campaign has asked devices how far
each function's votes work for that answer. That takes devices: no kept sum is about this input.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from coordinator.models.explain import Explained, Row, traced_round
from coordinator.models.shelf import Shelf
from coordinator.models.trace import ANSWERS, Trace
from coordinator.models.training import head_of
from coordinator.rounds.campaign import load_state
from coordinator.rounds.clock import Clock
from coordinator.store.campaign import Store
from coordinator.store.written import ask_leader, dump_wish, load_wish
from fieldvote.errors import DataError, InputError, UnavailableError
from fieldvote.heads import HeadModel
from fieldvote.task import Task
from strategies.aggregation.head import predict
from strategies.governance.influence import input_direction
from strategies.representation import Representation

INQUIRY = "explain"
"""What the store calls such a wish among what it owes."""
_ANSWER = "answer to "

_DOUBT = (
    "how far a step along what each function taught would make the model surer of that class; the"
    " centre and the neighbours that a device's own pool gives an item are left out"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputQuestion:
    """Which functions made a head say a class of an input?

    Attributes:
        round: Whose head.
        label: Place of the class.
        embedding: What the task's model makes of the input. Shape (d,).
    """

    round: int
    label: int
    embedding: tuple[float, ...]

    def to_json(self) -> bytes:
        """Return this as the store keeps it."""
        return dump_wish(self)

    @staticmethod
    def from_json(body: bytes) -> "InputQuestion":
        """Undo to_json.

        Raises:
            DataError: it is no question of this program's.
        """
        return load_wish(body, InputQuestion)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputAnswer:
    """What devices had to say; or why they were not asked.

    Attributes:
        devices: How many replies are in it.
        items: How many items had taught.
        values: Per function, and for people's answers. Shape (m + 1,).
        refusal: Why it was not asked; empty where it was.
    """

    devices: int = 0
    items: int = 0
    values: tuple[float, ...] = ()
    refusal: str = ""


def keep_answer(store: Store, key: str, answer: InputAnswer) -> None:
    """Keep an answer, and settle the wish; belongs in a transaction."""
    store.keep_note(_ANSWER + key, dump_wish(answer).decode())
    store.settle(key)


def direction_of(model: HeadModel, question: InputQuestion) -> NDArray[np.float64]:
    """Return the gradient of the input's loss against its class, at the head. Shape (p, k).

    Raises:
        InputError: the question does not fit the head.
    """
    if not 0 <= question.label < model.classes:
        raise InputError(f"no class {question.label}: the head knows {model.classes}")
    return input_direction(head_inputs(model, question.embedding), head_of(model),
                           label=question.label)  # fmt: skip


def head_inputs(model: HeadModel, embedding: tuple[float, ...]) -> NDArray[np.float64]:
    """Return an embedding as a head sees it that knows no pool around it. Shape (1, p)."""
    ours = {field.name: getattr(model, field.name) for field in fields(Representation)}
    made = replace(Representation(**ours), recentre=0.0, smooth=0.0)
    return made.inputs(np.array([embedding]), np.zeros(len(model.mean)))


def explain_input(
    store: Store,
    task: Task,
    embedding: NDArray[np.float32],
    *,
    number: int | None,
    model: str,
    label: str,
    wait_s: float,
    clock: Clock,
    entropy: Callable[[int], bytes],
) -> Explained:
    """Ask who made a head say what it says of an input; wait for the answer.

    Args:
        store: Of the campaign.
        task: The campaign's.
        embedding: What the task's model makes of the input. Shape (d,).
        number: Of the round whose head is asked; None: as the model says.
        model: Begins the head's digest; empty: the head the fleet serves, else the newest traced.
        label: The class asked about; empty: the one it says.
        wait_s: How long to wait.
        clock: The time.
        entropy: Names the wish.

    Raises:
        InputError: there is no such head or class, or functions changed since it was trained.
        UnavailableError: nobody leads the campaign, or no device answered.
    """
    served = load_state(store)[1].served
    if number is None and not model and served:
        model = served
    state = traced_round(store, number=number, model=model)
    trace = Trace.from_bytes(store.artifact(state.trace))
    if trace.functions != tuple(f"{each.id}@{each.version}" for each in task.functions):
        raise InputError(
            f"functions changed since the head of round {state.number} was trained, and devices"
            " vote by the new ones; ask about a later head"
        )
    head = Shelf(store).get(state.model)
    likely = predict(head_inputs(head, tuple(embedding.tolist())), head_of(head))[0]
    if label and label not in task.classes:
        raise InputError(f"no class '{label[:64]}'; this task has {', '.join(task.classes)}")
    place = task.classes.index(label) if label else int(likely.argmax())
    question = InputQuestion(
        round=state.number, label=place, embedding=tuple(embedding.astype(float).tolist())
    )
    answer = _asked(store, question, wait_s=wait_s, clock=clock, entropy=entropy)
    about: Row = {
        "round": state.number,
        "model": state.model[:12],
        "says": task.classes[int(likely.argmax())],
        "asked_about": task.classes[place],
        "probability": round(float(likely[place]), 4),
        "devices": answer.devices,
        "items_that_taught": answer.items,
    }
    return Explained(about=about, rows=_rows(trace, answer), doubt=_DOUBT)


def _asked(
    store: Store,
    question: InputQuestion,
    *,
    wait_s: float,
    clock: Clock,
    entropy: Callable[[int], bytes],
) -> InputAnswer:
    """Have the leader ask, and return what it was told."""
    name = entropy(8)
    done = ask_leader(
        store, INQUIRY, question.to_json(), wait_s=wait_s, sleep=clock.sleep,
        entropy=lambda _: name,
    )  # fmt: skip
    if not done:
        with store.transaction():
            store.settle(f"{INQUIRY} {name.hex()}")  # nobody waits for the answer any more
        raise UnavailableError(
            "no answer yet: devices are asked by whoever leads the campaign, so"
            " 'fieldvote coordinator serve' must be running; ask again"
        )
    note = store.note(f"{_ANSWER}{INQUIRY} {name.hex()}")
    answer = load_wish((note or "").encode(), InputAnswer)
    if answer.refusal:
        raise InputError(answer.refusal)
    if not answer.devices:
        raise UnavailableError("no device answered; ask again when some are there")
    return answer


def _rows(trace: Trace, answer: InputAnswer) -> tuple[Row, ...]:
    """Return a line per function, the one that worked hardest for the class first."""
    if len(answer.values) != len(trace.functions) + 1:
        raise DataError(f"an answer about {len(answer.values)} rows; {json.dumps(trace.model)}")
    total = max(sum(abs(value) for value in answer.values), np.finfo(np.float64).tiny)
    names = [*trace.functions, ANSWERS]
    rows: list[Row] = []
    for value, named in sorted(zip(answer.values, names, strict=True), key=lambda row: -row[0]):
        name, _, version = named.partition("@")
        rows.append(
            {"function": name, "version": version, "share_percent": round(100 * value / total, 1)}
        )
    return tuple(rows)
