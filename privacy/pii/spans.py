"""What a redaction says about itself: where something was masked, and what kind of thing it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

KINDS = (
    "ACCOUNT",
    "ADDRESS",
    "AGE",
    "CARD",
    "COORDINATES",
    "DATE",
    "EMAIL",
    "HANDLE",
    "IBAN",
    "ID",
    "IP",
    "LOCATION",
    "MAC",
    "MASKED",
    "MONEY",
    "NAME",
    "NUMBER",
    "ORG",
    "PASSWORD",
    "PERSON",
    "PHONE",
    "SECRET",
    "SSN",
    "SYMBOL",
    "TAG",
    "TIME",
    "URL",
    "USERNAME",
    "VEHICLE",
)


class Span(NamedTuple):
    """A piece of a text, in code points.

    Attributes:
        start: First character.
        end: One past the last.
        kind: One of KINDS in a redaction; the broken rule in a second scan.
    """

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Redaction:
    """A text that may leave, and what was masked in the text it came from.

    Attributes:
        text: With placeholders like [PERSON_1]; same original, same placeholder.
        spans: Sorted and disjoint, in code points of the original; the rest left verbatim.
    """

    text: str
    spans: tuple[Span, ...]


def identity(text: str) -> str:
    """Return what makes two masked pieces the same: neither case, blanks nor a possessive.

    >>> identity("Ann  Smith's"), identity("ANN SMITH")
    ('ann smith', 'ann smith')
    """
    plain = text.lower()
    if "  " in plain or not plain.isprintable():
        plain = " ".join(plain.split())
    return plain[:-2] if plain.endswith(_POSSESSIVES) else plain


_POSSESSIVES = ("'s", "’s")


def placeholders(original: str, spans: Sequence[Span]) -> tuple[str, ...]:
    """Return the placeholder of each span: numbered by kind, in order of first appearance.

    >>> placeholders("Ann met Bob, Ann", [Span(0, 3, "NAME"), Span(8, 11, "NAME"),
    ...                                   Span(13, 16, "NAME")])
    ('[NAME_1]', '[NAME_2]', '[NAME_1]')
    """
    known: dict[tuple[str, str], str] = {}
    counts: dict[str, int] = {}
    found = []
    for start, end, kind in spans:
        key = (kind, identity(original[start:end]))
        if key not in known:
            counts[kind] = counts.get(kind, 0) + 1
            known[key] = f"[{kind}_{counts[kind]}]"
        found.append(known[key])
    return tuple(found)


def assemble(original: str, spans: Sequence[Span]) -> str:
    """Return original with each span replaced by its placeholder.

    >>> assemble("Ann left", [Span(0, 3, "NAME")])
    '[NAME_1] left'
    """
    if not spans:
        return original
    parts: list[str] = []
    last = 0
    for span, placeholder in zip(spans, placeholders(original, spans), strict=True):
        parts += (original[last : span.start], placeholder)
        last = span.end
    parts.append(original[last:])
    return "".join(parts)
