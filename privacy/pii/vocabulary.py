"""The public vocabulary: the words that may leave a device, and how each may be used.

A fleet signs the digest; two devices with the same digest mask the same. Neither the format nor the
words hold anything about a user: `vocabularies/SOURCES.md` names the public lists they come from.
"""

import gzip
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from itertools import filterfalse
from pathlib import Path
from typing import Self

from fieldvote.errors import InputError, nearest
from privacy.pii.word_table import WordTable

LOCALES = ("en",)
MAX_BYTES = 16 * 2**20
MAGIC = "fieldvote vocabulary 1 "
_STREETS = "au"  # class letters of what may end a street's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Words and their classes; see `privacy.pii.classes` for what a class letter says.

    >>> english = Vocabulary.load("en")
    >>> "meeting" in english, "zuckerberg" in english
    (True, False)

    Attributes:
        locale: Language it is for.
        digest: sha256 of the file's content, in hex; this is what is signed.
        words: Lower-case word -> its class in lower case and its class with a capital.
        streets: Those of the words that make a number before them an address.
        exact: Spelling -> class, capitals matter.
        secret_labels: Words whose value, after a colon, is a secret.
        labels: Words that may lead a line with a capital and a colon.
        suffixes: What ends a company's name.
        abbreviations: Words whose full stop ends no sentence.
        phrases: Places made of everyday words, as tuples.
        elisions: What may stand before a word with an apostrophe: l'école.
        alphabet: Letters beyond ASCII that its words are written with, in both cases.
    """

    locale: str
    digest: str
    words: Mapping[str, str] = field(repr=False)
    streets: frozenset[str] = field(repr=False)
    exact: dict[str, str] = field(repr=False)
    secret_labels: frozenset[str] = field(repr=False)
    labels: frozenset[str] = field(repr=False)
    suffixes: frozenset[str] = field(repr=False)
    abbreviations: frozenset[str] = field(repr=False)
    phrases: frozenset[tuple[str, ...]] = field(repr=False)
    elisions: frozenset[str] = field(repr=False)
    alphabet: frozenset[str] = field(repr=False)

    def __contains__(self, word: str) -> bool:
        """Whether this lower-case word may leave."""
        return self.words.get(word, "XX")[0].islower()

    @classmethod
    def load(cls, locale: str) -> "Vocabulary":
        """Return the vocabulary shipped for a language.

        Raises:
            InputError: there is none; text in that language must not leave.
        """
        if locale not in LOCALES:
            raise InputError(f"no vocabulary for locale {locale!r}; {nearest(locale, LOCALES)}")
        return _shipped(locale)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read a vocabulary from the uncompressed content of its file.

        Raises:
            InputError: it is not a vocabulary of this format.
        """
        if len(content) > MAX_BYTES or not content.startswith(MAGIC.encode()):
            raise InputError("these bytes are not a vocabulary of this format")
        try:
            decoded = content.decode("utf-8")
        except UnicodeDecodeError as err:
            raise InputError("a vocabulary is UTF-8 text") from err
        header, *lines = decoded.split("\n")
        alphabet = frozenset(() if content.isascii() else filterfalse(str.isascii, decoded))
        # A look-alike from another script, once listed, would be a word nobody can tell.
        if any(not unicodedata.name(char, "").startswith("LATIN SMALL") for char in alphabet):
            raise InputError("a vocabulary's words are of small Latin letters")
        if not header.isascii():
            raise InputError("a vocabulary's locale is a language's code")
        small: dict[str, list[str]] = {}
        words: dict[str, tuple[int, int]] = {}
        start = len(header.encode("utf-8")) + 1
        for line in lines:
            key, _, rest = line.partition(" ")
            size = len(line) if line.isascii() else len(line.encode("utf-8"))
            if len(key) == 2 and key.isalpha():
                if not rest:
                    raise InputError("a vocabulary's group of words holds none")
                words[key] = (start + len(key) + 1, start + size)
            elif line:
                small[key] = rest.split()
            start += size + 1
        exact = {word: key[1:] for key, group in small.items() if key[:1] == "=" for word in group}
        table = WordTable(content, words)
        streets = (
            (word, key)
            for key, (begin, end) in words.items()
            if key[0] in _STREETS
            for word in content[begin:end].decode("utf-8").split(" ")
        )
        return cls(
            locale=header.removeprefix(MAGIC),
            digest=sha256(content).hexdigest(),
            words=table,
            # of a word in two groups, the later one counts
            streets=frozenset(word for word, key in streets if table.get(word) == key),
            exact=exact,
            secret_labels=frozenset(small.get(":l", ())),
            labels=frozenset(small.get(":b", ())),
            suffixes=frozenset(small.get("!O", ())),
            abbreviations=frozenset(small.get(".", ())),
            elisions=frozenset(small.get("~", ())),
            alphabet=alphabet | {char.upper() for char in alphabet if len(char.upper()) == 1},
            phrases=frozenset(tuple(entry.split("_")) for entry in small.get("+", ())),
        )


@lru_cache(maxsize=len(LOCALES))
def _shipped(locale: str) -> Vocabulary:
    """Read a shipped file once."""
    packed = Path(__file__).with_name("vocabularies") / f"{locale}.txt.gz"
    return Vocabulary.from_bytes(gzip.decompress(packed.read_bytes()))
