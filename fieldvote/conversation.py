"""A computation that asks as it goes: it yields questions, is told sums, and comes to a result.

Fits, solvers and comparisons are written as generators that are a function of what they are told
and nothing else. Whoever holds one holds nothing that matters: told the kept sums of an earlier run
it asks and concludes the same to the bit, so a process that died begins it anew and catches up.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fieldvote.errors import InternalError

Asked = TypeVar("Asked")
Told = TypeVar("Told")
Result = TypeVar("Result")


@dataclass(slots=True)
class Conversation(Generic[Asked, Told, Result]):
    """One of them, and how far it has come.

    Attributes:
        talk: Yields what to ask, is sent what was answered, returns the result.
        asked: What it asks next; None once it has its result.
        answered: What it asked before that; None at the beginning.
        heard: How many answers it was told.

    >>> def twice() -> Generator[str, int, int]:
    ...     return (yield "one number") + (yield "and another")
    >>> sums = Conversation.begin(twice())
    >>> sums.tell(2)
    >>> sums.asked, sums.heard
    ('and another', 1)
    >>> sums.tell(3)
    >>> sums.asked, sums.result
    (None, 5)
    """

    talk: Generator[Asked, Told, Result]
    asked: Asked | None = None
    answered: Asked | None = None
    heard: int = 0
    _result: tuple[Result] | None = None

    @classmethod
    def begin(cls, talk: Generator[Asked, Told, Result]) -> "Conversation[Asked, Told, Result]":
        """Let it ask its first question, if it has any."""
        begun = cls(talk=talk)
        begun._go_on(lambda: next(talk))
        return begun

    @property
    def over(self) -> bool:
        """Whether it has its result."""
        return self._result is not None

    @property
    def result(self) -> Result:
        """What it came to.

        Raises:
            InternalError: it has a question left.
        """
        if self._result is None:
            raise InternalError("a conversation was taken for over that has a question left")
        return self._result[0]

    def tell(self, answer: Told) -> None:
        """Tell it what was answered.

        Raises:
            InternalError: it has asked nothing.
        """
        if self.over:
            raise InternalError("a conversation was told more than it asked")
        self.heard += 1
        self.answered = self.asked
        self._go_on(lambda: self.talk.send(answer))

    def _go_on(self, step: Callable[[], Asked]) -> None:
        try:
            self.asked = step()
        except StopIteration as done:
            self.asked, self._result = None, (done.value,)


def replay(
    talk: Generator[Asked, Told, Result], answers: Iterable[Told]
) -> Conversation[Asked, Told, Result] | None:
    """Return a conversation that is over, told these answers; None if they are too few or many."""
    again = Conversation.begin(talk)
    for answer in answers:
        if again.over:
            return None
        again.tell(answer)
    return again if again.over else None


def converse(talk: Generator[Asked, Told, Result], answer: Callable[[Asked], Told]) -> Result:
    """Hold a conversation to its end, each question answered at once."""
    held = Conversation.begin(talk)
    while held.asked is not None:
        held.tell(answer(held.asked))
    return held.result
