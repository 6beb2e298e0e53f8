"""An annotator at a terminal: one masked item at a time, one key per class."""

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from coordinator.labels.consensus import NONE_OF_THESE
from coordinator.labels.desk import Desk, Seat
from coordinator.labels.desk_keys import make_keys as make_keys  # who makes a desk sits at it
from coordinator.labels.desk_keys import read_keys as read_keys
from coordinator.service import CoordinatorSettings, open_store
from fieldvote.custody import CustodySettings, KeyPlace, locked_in
from fieldvote.errors import InputError
from fieldvote.records import MaskedItem
from fieldvote.task import Task

_NONE, _SKIP, _QUIT = "n", "s", "q"
_MASK = re.compile(r"\[[A-Z]+_\d+\]")


class TerminalAnnotator:
    """Shows an item and reads a number; n fits none, s skips, q or the end of input stops for now.

    Attributes:
        seen: Items shown.
        given: Answers given.
    """

    def __init__(
        self,
        classes: tuple[str, ...],
        *,
        total: int,
        ask: Callable[[str], str],
        say: Callable[[str], None],
        emphasize: Callable[[str], str] = str,
        guideline: str = "",
    ) -> None:
        """Offer these classes.

        Args:
            classes: Their names; the place of one is its key.
            total: How many items wait.
            ask: Shows a prompt and returns what was typed; EOFError where the input ends.
            say: Shows a line.
            emphasize: Makes what is masked stand out.
            guideline: What to read before the first item.
        """
        self._guideline = guideline
        self._classes = classes
        self._total = total
        self._ask = ask
        self._say = say
        self._emphasize = emphasize
        self._stopped = False
        self.seen = 0
        self.given = 0

    def answer(self, item: MaskedItem) -> int | None:
        """Return the class that was typed, or that none fits; None for skip and after quit."""
        if self._stopped:
            return None
        if not self.seen:
            self._say(self._legend())
        self.seen += 1
        self._say(f"\n{self.seen} of {self._total}")
        self._say(_MASK.sub(lambda mask: self._emphasize(mask[0]), _shown(item)))
        while True:
            typed = self._typed()
            if typed in (_SKIP, _QUIT):
                self._stopped = typed == _QUIT
                return None
            if typed == _NONE:
                self.given += 1
                return NONE_OF_THESE
            # int() would take digits of every script, and isdigit() some that int() does not
            if typed.isascii() and typed.isdigit() and int(typed) < len(self._classes):
                self.given += 1
                return int(typed)
            self._say(f"type 0 to {len(self._classes) - 1}, {_NONE}, {_SKIP} or {_QUIT}")

    def _typed(self) -> str:
        """Return what was typed; the end of the input is a quit."""
        try:
            keys = f"0-{len(self._classes) - 1} {_NONE} {_SKIP} {_QUIT}"
            return self._ask(f"{keys} > ").strip().lower()
        except EOFError:
            self._say("")  # the prompt's line has no end yet
            return _QUIT

    def _legend(self) -> str:
        """Return what the keys mean."""
        width = len(str(len(self._classes) - 1))
        keys = [f"  {place:>{width}}  {name}" for place, name in enumerate(self._classes)]
        more = [f"  {_NONE:>{width}}  none of these"]
        more += [f"  {_SKIP:>{width}}  skip", f"  {_QUIT:>{width}}  quit; what is answered stays"]
        masked = f"{self._emphasize('[WORD_1]')} stands for what stayed on the device"
        told = (_printable(self._guideline).strip(), "") if self._guideline else ()
        return "\n".join((*told, "keys", *keys, *more, masked))


def answer_queue(
    config: Path,
    keys: Path,
    *,
    ask: Callable[[str], str],
    say: Callable[[str], None],
    emphasize: Callable[[str], str] = str,
    name: str = "",
    expert: bool = False,
) -> int:
    """Work through the queue of a campaign with whoever sits at the terminal.

    Args:
        config: The coordinator's file.
        keys: The folder of the desk's keys.
        ask: Shows a prompt and returns what was typed.
        say: Shows a line.
        emphasize: Makes what is masked stand out.
        name: Who sits there; where several people answer about an item, nobody does so twice.
        expert: Whether they decide what others could not agree on.

    Returns:
        How many answers were given.

    Raises:
        InputError: there are no keys, no campaign, the keys open nothing that waits, or the
            campaign asks several people about an item and nobody said who this is.
    """
    settings = CoordinatorSettings.load(config)
    rule = settings.campaign.labeling
    if rule.answers > 1 and not name.strip():
        raise InputError(
            f"this campaign asks {rule.answers} people about an item: say who you are with --as"
        )
    task = Task.load(Path(settings.task))
    held = read_keys(keys, passphrase=lambda: passphrase_for(keys))
    who = name.strip() or "annotator"
    with closing(open_store(settings)) as store:
        desk = Desk(held, settings=settings.campaign, task=task.family, classes=len(task.classes))
        waiting = len(desk.waiting(store, name=who, expert=expert))
        annotator = TerminalAnnotator(
            task.classes,
            total=waiting,
            ask=ask,
            say=say,
            emphasize=emphasize,
            guideline=rule.guideline,
        )
        if not waiting:
            say("nothing waits for an answer now; 'fieldvote rounds show' says what does")
        desk.seat(Seat(annotator=annotator, name=who, expert=expert)).work(store)
    if waiting and not annotator.seen:
        raise InputError(
            f"{keys}: none of {waiting} candidates opens with these keys; they are sealed to"
            " another desk"
        )
    return annotator.given


def passphrase_for(folder: Path, *, new: bool = False) -> str:
    """Return the passphrase of a desk's keys: from the file that is named for it, or asked for.

    Raises:
        InputError: nobody is there to ask, or a new one was typed in two ways.
    """
    (said,) = locked_in(CustodySettings(key=KeyPlace.PASSPHRASE), folder).secrets(make=new)
    return str(said)


def _shown(item: MaskedItem) -> str:
    """Return an item as text."""
    if item.text or not item.names:
        return _printable(item.text)
    width = max(len(name) for name in item.names)
    pairs = zip(item.names, item.values, strict=True)
    return "\n".join(_printable(f"  {name:<{width}}  {value or '-'}") for name, value in pairs)


def _printable(text: str) -> str:
    """Return text with line breaks, and nothing else that moves a cursor.

    A device that lies could otherwise repaint the terminal, and what is asked in it.
    """
    return "".join(
        sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text
    )
