"""Chunks and their codes: the half of the redactor that looks at one chunk alone."""

import unicodedata

from privacy.pii.classes import END, ENTITIES, FOLD, FOLDED, FORBIDDEN, JOINTS, LINE, PUNCTUATION
from privacy.pii.vocabulary import Vocabulary

LINE_CHUNK, END_CHUNK = "\n", ""
CACHE_ENTRIES = 200_000
LONGEST_CACHED_CHUNK = 64
# Every joint as a blank, so that one split finds the parts of a compound.
_SPLIT = str.maketrans(dict.fromkeys(JOINTS, " "))
_DIGITS = "0123456789"
_DIGITS_AND_FORBIDDEN = frozenset(_DIGITS + FORBIDDEN)


class ChunkCodes(dict[str, str]):
    """Chunk -> class letter and mark, found on first use and remembered in memory only.

    What it learns is raw private text, so it is bounded and dropped whole when full. The ends of
    lines and documents are entries too; both spellings cannot come out of a split at blanks.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        exact = vocabulary.exact
        # What is no plain word, whatever it looks like; compared in lower case.
        self._special = vocabulary.suffixes | vocabulary.abbreviations
        self._special |= {word.strip(PUNCTUATION).lower() for word in exact}
        self._numeric = "" if any(word[-1] in _DIGITS for word in exact) else _DIGITS
        self._forget()

    def __missing__(self, chunk: str) -> str:
        # The commonest shapes first, as classify would: 123 a-1, then word Word WORD and , or .
        last = chunk[-1]
        word, mark = (chunk[:-1], last) if last in ",." else (chunk, " ")
        if last in self._numeric:
            code = "D "
        elif word.isalpha() and word.isascii() and len(word) > 1:
            lower = word.lower()
            if lower in self._special:
                code = classify(chunk, self.vocabulary)
            else:
                classes = self.vocabulary.words.get(lower)
                if classes is None:
                    code = ("Y" if word == lower else "X") + mark
                elif word == lower:
                    code = classes[0] + mark
                else:
                    # One capital, in front.
                    code = (classes[1] if word[1:] == lower[1:] or classes == "II" else "X") + mark
        else:
            code = classify(chunk, self.vocabulary)
        if len(chunk) <= LONGEST_CACHED_CHUNK:
            if len(self) >= CACHE_ENTRIES:
                self._forget()
            self[chunk] = code
        return code

    def _forget(self) -> None:
        """Drop what was learned."""
        self.clear()
        self[LINE_CHUNK], self[END_CHUNK] = LINE, END


def classify(chunk: str, vocabulary: Vocabulary) -> str:
    """Return class and mark of one chunk; see `privacy.pii.classes`.

    Args:
        chunk: Not empty, without blanks.
        vocabulary: What may leave.

    >>> english = Vocabulary.load("en")
    >>> [classify(chunk, english) for chunk in ("meeting,", "Meeting", "Zuckerberg", "4th", "Dr.")]
    ['w,', 'C ', 'X ', 'D ', 't ']
    """
    text = chunk if chunk.isascii() or not FOLDED.search(chunk) else chunk.translate(FOLD)
    if not text.isascii() and not _at_home(text, vocabulary):
        return _foreign(text, vocabulary)
    if text in ENTITIES:
        return "z "
    if text in ("#", "@"):
        return "H "
    core = text.strip(PUNCTUATION)
    tail = text[len(text.rstrip(PUNCTUATION)) :] if core else text
    mark = _mark(tail)
    if not core:
        # Control characters are no punctuation: they stay, and never reach this line as a core.
        return "z" + (mark if mark == "." else " ")
    if not text.isprintable():
        return "D "
    if kind := vocabulary.exact.get(text) or vocabulary.exact.get(core):
        return _exact(kind, core, mark)
    if not _DIGITS_AND_FORBIDDEN.isdisjoint(text):
        # "3." counts an item of a list; it ends no sentence.
        return "D" + ("," if mark == "." and len(core) < 3 else mark)
    lower = core.lower()
    if len(core) == 1 and core.isalpha():
        kind = vocabulary.words.get(lower, "JJ")[core.isupper()]
        # "u." may end a sentence, but before a number it is a street: the grammar looks.
        return kind + (mark if kind in "yF" else " ")
    return _word(core, lower, mark, vocabulary)


def _word(core: str, lower: str, mark: str, vocabulary: Vocabulary) -> str:
    """Return the code of a chunk of letters and joints."""
    words = vocabulary.words
    # The full stop of an abbreviation, or after dotted initials, ends no sentence.
    if mark == "." and (lower in vocabulary.abbreviations or "." in core):
        mark = " "
    if lower in vocabulary.suffixes:
        return "O" + ("," if mark == "," else " ")
    capital = core[0].isupper()
    if mark == ":" and lower in vocabulary.secret_labels:
        return "l:"
    if mark == ":" and capital and lower in vocabulary.labels:
        return "b:"
    base = lower
    if lower[-2:] == "'s" and words.get(lower, "wX")[0] not in "fkre":
        base, mark = lower[:-2], "'" if mark == " " else mark
    elif lower[-1:] == "'":
        base, mark = lower[:-1], "'" if mark == " " else mark
    # key:value without a blank: the value is somebody's.
    glued = ":" in base or "=" in base
    classes = "XX" if glued else words.get(base) or _compound(base, vocabulary)
    if classes == "II":
        return "I" + mark
    if not classes[0].islower():
        return ("X" if core[: len(base)] != base else "Y") + mark
    if core[: len(base)] == base:
        return classes[0] + mark
    if not capital or core[1 : len(base)] != base[1:]:
        return "X" + mark
    # Uncle's is somebody's uncle: titles and function words keep a capital only as they stand.
    return ("N" if classes[1] in "tF" and base != lower else classes[1]) + mark


def _compound(base: str, vocabulary: Vocabulary) -> str:
    """Return the classes of well-known, and/or, wait...what: every part must be allowed."""
    parts = base.replace("..", " ").translate(_SPLIT).split()
    if vocabulary.elisions:
        parts = [part for whole in parts for part in _unelided(whole, vocabulary)]
    if not parts or any(part not in vocabulary for part in parts):
        return "XX"
    # Letters spelled out one by one say what the word list cannot see.
    if sum(len(part) == 1 for part in parts) > 1:
        return "XX"
    return "wC"


def _unelided(word: str, vocabulary: Vocabulary) -> list[str]:
    """Return the word behind an elision: école of l'école."""
    head, apostrophe, rest = word.partition("'")
    return [rest] if apostrophe and rest and head in vocabulary.elisions else [word]


def _at_home(text: str, vocabulary: Vocabulary) -> bool:
    """Whether the vocabulary's own letters are all there is beyond ASCII."""
    if not vocabulary.alphabet:
        return False
    return all(char.isascii() or char in vocabulary.alphabet for char in text)


def _exact(kind: str, core: str, mark: str) -> str:
    """Return the code of a spelling that is listed as it stands."""
    title = core in ("Mr", "Mrs", "Ms", "Dr", "Miss")
    return ("t" if title else kind) + (" " if mark == "." and title else mark)


def _mark(tail: str) -> str:
    """Return what the punctuation at the end of a chunk means."""
    if "." in tail or "!" in tail or "?" in tail:
        return "."
    if "," in tail or ";" in tail or ")" in tail:
        return ","
    return ":" if ":" in tail else " "


def _foreign(text: str, vocabulary: Vocabulary) -> str:
    """Return the code of a chunk that is not ASCII: always masked, only its class varies.

    Look-alikes and full-width letters are folded to choose the class, never to release.
    """
    folded = unicodedata.normalize("NFKC", text)
    core = folded
    if not folded.isalpha():
        if any(char.isdigit() or char in FORBIDDEN for char in folded):
            return "D "
        core = folded.strip(PUNCTUATION)
        letters = "".join(filter(str.isalpha, folded))
        if not letters:
            return "D "
    else:
        letters = folded
    mark = "," if text[-1] in ",;)" else " "
    if len(core) == 1:
        return "J" + mark
    if vocabulary.words.get(core.lower()) == "II":
        return "I" + mark
    return ("X" if letters[0].isupper() else "Y") + mark
