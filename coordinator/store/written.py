"""Events and wishes as the store has them: canonical JSON, read back into the value it was."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

from coordinator.store.campaign import Store
from fieldvote.errors import DataError, SettingsError, StoreError
from fieldvote.settings import parse_settings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = TypeVar("Value")
_LOOK_S = 0.25


def dump_event(event: "DataclassInstance") -> tuple[str, str]:
    """Return an event's kind and its body as canonical JSON."""
    return type(event).__name__, json.dumps(asdict(event), sort_keys=True, separators=(",", ":"))


def load_event(kind: str, body: str, kinds: Mapping[str, type[Value]]) -> Value:
    """Undo dump_event.

    Raises:
        StoreError: the store holds an event this program does not know.
    """
    if kind not in kinds:
        raise StoreError(f"the store holds an event '{kind[:64]}' this program does not know")
    try:
        return parse_settings(json.loads(body), kinds[kind], f"event '{kind}'")
    except (ValueError, RecursionError, SettingsError) as err:
        raise StoreError(f"the store holds a '{kind}' that cannot be read: {err}") from err


def dump_wish(wish: "DataclassInstance") -> bytes:
    """Return what a person asked for as the store keeps it."""
    return json.dumps(asdict(wish), sort_keys=True).encode()


def load_wish(body: bytes, kind: type[Value]) -> Value:
    """Undo dump_wish; what was left out is read as left out.

    Raises:
        DataError: it is no wish of this program's.
    """
    try:
        found = {key: value for key, value in json.loads(body).items() if value is not None}
        return parse_settings(found, kind, "a command")
    except (ValueError, AttributeError, RecursionError, SettingsError) as err:
        raise DataError(f"the store holds a command that cannot be read: {err}") from err


def ask_leader(
    store: Store, kind: str, body: bytes, *, wait_s: float, sleep: Callable[[float], None],
    entropy: Callable[[int], bytes],
) -> bool:  # fmt: skip
    """Ask whoever leads for something; return whether it was done while we waited.

    Args:
        store: Of the campaign.
        kind: What the store calls such a wish among what it owes.
        body: The wish, from dump_wish.
        wait_s: How long to wait; what is not done then is done when a coordinator next leads.
        sleep: Lets time pass.
        entropy: Names the wish.
    """
    key = f"{kind} {entropy(8).hex()}"
    with store.transaction():
        store.owe(key, kind, body)
    waited_s = 0.0
    while any(row.key == key for row in store.owed()):
        if waited_s >= wait_s:
            return False
        sleep(_LOOK_S)
        waited_s += _LOOK_S
    return True
