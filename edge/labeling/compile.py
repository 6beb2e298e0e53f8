"""Labeling functions, compiled once and then asked about many items at a time.

Rules over texts become one RE2 set, rules over numbers one array expression each. A function that
cannot answer, because a field is not there or an item cannot be read, abstains and is counted. It
never guesses, and it never stops the others.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from edge.labeling.items import Items
from edge.labeling.text_rules import TextRule, TextRules
from edge.labeling.words import words_pattern
from fieldvote.errors import ShapeError, TaskError
from fieldvote.functions import (
    KeywordFunction,
    LabelingFunction,
    LookupFunction,
    ModelFunction,
    RegexFunction,
    Source,
    ThresholdFunction,
)
from fieldvote.task import TabularInput, TextInput

Votes: TypeAlias = NDArray[np.int8]
Column: TypeAlias = Callable[[Items], Votes]


class CompiledFunctions:
    """The functions of a task, ready to vote; `compile_functions` makes it.

    Attributes:
        ids: Function ids, in the order of vote columns.
        abstained_by_error: Per function id, how many items it could not answer for, since it was
            compiled.
    """

    def __init__(
        self, ids: Sequence[str], text_rules: TextRules | None, columns: Mapping[int, Column]
    ) -> None:
        """Take what was compiled: rules over texts together, the others by their column."""
        self.ids = tuple(ids)
        self.abstained_by_error: Counter[str] = Counter()
        self._text_rules = text_rules
        self._columns = columns

    def vote(self, items: Items) -> Votes:
        """Return the votes on the items.

        Returns:
            Shape (n, m), int8: the class, or -1 where the function abstains.
        """
        n, m = len(items), len(self.ids)
        votes = np.full((n, m), -1, dtype=np.int8)
        if self._text_rules is not None:
            unread = np.ones(n, dtype=np.bool_)
            if items.texts is not None:
                votes, unread = self._text_rules.vote(items.texts, m)
            self._count(self._text_rules.columns, int(unread.sum()))
        for place, column in self._columns.items():
            try:
                votes[:, place] = column(items)
            except Exception:  # whatever it is, a function that fails must not stop the others
                self._count((place,), n)
        return votes

    def _count(self, columns: Sequence[int], items: int) -> None:
        """Remember that these functions could not answer for so many items."""
        if items:
            self.abstained_by_error.update({self.ids[place]: items for place in columns})


def compile_functions(
    functions: Sequence[LabelingFunction],
    given: TextInput | TabularInput,
    classes: Sequence[str],
) -> CompiledFunctions:
    """Return the functions ready to vote on items of this input.

    Args:
        functions: m functions; their order is that of the vote columns.
        given: What an item is.
        classes: Class names; a vote is a position among them.

    Raises:
        TaskError: A function names a class or reads an input the task does not have, or the rules
            over texts are together too large.

    >>> prize = KeywordFunction(id="prize", owner="ann", class_name="offer", words=("prize",))
    >>> ready = compile_functions([prize], TextInput(width=8), ("ordinary", "offer"))
    >>> ready.vote(Items(texts=["A PRIZE!", "no surprizes", "“prize”"])).tolist()
    [[1], [-1], [1]]
    """
    number = {name: i for i, name in enumerate(classes)}
    rules: list[TextRule] = []
    columns: dict[int, Column] = {}
    for place, function in enumerate(functions):
        _check(function, given, number)
        match function:
            case KeywordFunction():
                pattern, vote = words_pattern(function.words), number[function.class_name]
                rules.append(TextRule(pattern=pattern, column=place, vote=vote, words=True))
            case RegexFunction():
                pattern, vote = function.pattern, number[function.class_name]
                rules.append(TextRule(pattern=pattern, column=place, vote=vote, words=False))
            case LookupFunction(field=None):
                rules += _lookup_rules(function, place, number)
            case LookupFunction():
                columns[place] = _lookup(function, number)
            case ThresholdFunction():
                columns[place] = _threshold(function, number[function.class_name])
            case ModelFunction():
                columns[place] = _model(function, number[function.class_name], len(classes))
            case _:
                assert_never(function)
    ids = [function.id for function in functions]
    return CompiledFunctions(ids, TextRules(rules) if rules else None, columns)


def _check(
    function: LabelingFunction, given: TextInput | TabularInput, number: Mapping[str, int]
) -> None:
    """Refuse a function of another task."""
    for name in function.classes:
        if name not in number:
            raise TaskError(f"function '{function.id}': no class '{name}' in this task")
    wrong = Source.FIELDS if isinstance(given, TextInput) else Source.TEXT
    if function.reads is wrong:
        raise TaskError(f"function '{function.id}': reads {wrong.value}, the input is {given.kind}")


def _lookup_rules(
    function: LookupFunction, place: int, number: Mapping[str, int]
) -> list[TextRule]:
    """Return one rule over words for each class of the table."""
    return [
        TextRule(
            pattern=words_pattern(word for word, to in function.table if to == name),
            column=place,
            vote=number[name],
            words=True,
        )
        for name in function.classes
    ]


def _lookup(function: LookupFunction, number: Mapping[str, int]) -> Column:
    """Vote by the exact value of a field."""
    name = function.field
    assert name is not None  # noqa: S101  # lookups without a field are rules over texts
    table = sorted((float(value), number[to]) for value, to in function.table)
    keys = np.array([value for value, _ in table])
    votes = np.array([vote for _, vote in table], dtype=np.int8)

    def column(items: Items) -> Votes:
        values = items.column(name)
        nearest = np.minimum(np.searchsorted(keys, values), len(keys) - 1)
        return np.where(keys[nearest] == values, votes[nearest], np.int8(-1))

    return column


def _threshold(function: ThresholdFunction, vote: int) -> Column:
    """Vote where the field lies between the bounds; NaN lies nowhere."""

    def column(items: Items) -> Votes:
        values = items.column(function.field)
        inside = np.ones(len(values), dtype=np.bool_)
        if function.above is not None:
            inside &= values > function.above
        if function.below is not None:
            inside &= values < function.below
        return np.where(inside, np.int8(vote), np.int8(-1))

    return column


def _model(function: ModelFunction, vote: int, classes: int) -> Column:
    """Vote where the model is sure enough; NaN is not."""

    def column(items: Items) -> Votes:
        said = items.probabilities
        if said is None or said.shape[1] != classes:
            raise ShapeError("probabilities", (0,) if said is None else said.shape, ("n", classes))
        return np.where(said[:, vote] >= function.minimum, np.int8(vote), np.int8(-1))

    return column
