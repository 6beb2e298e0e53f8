"""Levels: of all that strict mode masks, what `high` and `balanced` mask too.

Strict mode masks what it does not know. The other modes ask for a reason: `high` lets a lone oddity
go (a small number, a typing error, a word in capitals), `balanced` keeps only what something beside
it says is a name. Detectors add what has a form of its own; see `privacy.pii.patterns`.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from privacy.pii.bits import Chunks
from privacy.pii.classes import PUNCTUATION
from privacy.pii.vocabulary import Vocabulary

# Chunks, their codes, what strict mode masks -> what this level masks, as `privacy.pii.bits`.
Level = Callable[[Sequence[str], bytes, int, Vocabulary], int]
SMALL_NUMBER_DIGITS = 3


def everything(_: Sequence[str], __: bytes, masked: int, ___: Vocabulary) -> int:
    """Keep all that strict mode masks."""
    return masked


def likely(chunks: Sequence[str], codes: bytes, masked: int, vocabulary: Vocabulary) -> int:
    """Let go of lone chunks that are odd, but no name: 12, teh, LOUD, an emoji."""
    kept = masked
    lone = masked & ~(masked << 1) & ~(masked >> 1)
    known = Chunks(codes)
    for place in _places(lone & known.any("XYD"), len(chunks)):
        if _harmless(chunks[place], chr(codes[2 * place]), vocabulary):
            kept &= ~(1 << (len(chunks) - place - 1))
    # What balanced has a reason to keep is no oddity: call PLEASE may name somebody.
    return kept | evident(chunks, codes, masked, vocabulary)


def evident(chunks: Sequence[str], codes: bytes, masked: int, vocabulary: Vocabulary) -> int:
    """Keep names that something vouches for: a first name, a title, a cue, a company's suffix."""
    known = Chunks(codes)
    at, plain = known.at, known.plain
    names = masked & known.any("XINCBJ")
    joined = plain | known.possessive
    unknown = names & known.any("XIJ")
    seeds = at["I"] & masked
    # Mr Bell; named Bell; the initial of J. Bell.
    vouching = known.any("tk") | at["b"]
    seeds |= names & (vouching >> 1)
    seeds |= names & ((at["J"] & names) >> 1)
    # Two unknown capitals in a row; a name-like word before an unknown one.
    seeds |= (unknown & plain & (names << 1)) | (unknown & ((unknown & plain) >> 1))
    seeds |= at["N"] & masked & plain & (unknown << 1)
    # Bell Inc; Bell University; at Bell, in Bell: not at the start of a sentence.
    seeds |= masked & known.any("OxB") & ((names & joined) >> 1)
    seeds |= unknown & ((known.any("h") | _prepositions(chunks)) >> 1)
    # 12 Bell, the number of a house.
    seeds |= at["D"] & plain & (names << 1)
    kept = seeds
    links = masked & known.any("XINCBJODaouqcbtx")
    for _ in range(6):
        kept |= links & (((kept & joined) >> 1) | (joined & (kept << 1)))
    return kept & masked


_BEFORE_NAMES = """in at from near to with by met ask tell call dear hi hello hey thanks and my his
    her von aus bei nach mit herr frau de chez avec con desde para en à dans bij unter"""
_PLACE_WORDS = frozenset(_BEFORE_NAMES.split())


def _prepositions(chunks: Sequence[str]) -> int:
    """Return the bits of words that names follow."""
    return int("".join("01"[chunk.lower() in _PLACE_WORDS] for chunk in chunks) or "0", 2)


def _harmless(chunk: str, letter: str, vocabulary: Vocabulary) -> bool:
    """Whether a chunk between two that may leave is more likely an oddity than a name."""
    core = chunk.strip(PUNCTUATION)
    if letter == "D":
        alphanumeric = [char for char in chunk if char.isalnum()]
        return len(alphanumeric) <= SMALL_NUMBER_DIGITS and chunk.isascii() and core.isdigit()
    if letter == "Y":
        return core.isascii() and core.isalpha()
    classes = vocabulary.words.get(core.lower(), "XX")
    return core.isupper() and len(core) > 1 and classes[1] in "CF"


def _places(bits: int, size: int) -> list[int]:
    """Return the positions of the ones, first chunk first."""
    text = f"{bits:0{size}b}" if size else ""
    found, place = [], text.find("1")
    while place >= 0:
        found.append(place)
        place = text.find("1", place + 1)
    return found


LEVELS: Mapping[str, Level] = MappingProxyType(
    {"balanced": evident, "high": likely, "strict": everything}
)
