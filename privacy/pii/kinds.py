"""What kind of thing was masked; decides the placeholder's word, never whether something leaves.

Runs only over what the grammar masked already. The pattern is RE2 (linear time on any input)
without counted repeats, which RE2 unrolls, and without groups, so that RE2 keeps to its automaton;
lengths and checksums are verified in code.
"""

import re
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from types import MappingProxyType

import re2

from privacy.pii.checksums import is_card, is_iban, is_mac, is_ssn
from privacy.pii.classes import FOLD, PUNCTUATION

PHONE_DIGITS = range(7, 16)

# start, end (relative to the run), kind
Piece = tuple[int, int, str]

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_TOP = (
    "com|org|net|edu|gov|mil|int|info|biz|io|ai|dev|app|co|uk|de|fr|it|es|nl|fi|se|no|dk|pl|cz|hu"
    "|at|ch|be|ru|jp|cn|in|au|ca|us|ie|za|br|eu|me|tv|gl|ly"
)
# Where two match at the same place, the first one does.
_PATTERNS = (
    ("EMAIL", r"[\w.+%'-]+@(?:[\w-]+\.)+\w+"),
    ("HANDLE", r"@\w+"),
    ("TAG", r"#\w*[a-z]\w*"),
    ("URL", r"(?:https?|ftp)://[^\s<>\"']+|www\.[^\s<>\"']+"),
    ("MAC", r"[0-9a-f][0-9a-f](?:[:-][0-9a-f][0-9a-f])+\b"),
    ("IP", r"\d+\.\d+\.\d+\.\d+\b|[0-9a-f]*:[0-9a-f]*:[0-9a-f:]*:[0-9a-f:.]*|::[0-9a-f:]+"),
    ("URL", rf"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:{_TOP})\b(?:[/?][^\s<>\"']*)?"),
    ("IBAN", r"[a-z][a-z]\d\d(?:[ -]?[a-z0-9])+\b"),
    (
        "DATE",
        r"\d\d?[-/.]\d\d?[-/.]\d\d(?:\d\d)?\b|\d\d\d\d[-/.]\d\d?[-/.]\d\d?\b"
        rf"|\d\d?(?:st|nd|rd|th)?[ -]{_MONTH}\b(?:[ ,-]+\d\d\d?\d?\b)?"
        rf"|{_MONTH}\.?[ -]\d\d?(?:st|nd|rd|th)?\b(?:[ ,]+\d\d\d\d\b)?"
        rf"|{_MONTH},? \d\d\d\d\b",
    ),
    ("TIME", r"\d\d?:\d\d(?::\d\d)?\s?(?:[ap]\.?m\b)?|\d\d?(?:\.\d\d)? ?[ap]m\b"),
    ("MONEY", r"[$€£¥₹]\s?\d(?:[\d.,]*\d)?[km]?\b"),
    ("NUMBER", r"\d+(?:st|nd|rd|th)\b"),
    ("NUMBER", r"[+(]*\d(?:[ .\-/()x]*\d)*"),
)
_EITHER = "(?i)" + "|".join(f"(?:{pattern})" for _, pattern in _PATTERNS)
_ANY = re2.compile(_EITHER)
# The same for ASCII, where a byte is a character and no position has to be counted out.
_ANY_ASCII = re2.compile(_EITHER.encode("utf-8"))
_WHICH = re2.Set.FullMatchSet()
for _, _pattern in _PATTERNS:
    _WHICH.Add(f"(?i){_pattern}")
_WHICH.Compile()
_HINTS = frozenset("0123456789@#:/")
_DIGITS = frozenset("0123456789")
_DIGITS_ONLY = frozenset(("NUMBER", "PHONE", "CARD", "SSN"))
# One character for one, so that positions hold; RE2 takes no lone surrogates.
_READABLE = FOLD | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_UNREADABLE = re.compile(f"[{''.join(map(chr, FOLD))}\ud800-\udfff]")
_DATE_PARTS = """am pm a.m. p.m. jan january feb february mar march apr april may jun june jul july
    aug august sep sept september oct october nov november dec december"""
_DATE_WORDS = frozenset(_DATE_PARTS.split())
_BLANKS = str.maketrans(dict.fromkeys(PUNCTUATION, " "))
# What may stand between pieces: plain punctuation and all that Unicode calls a blank.
_GLUE = PUNCTUATION + "".join(filter(str.isspace, map(chr, range(0x3001))))
_CHUNK = re.compile(r"\S+")
# What every break of a sentence or a list holds.
_BREAKS = ".,;:!?)"
_ENDS = _BREAKS + "\"'"
_ENDED = re.compile(rf"[{_ENDS}]\s")
_WORD = re.compile(r"\w+")


def split_run(
    run: str,
    *,
    streets: frozenset[str] = frozenset(),
    abbreviations: frozenset[str] = frozenset(),
) -> tuple[Piece, ...]:
    """Return the pieces of a masked run, in order; only blanks and punctuation lie between them.

    Args:
        run: Masked chunks and the blanks between them.
        streets: Words that make a number before them an address.
        abbreviations: Words whose full stop parts nothing.

    >>> split_run("Ann (555) 010-9999,")
    ((0, 3, 'NAME'), (4, 18, 'PHONE'))
    """
    if not run.isascii() and _UNREADABLE.search(run):
        run = run.translate(_READABLE)
    core = run.rstrip(PUNCTUATION)
    if _HINTS.isdisjoint(core) and "." not in core.replace(". ", ""):
        return tuple(_words(run, 0, len(core), abbreviations))
    # Most numbers are no more than digits, blanks and one hyphen or none.
    if core[0].isdigit() and core[-1].isdigit() and core.replace("-", "", 1).isdigit():
        return ((0, len(core), _number(core)),)
    if "@" not in run and not _DIGITS.isdisjoint(run):
        plain = core.replace(" ", "").isalnum()
        words = (core if plain else run.translate(_BLANKS)).lower().split()
        if not streets.isdisjoint(words):
            start = _address_start(run, streets)
            first, beyond = _trimmed(run, start, len(run))
            return (*_words(run, 0, start, abbreviations), (first, beyond, "ADDRESS"))
        if _DATE_WORDS.isdisjoint(words) and (mixed := _mixed(core, abbreviations)):
            return mixed
    # Mostly a run is one thing; asking that first is cheaper than searching.
    kind, length = _typed(core)
    if kind and length == len(core):
        return ((0, length, kind),)
    found = _peeled(core) or _structured(run)
    pieces: list[Piece] = []
    last = 0
    for piece in found:
        pieces += _words(run, last, piece[0], abbreviations)
        pieces.append(piece)
        last = piece[1]
    pieces += _words(run, last, len(run), abbreviations)
    return tuple(pieces)


def _mixed(core: str, abbreviations: frozenset[str]) -> tuple[Piece, ...]:
    """Return the pieces of single numbers among words not of dates or streets; else none."""
    pieces: list[Piece] = []
    # Where a piece of words begins and ends, if there is one; what came right before.
    first, beyond, after_number = -1, 0, False
    place = 0
    for chunk in core.split(" "):
        start, place = place, place + len(chunk) + 1
        word = chunk
        if not chunk.isalpha():
            word = chunk.lstrip(">") if first < 0 else chunk
            start = place - 1 - len(word)
            word = word.rstrip(",") if word[-1:] == "," else word.removesuffix(":")
        if word.isalpha():
            end = start + len(word)
            parted = end < place - 1
            # 12 x 4, 10 a: the number's pattern reads on over some letters. Neither J, nor Dr, ends
            # a piece; that is rare enough for the long way.
            if len(word) == 1 and (after_number or parted):
                return ()
            first, beyond, after_number = first if first >= 0 else start, end, False
            if parted:
                if word.lower() in abbreviations:
                    return ()
                pieces.append((first, beyond, _kind(core[first:beyond])))
                first = -1
        elif after_number or not (word.isdigit() and word.isascii()):
            return ()
        else:
            if first >= 0:
                pieces.append((first, beyond, _kind(core[first:beyond])))
                first = -1
            pieces.append((start, start + len(word), _number(word)))
            # No number reads on over a comma.
            after_number = start + len(word) == place - 1
    if first >= 0:
        pieces.append((first, beyond, _kind(core[first:beyond])))
    return tuple(pieces)


def _peeled(core: str) -> list[Piece]:
    """Return the one structured thing between plain words, if that is all there is."""
    chunks = [chunk for chunk in _CHUNK.finditer(core) if not _HINTS.isdisjoint(chunk[0])]
    if not chunks or not _DATE_WORDS.isdisjoint(core.lower().split()):
        return []
    start, end = chunks[0].start(), chunks[-1].end()
    middle = core[start:end].rstrip(PUNCTUATION)
    kind, length = _typed(middle)
    return [(start, start + length, kind)] if kind and length == len(middle) else []


def _address_start(run: str, streets: frozenset[str]) -> int:
    """Return where the house number or the first street word begins."""
    if run[0] in _DIGITS:
        return 0
    for chunk in _CHUNK.finditer(run):
        if not _DIGITS.isdisjoint(chunk[0]) or chunk[0].strip(PUNCTUATION).lower() in streets:
            return chunk.start()
    return 0


def _structured(run: str) -> list[Piece]:
    """Return what the pattern and the checksums recognise, disjoint and sorted."""
    found: list[Piece] = []
    at = 0
    search = (
        partial(_ANY_ASCII.search, run.encode("ascii"))
        if run.isascii()
        else partial(_ANY.search, run)
    )
    while match := search(at):
        start, end = match.span()
        kind, length = _typed(run[start:end])
        end = start + length
        # The full stop after it belongs to the sentence, and must stay to be seen.
        while end > start + 1 and is_glue(run[end - 1]):
            end -= 1
        first, beyond = _grown(run, start, end, at)
        if beyond - first > end - start and kind in _DIGITS_ONLY:
            kind = "ID"
        found.append((first, beyond, kind or "ID"))
        at = beyond
        if _HINTS.isdisjoint(run[at:]) and "." not in run[at:]:
            break
    return found


def _typed(text: str) -> tuple[str, int]:
    """Return the kind that a whole text is, and how much of it; no kind if it is none."""
    which = _WHICH.Match(text)
    if not which:
        return "", len(text)
    kind = _PATTERNS[min(which)][0]
    check = _CHECKS.get(kind)
    return check(text) if check else (kind, len(text))


def _grown(run: str, start: int, end: int, first: int) -> tuple[int, int]:
    """Grow a match over the word it stands in: half of a serial number must not be left over."""
    while start > first and not is_glue(run[start - 1]):
        start -= 1
    while end < len(run) and not is_glue(run[end]):
        end += 1
    return start, end


def is_glue(char: str) -> bool:
    """Whether a character is a blank or plain punctuation, which may stand between pieces."""
    return char in _GLUE


def _check_number(text: str) -> tuple[str, int]:
    """Tell cards, phones and the rest apart."""
    return _number(text), len(text)


def _check_url(text: str) -> tuple[str, int]:
    """Leave out the punctuation of the sentence around an address."""
    return "URL", len(text.rstrip(".,;:!?)'\""))


def _check_iban(text: str) -> tuple[str, int]:
    """Find the IBAN at the start: the pattern may have run into the next words."""
    end = len(text)
    while end > 0:
        if is_iban(text[:end]):
            return "IBAN", end
        end = text.rfind(" ", 0, end)
    return "ID", (text + " ").index(" ")


def _check_ip(text: str) -> tuple[str, int]:
    """Tell an address from a version number."""
    try:
        ip_address(text)
    except ValueError:
        return "ID", len(text)
    return "IP", len(text)


def _check_mac(text: str) -> tuple[str, int]:
    """Tell six bytes from a date or a time."""
    if is_mac(text):
        return "MAC", len(text)
    return _KINDS_BY_COLONS.get(text.count(":"), "NUMBER"), len(text)


_KINDS_BY_COLONS = MappingProxyType({1: "TIME", 2: "TIME"})
_CHECKS: MappingProxyType[str, Callable[[str], tuple[str, int]]] = MappingProxyType(
    {
        "NUMBER": _check_number,
        "IBAN": _check_iban,
        "IP": _check_ip,
        "MAC": _check_mac,
        "URL": _check_url,
    }
)


def _number(text: str) -> str:
    """Return what a run of digits and separators is."""
    digits = text if text.isdigit() else "".join(filter(str.isdigit, text))
    if len(digits) < 6:
        return "NUMBER"
    if is_card(digits):
        return "CARD"
    if is_ssn(text):
        return "SSN"
    if len(digits) in PHONE_DIGITS and (len(digits) != len(text) or len(digits) >= 10):
        return "PHONE"
    return "ID"


def _words(run: str, start: int, end: int, abbreviations: frozenset[str]) -> list[Piece]:
    """Return what has no structure, parted where a sentence or a list parts it."""
    if start == end:
        return []
    start, end = _trimmed(run, start, end)
    pieces: list[Piece] = []
    if _ENDED.search(run, start, end):
        for chunk in _CHUNK.finditer(run, start, end):
            word = _before_break(chunk[0]) if chunk.end() < end else ""
            # Dr. Smith and J. Smith are one name.
            if len(word) > 1 and word.lower() not in abbreviations:
                first, beyond = _trimmed(run, start, chunk.end())
                if first < beyond:
                    pieces.append((first, beyond, _kind(run[first:beyond])))
                start = chunk.end()
        start, end = _trimmed(run, start, end)
    if start < end:
        pieces.append((start, end, _kind(run[start:end])))
    return pieces


def _before_break(chunk: str) -> str:
    """Return the word right before the marks that end a phrase, quotes after them included."""
    if chunk[-1] not in _ENDS:
        return ""
    rest = chunk.rstrip("\"')")
    stem = rest.rstrip(_BREAKS)
    if stem == rest and chunk[len(rest) : len(rest) + 1] != ")":
        return ""
    # Read backwards, or a word that no mark follows would be tried from each of its letters.
    word = _WORD.match(stem[::-1])
    return word[0][::-1] if word else ""


def _trimmed(run: str, start: int, end: int) -> tuple[int, int]:
    """Leave out the blanks and the punctuation around a piece."""
    piece = run[start:end].lstrip(_GLUE)
    start = end - len(piece)
    return start, start + len(piece.rstrip(_GLUE))


def _kind(text: str) -> str:
    """Return what a piece without structure is: a name has a capital somebody gave it."""
    if text != text.lower():
        return "NAME"
    if any(map(str.isdigit, text)):
        return "ID"
    return "MASKED" if any(map(str.isalpha, text)) else "SYMBOL"
