"""What stands around every function: its contract, its languages, and whom it stands in for."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from edge.labeling.ballot import Mask
from edge.labeling.items import Items
from edge.labeling.text_rules import encode_texts, fold_texts
from edge.labeling.word_index import WordIndex, rules_by_word
from edge.labeling.words import single_word
from fieldvote.functions import FieldContract, LanguageOfField, LanguageOfWords, LanguageRule

# where a function may vote
Spoken: TypeAlias = Callable[[Items], Mask]


def broken_contract(contract: Sequence[tuple[str, FieldContract]], items: Items) -> Mask:
    """Return where an item does not keep a contract. Shape (n,).

    Raises:
        InputError: The items do not have one of the fields at all.
    """
    broken = np.zeros(len(items), dtype=np.bool_)
    for name, each in contract:
        values = items.column(name)
        missing = np.isnan(values)
        wrong = missing & each.required
        if each.minimum is not None:
            wrong |= values < each.minimum
        if each.maximum is not None:
            wrong |= values > each.maximum
        if each.type == "integer":
            wrong |= ~missing & (np.floor(values) != values)
        broken |= wrong
    return broken


def language_guard(languages: Sequence[str], rule: LanguageRule) -> Spoken:
    """Return what says which items are in one of these languages.

    An item whose language the rule cannot tell counts as the rule's `otherwise`; where that is
    empty it is in none of them.
    """
    return (
        _of_field(languages, rule)
        if isinstance(rule, LanguageOfField)
        else _of_words(languages, rule)
    )


def _of_field(languages: Sequence[str], rule: LanguageOfField) -> Spoken:
    """Go by the number in a field."""
    known = [float(value) for value, _ in rule.codes]
    wanted = [float(value) for value, name in rule.codes if name in languages]

    def spoken(items: Items) -> Mask:
        values = items.column(rule.field)
        unknown = ~np.isin(values, known)
        return np.asarray(np.isin(values, wanted) | (unknown & (rule.otherwise in languages)))

    return spoken


def _of_words(languages: Sequence[str], rule: LanguageOfWords) -> Spoken:
    """Go by the language most words of a text are of."""
    names = rule.languages
    wanted = np.array([name in languages for name in names])
    index = WordIndex(
        rules_by_word(
            (word, place)
            for place, name in enumerate(names)
            for word in dict.fromkeys(rule.vocabulary[name])
            if single_word(word)
        ),
        [],
    )

    def spoken(items: Items) -> Mask:
        encoded, _ = encode_texts(items.texts or ())
        rows, places = index.find(fold_texts(encoded))
        n, k = len(items), len(names)
        counts = np.bincount(rows * k + places, minlength=n * k).reshape(n, k)
        most = counts.max(axis=1, keepdims=True)
        sure = ((counts == most).sum(axis=1) == 1) & (most[:, 0] > 0)
        told = wanted[counts.argmax(axis=1)]
        return np.where(sure, told, rule.otherwise in languages)

    return spoken
