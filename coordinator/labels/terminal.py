"""An annotator at a terminal: one masked item at a time, one key per class."""

from collections.abc import Callable
from pathlib import Path

from coordinator.labels.desk import Desk, DeskKeys
from coordinator.service import CoordinatorSettings, open_store
from fieldvote.errors import InputError, StoreError
from fieldvote.records import MaskedItem
from fieldvote.task import Task
from privacy.sealing import SealingKey, SigningKey

_LABELING, _SIGNING = "labeling.key", "desk.key"
_SKIP, _QUIT = "s", "q"


class TerminalAnnotator:
    """Shows an item and reads a number; s skips, q stops for now."""

    def __init__(
        self, classes: tuple[str, ...], *, ask: Callable[[str], str], say: Callable[[str], None]
    ) -> None:
        """Offer these classes."""
        self._classes = classes
        self._ask = ask
        self._say = say
        self._stopped = False
        self.given = 0

    def answer(self, item: MaskedItem) -> int | None:
        """Return the class that was typed, None for skip and after quit."""
        if self._stopped:
            return None
        self._say("")
        self._say(_shown(item))
        choices = "  ".join(f"{place} {name}" for place, name in enumerate(self._classes))
        while True:
            typed = self._ask(f"{choices}  {_SKIP} skip  {_QUIT} quit > ").strip().lower()
            if typed in (_SKIP, _QUIT):
                self._stopped = typed == _QUIT
                return None
            if typed.isdigit() and int(typed) < len(self._classes):
                self.given += 1
                return int(typed)
            self._say(f"type 0 to {len(self._classes) - 1}, {_SKIP} or {_QUIT}")


def make_keys(folder: Path, entropy: Callable[[int], bytes]) -> dict[str, str]:
    """Make the desk's keys in a new folder, and return the public halves devices need.

    Raises:
        InputError: there are keys already; they are left as they are.
        StoreError: the folder cannot be written.
    """
    labeling, signing = SealingKey.generate(entropy), SigningKey.generate(entropy)
    secrets = {_LABELING: labeling.to_bytes(), _SIGNING: signing.to_bytes()}
    if any((folder / name).exists() for name in secrets):
        raise InputError(f"{folder}: holds keys already; whoever replaces them loses the queue")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, secret in secrets.items():
            (folder / name).touch(mode=0o600, exist_ok=False)
            (folder / name).write_bytes(secret)
    except OSError as err:
        raise StoreError(f"{folder}: cannot be written ({err.strerror or err})") from err
    return {"labeling_key": labeling.public.hex(), "desk_key": signing.public.hex()}


def answer_queue(
    config: Path, keys: Path, *, ask: Callable[[str], str], say: Callable[[str], None]
) -> int:
    """Work through the queue of a campaign with whoever sits at the terminal.

    Returns:
        How many answers were given.
    """
    settings = CoordinatorSettings.load(config)
    task = Task.load(Path(settings.task))
    annotator = TerminalAnnotator(task.classes, ask=ask, say=say)
    desk = Desk(
        read_keys(keys),
        annotator,
        task=task.digest,
        classes=len(task.classes),
        price=settings.campaign.price,
    )
    store = open_store(settings)
    try:
        desk.work(store)
    finally:
        store.close()
    return annotator.given


def read_keys(folder: Path) -> DeskKeys:
    """Read the desk's keys.

    Raises:
        InputError: they are not there.
    """
    try:
        return DeskKeys(
            labeling=SealingKey.from_bytes((folder / _LABELING).read_bytes()),
            signing=SigningKey.from_bytes((folder / _SIGNING).read_bytes()),
        )
    except OSError as err:
        raise InputError(
            f"{folder}: no keys of a desk; 'fieldvote labels keys' makes them"
        ) from err


def _shown(item: MaskedItem) -> str:
    """Return an item as text."""
    if item.text or not item.names:
        return item.text
    width = max(len(name) for name in item.names)
    pairs = zip(item.names, item.values, strict=True)
    return "\n".join(f"  {name:<{width}}  {value or '-'}" for name, value in pairs)
