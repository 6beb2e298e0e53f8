"""Building a vocabulary: any language's word list, joined with closed lists for its grammar.

The word list says what a language's words are; the closed lists say which of them are function
words, streets or titles, and which are names too. Same inputs, same bytes: the digest that is
signed can be checked by whoever holds the list.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from fieldvote.errors import InputError
from privacy.pii.vocabulary import MAGIC, Vocabulary

LONGEST_WORD = 32  # characters
SHORTEST_CAPITAL = 4  # characters; a shorter word with a capital starts no sentence
NOUN_FORMS = ("e", "en", "er", "es", "n", "in", "innen")
_CAPITAL = {"N": "N", "y": "J", "a": "B", "o": "B", "m": "B", "x": "B", "u": "B", "t": "t"}
_CAPITAL |= dict.fromkeys("frcvhs", "F")
_LOCALE = re.compile(r"[a-z][a-z][a-z]?")
_SECTION = re.compile(r"\[(\w+) (\S+)\]")

# Section name -> its symbol and its words.
Lists = Mapping[str, tuple[str, tuple[str, ...]]]


def build_vocabulary(
    words: Iterable[str],
    *,
    locale: str,
    lists: str | None = None,
    names: Iterable[str] = (),
    first_names: Iterable[str] | None = None,
) -> bytes:
    r"""Return the file of a vocabulary; `Vocabulary.from_bytes` reads it.

    Args:
        words: The language's words as a dictionary lists them; capitals tell nouns and names.
        locale: ISO 639 code of the language.
        lists: Closed lists in the format of `vocabularies/de.lists`; those shipped for the locale
            if not given.
        names: Surnames and places; none of them leaves, in whatever case.
        first_names: Words that vouch for the name after them; the shipped English vocabulary's
            if not given.

    Raises:
        InputError: there are no closed lists for the locale, or no word is left.

    >>> content = build_vocabulary(["Haus", "Hauses", "grün", "Zuse"], locale="de", first_names=())
    >>> german = Vocabulary.from_bytes(content)
    >>> ["haus" in german, "grün" in german, "zuse" in german, "der" in german]
    [True, True, False, True]
    """
    if not _LOCALE.fullmatch(locale):
        raise InputError(f"a locale is a language's code of two or three letters, not {locale!r}")
    sections = _parse(lists if lists is not None else _shipped_lists(locale))
    given = {form for word in words if (form := unicodedata.normalize("NFC", word.strip()))}
    plain = {word for word in given if _is_word(word)}
    if not plain:
        raise InputError("a vocabulary needs a list of words")
    heard = _english_first_names() if first_names is None else {n.lower() for n in first_names}
    barred = {name.lower() for name in names}
    grouped = _classed(plain, sections, barred, heard)
    for symbol, listed in sections.values():
        if symbol[0] in "=:!.~":
            grouped[symbol].update(listed)
    lines = [f"{key} {' '.join(sorted(group))}" for key, group in sorted(grouped.items()) if group]
    return ("\n".join([MAGIC + locale, *lines]) + "\n").encode("utf-8")


def _classed(
    plain: set[str], sections: Lists, barred: set[str], heard: set[str]
) -> dict[str, set[str]]:
    """Return class pairs -> words."""
    closed: dict[str, str] = {}
    for symbol, listed in sections.values():
        if len(symbol) == 1 and symbol.islower():
            for word in listed:
                closed.setdefault(word, symbol)
    elisions = set(sections.get("elisions", ("~", ()))[1])
    closed |= {word: "w" for word in elisions if word not in closed}
    alike = set(sections.get("name_like", ("N", ()))[1])
    streets = tuple(sections.get("street_endings", ("-", ()))[1])
    small = {word for word in plain if word == word.lower()}
    nouns = {word.lower() for word in plain - small if streets and _is_noun(word, plain)}
    barred = (barred | heard | (alike - small)) - set(closed)
    grouped: dict[str, set[str]] = defaultdict(set)
    for word in sorted((small | nouns) - barred - set(closed)):
        if len(word) == 1:
            continue
        if streets and word.endswith(streets):
            grouped["aB"].add(word)
        elif word in alike:
            grouped["iN"].add(word)
        elif word in nouns:
            grouped["wG"].add(word)
        else:
            grouped["wC" if len(word) >= SHORTEST_CAPITAL else "wN"].add(word)
    functions = set(sections.get("functions", ("f", ()))[1])
    for word, symbol in closed.items():
        capital = "N" if symbol == "q" else _CAPITAL.get(symbol, "C")
        # Von dort: a particle of names is a function word too, and begins a sentence as one.
        capital = "F" if word in functions else "N" if word in alike else capital
        grouped[symbol + capital].add(word)
    grouped["II"] |= heard - set(closed)
    return grouped


def _is_noun(word: str, plain: set[str]) -> bool:
    """Whether a capitalised word is declined as nouns are: names have a genitive and no more."""
    if any(word + form in plain for form in NOUN_FORMS):
        return True
    return any(word.endswith(form) and word[: -len(form)] in plain for form in (*NOUN_FORMS, "s"))


def _is_word(word: str) -> bool:
    """Whether a line of a list is one word of Latin letters, one capital in front or none."""
    if len(word) > LONGEST_WORD or not word.isalpha() or word[1:] != word[1:].lower():
        return False
    return word.isascii() or all(
        char.isascii() or unicodedata.name(char, "").startswith("LATIN") for char in word
    )


def _parse(text: str) -> Lists:
    """Read closed lists.

    Raises:
        InputError: words stand before the first section.
    """
    sections: dict[str, tuple[str, tuple[str, ...]]] = {}
    name, symbol = "", ""
    for line in text.splitlines():
        if match := _SECTION.fullmatch(line):
            name, symbol = match[1], match[2]
            sections[name] = (symbol, ())
        elif line.strip() and not line.startswith("#"):
            if not name:
                raise InputError("closed lists begin with a section in brackets")
            sections[name] = (symbol, (*sections[name][1], *line.split()))
    return sections


def _shipped_lists(locale: str) -> str:
    """Return the closed lists shipped for a language.

    Raises:
        InputError: there are none, and a language without a grammar is not redacted by guess.
    """
    shipped = Path(__file__).with_name("vocabularies") / f"{locale}.lists"
    if not shipped.is_file():
        raise InputError(f"no closed word lists for locale {locale!r}; give them as lists")
    return shipped.read_text("utf-8")


def _english_first_names() -> set[str]:
    """Return the first names of the shipped English vocabulary; many are at home elsewhere too."""
    words = Vocabulary.load("en").words
    return {word for word, classes in words.items() if classes[1] == "I"}
