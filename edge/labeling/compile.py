"""Labeling functions, compiled once and then asked about many items at a time.

Rules over texts are compiled together, rules over numbers are one array expression each. A function
that cannot answer, because a field is not there, a contract is broken, an item cannot be read or
its time is up, abstains and is counted. It never guesses, and it never stops the others.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import assert_never

import numpy as np

from edge.labeling.ballot import Column, Mask, Votes
from edge.labeling.columns import lookup_column, model_column, threshold_column
from edge.labeling.expressions import expression_column
from edge.labeling.guards import Spoken, broken_contract, language_guard
from edge.labeling.items import Items
from edge.labeling.python_functions import python_column
from edge.labeling.text_rules import PatternRule, TextRule, TextRules, WordRule
from edge.labeling.words import Negation, negation
from fieldvote.errors import TaskError
from fieldvote.functions import (
    ExpressionFunction,
    FuzzyFunction,
    KeywordFunction,
    LabelingFunction,
    LookupFunction,
    ModelFunction,
    PythonFunction,
    RegexFunction,
    Source,
    ThresholdFunction,
)
from fieldvote.task import TabularInput, TextInput

_NO_PINS: Mapping[str, str] = MappingProxyType({})


class CompiledFunctions:
    """The functions of a task, ready to vote; `compile_functions` makes it.

    Attributes:
        ids: Function ids, in the order of vote columns.
        abstained_by_error: Per function id, how many items it could not answer for, since it was
            compiled.
    """

    def __init__(
        self,
        functions: Sequence[LabelingFunction],
        text_rules: TextRules | None,
        columns: Mapping[int, Column],
    ) -> None:
        """Take what was compiled: rules over texts together, the others by their column."""
        self.ids = tuple(function.id for function in functions)
        self.abstained_by_error: Counter[str] = Counter()
        self._text_rules = text_rules
        self._columns = columns
        self._contracts = {i: each.contract for i, each in enumerate(functions) if each.contract}
        self._fallbacks = {
            i: self.ids.index(each.fallback_for)
            for i, each in enumerate(functions)
            if each.fallback_for in self.ids
        }
        # functions that declare the same languages share one guard
        self._languages: list[tuple[Spoken, list[int]]] = []
        places: dict[object, list[int]] = {}
        for i, each in enumerate(functions):
            if each.languages and (rule := each.language_rule) is not None:
                key = (each.languages, rule)
                if key not in places:
                    places[key] = []
                    self._languages.append((language_guard(each.languages, rule), places[key]))
                places[key].append(i)

    def vote(self, items: Items) -> Votes:
        """Return the votes on the items.

        Returns:
            Shape (n, m), int8: the class, or -1 where the function abstains.
        """
        n, m = len(items), len(self.ids)
        votes = np.full((n, m), -1, dtype=np.int8)
        failed: dict[int, Mask] = {}
        if self._text_rules is not None:
            unread = np.ones(n, dtype=np.bool_)
            if items.texts is not None:
                votes, unread = self._text_rules.vote(items.texts, m)
            if unread.any():
                failed = {place: unread.copy() for place in self._text_rules.columns}
        for place, column in self._columns.items():
            try:
                given = column(items)
                votes[:, place], failed[place] = given.votes, given.failed
            except Exception:  # whatever it is, a function that fails must not stop the others
                failed[place] = np.ones(n, dtype=np.bool_)
        self._guard(items, votes, failed)
        for place, mask in failed.items():
            if count := int(mask.sum()):
                self.abstained_by_error[self.ids[place]] += count
        return votes

    def _guard(self, items: Items, votes: Votes, failed: dict[int, Mask]) -> None:
        """Take back, in place, the votes of functions that may not vote on an item."""
        nowhere = np.zeros(len(items), dtype=np.bool_)
        for place, contract in self._contracts.items():
            try:
                broken = broken_contract(contract, items)
            except Exception:  # as in vote: a field that is not there breaks every contract on it
                broken = ~nowhere
            failed[place] = failed.get(place, nowhere) | broken
        for spoken, places in self._languages:
            try:
                outside = ~spoken(items)
            except Exception:  # as in vote: without the field, no language is known
                outside = ~nowhere
            votes[np.flatnonzero(outside)[:, None], places] = -1
            # abstaining outside its languages is what a function should do, and no failure
            failed.update({p: failed[p] & ~outside for p in places if p in failed})
        for place, mask in failed.items():
            votes[mask, place] = -1
        for place, primary in self._fallbacks.items():
            votes[~failed.get(primary, nowhere), place] = -1


def compile_functions(
    functions: Sequence[LabelingFunction],
    given: TextInput | TabularInput,
    classes: Sequence[str],
    *,
    pins: Mapping[str, str] = _NO_PINS,
) -> CompiledFunctions:
    """Return the functions ready to vote on items of this input.

    Args:
        functions: m functions; their order is that of the vote columns.
        given: What an item is.
        classes: Class names; a vote is a position among them.
        pins: The Python functions this device runs: entry point and digest; by default none.

    Raises:
        TaskError: A function names a class or reads an input the task does not have, or the rules
            over texts are together too large.
        RefusalError: A Python function is not pinned, or not what was pinned.
        UnavailableError: A pinned Python function is not installed.

    >>> prize = KeywordFunction(id="prize", owner="ann", class_name="offer", words=("prize",))
    >>> ready = compile_functions([prize], TextInput(width=8), ("ordinary", "offer"))
    >>> ready.vote(Items(texts=["A PRIZE!", "no surprizes", "“prize”"])).tolist()
    [[1], [-1], [1]]
    """
    number = {name: i for i, name in enumerate(classes)}
    rules: list[TextRule] = []
    vetoes: dict[int, Negation] = {}
    columns: dict[int, Column] = {}
    for place, function in enumerate(functions):
        _check(function, given, number)
        match function:
            case KeywordFunction() | FuzzyFunction() | RegexFunction() | LookupFunction(field=None):
                rules += _text_rules(function, place, number)
                if isinstance(function, KeywordFunction) and function.unless_after:
                    vetoes[place] = negation(function.unless_after, function.words, function.within)
            case LookupFunction():
                columns[place] = lookup_column(function, number)
            case ThresholdFunction():
                columns[place] = threshold_column(function, number[function.class_name])
            case ExpressionFunction():
                vote = number[function.class_name]
                columns[place] = expression_column(function.expression, vote)
            case ModelFunction():
                columns[place] = model_column(function, number[function.class_name], len(classes))
            case PythonFunction():
                columns[place] = python_column(function, number, pins)
            case _:
                assert_never(function)
    return CompiledFunctions(functions, TextRules(rules, vetoes) if rules else None, columns)


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


def _text_rules(
    function: KeywordFunction | FuzzyFunction | RegexFunction | LookupFunction,
    place: int,
    number: Mapping[str, int],
) -> list[TextRule]:
    """Return the rules of a function over texts: for a table, one for each class."""
    match function:
        case KeywordFunction():
            vote = number[function.class_name]
            return [WordRule(words=function.words, column=place, vote=vote)]
        case FuzzyFunction():
            return [
                WordRule(
                    words=function.words,
                    column=place,
                    vote=number[function.class_name],
                    distance=function.distance,
                    exact=function.exact,
                )
            ]
        case RegexFunction():
            vote = number[function.class_name]
            return [PatternRule(pattern=function.pattern, column=place, vote=vote)]
        case LookupFunction():
            return [
                WordRule(
                    words=tuple(word for word, to in function.table if to == name),
                    column=place,
                    vote=number[name],
                )
                for name in function.classes
            ]
