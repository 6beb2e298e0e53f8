"""The audit of a rehearsal: how many planted strings crossed in clear.

It reads the bytes that left the devices and knows nothing of how they were made, so no code path
can talk it into silence. It looks for text as text; encodings that hide letters (compression,
base64) are for the doors to forbid.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_TOKEN = re.compile(r"[^\W_]+")
_RUN = re.compile(rb"[0-9a-z]+")
_DISTINCTIVE = 4
_SHORT = 6
_TEXT_RUN = 16
_GRAM_BITS = 16

# upper-case letters become lower; every byte that is not an ASCII letter or digit ends a token
_FOLD = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))
_IN_TOKEN = np.array([chr(byte).isalnum() and byte < 128 for byte in range(256)])
_PRINTABLE = np.array([32 <= byte < 127 or byte in (9, 10, 13) for byte in range(256)])
_KEEP = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF], dtype=np.uint32)


class PublicWords(Protocol):
    """The words that anyone may see: a set, or the signed vocabulary."""

    def __contains__(self, word: str, /) -> bool:
        """Tell whether a lower-case word is public."""


@dataclass(frozen=True, slots=True)
class _Form:
    """One spelling to look for: where its longest run of plain letters and digits starts."""

    spelling: bytes
    anchor: int
    planted: int


@dataclass(frozen=True, slots=True)
class _Index:
    """Everything to look for.

    Attributes:
        forms: By anchor; those without a plain letter or digit are under the empty anchor.
        table: Bits that are set where an anchor hashes to. Shape (2¹⁶,).
    """

    forms: Mapping[bytes, Sequence[_Form]]
    table: NDArray[np.bool_]


def count_leaks(planted: Sequence[str], public_words: PublicWords, chunks: Iterable[bytes]) -> int:
    """Return how many planted strings crossed in clear.

    A string has leaked if it stands whole, or any distinctive token of it stands, as a whole token
    in one chunk, whatever the case of its letters. A token is distinctive if it has four characters
    or more and holds a digit or is not a public word. A string that is one public word says nothing
    and never counts.

    In a chunk that is not text (tensors, ciphertext), four or five given letters occur by chance
    every few megabytes. There a spelling under six bytes counts only where it stands among sixteen
    printable bytes, or, from five bytes on, right after its own length as msgpack writes it. Over
    30 MB of noise and 3,000 strings that leaves fewer than one false alarm in a hundred runs.

    Args:
        planted: The strings that must not cross; each position counts once at most.
        public_words: Lower-case words that anyone may see.
        chunks: What crossed. A string is found where it lies within one chunk.

    >>> count_leaks(["Omar Haddad", "May"], {"may"}, [b"ask Mr HADDAD in may"])
    1
    """
    index = _index(planted, public_words)
    leaked: set[int] = set()
    for chunk in chunks:
        if chunk:
            _scan(chunk, index, leaked)
    return len(leaked)


def _spellings(text: str, public_words: PublicWords) -> set[str]:
    """Return what gives this planted string away: itself, and its distinctive tokens."""
    tokens = _TOKEN.findall(text)
    telling = {
        token
        for token in tokens
        if len(token) >= _DISTINCTIVE
        and (any(map(str.isdigit, token)) or token.lower() not in public_words)
    }
    whole = text.strip()
    says_nothing = not tokens or (len(tokens) == 1 and tokens[0].lower() in public_words)
    return telling if says_nothing else telling | {whole}


def _index(planted: Sequence[str], public_words: PublicWords) -> _Index:
    """Return every form to look for by its anchor, the run of bytes that is looked up first."""
    by_anchor: defaultdict[bytes, list[_Form]] = defaultdict(list)
    for position, text in enumerate(planted):
        forms = {
            # letters beyond ASCII are not folded byte by byte, so their usual cases are listed
            cased.encode().translate(_FOLD)
            for spelling in _spellings(text, public_words)
            for cased in (spelling, spelling.lower(), spelling.upper(), spelling.title())
        }
        for form in forms:
            runs = list(_RUN.finditer(form))
            anchor = max(runs, key=lambda run: len(run[0])) if runs else None
            key, start = (anchor[0], anchor.start()) if anchor else (b"", 0)
            by_anchor[key].append(_Form(form, start, position))
    anchors = sorted(key for key in by_anchor if key)
    table = np.zeros(1 << _GRAM_BITS, dtype=np.bool_)
    grams = np.frombuffer(b"".join(key[:4].ljust(4, b"\0") for key in anchors), dtype="<u4")
    table[_slot(grams, np.array([len(key) for key in anchors], dtype=np.int64))] = True
    return _Index(by_anchor, table)


def _scan(chunk: bytes, index: _Index, leaked: set[int]) -> None:
    """Add to leaked the positions of the planted strings that stand in this chunk."""
    folded = chunk.translate(_FOLD)
    is_text = _is_text(chunk)
    for start, end in _candidates(folded, index.table):
        for form in index.forms.get(folded[start:end], ()):
            if form.planted in leaked:
                continue
            begin = start - form.anchor
            if begin >= 0 and _stands(folded, begin, form.spelling, is_text):
                leaked.add(form.planted)
    for form in index.forms.get(b"", ()):
        begin = folded.find(form.spelling)
        while begin >= 0 and form.planted not in leaked:
            if _stands(folded, begin, form.spelling, is_text):
                leaked.add(form.planted)
            begin = folded.find(form.spelling, begin + 1)


def _candidates(folded: bytes, table: NDArray[np.bool_]) -> Iterable[tuple[int, int]]:
    """Return start and end of each run of letters and digits that may be an anchor.

    A run's first four bytes and its length are looked up in a table of bits; that lets about one
    run in a hundred of ordinary text through to the exact comparison.
    """
    data = np.frombuffer(folded + bytes(4), dtype=np.uint8)
    inside = _IN_TOKEN[data]
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    if inside[0]:
        edges = np.concatenate(([0], edges))
    # the padding ends the last run, so edges come in pairs
    starts, ends = edges[0::2], edges[1::2]
    grams = np.zeros(len(starts), dtype=np.uint32)
    for place in range(4):
        grams |= data[starts + place].astype(np.uint32) << np.uint32(8 * place)
    lengths = ends - starts
    passed = table[_slot(grams & _KEEP[np.minimum(lengths, 4)], lengths)]
    return zip(starts[passed].tolist(), ends[passed].tolist(), strict=True)


def _slot(grams: NDArray[np.uint32], lengths: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return where in the table a run of these first bytes and this length has its bit."""
    mixed = grams * np.uint32(0x9E3779B1) + lengths.astype(np.uint32) * np.uint32(0x85EBCA6B)
    return mixed >> np.uint32(32 - _GRAM_BITS)


def _is_text(chunk: bytes) -> bool:
    """Tell text from tensors and ciphertext."""
    try:
        chunk.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in chunk


def _stands(folded: bytes, begin: int, spelling: bytes, is_text: bool) -> bool:
    """Tell whether the spelling stands here as whole tokens, and not by chance."""
    end = begin + len(spelling)
    if not folded.startswith(spelling, begin):
        return False
    if _joined(folded, begin) or _joined(folded, end):
        return False
    if is_text or len(spelling) >= _SHORT:
        return True
    if len(spelling) > _DISTINCTIVE and begin and folded[begin - 1] == 0xA0 | len(spelling):
        return True
    around = folded[max(0, begin - _TEXT_RUN) : end + _TEXT_RUN]
    return _longest_printable(around, min(begin, _TEXT_RUN)) >= _TEXT_RUN


def _joined(folded: bytes, border: int) -> bool:
    """Tell whether the bytes on both sides of a border are of one token."""
    return 0 < border < len(folded) and bool(
        _IN_TOKEN[folded[border - 1]] & _IN_TOKEN[folded[border]]
    )


def _longest_printable(around: bytes, inside: int) -> int:
    """Return the length of the printable run that holds the byte at this position."""
    printable = [bool(_PRINTABLE[byte]) for byte in around]
    left = inside
    while left > 0 and printable[left - 1]:
        left -= 1
    right = inside
    while right < len(printable) and printable[right]:
        right += 1
    return right - left
