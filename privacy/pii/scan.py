"""The second scan: looks at outgoing text with other eyes than the redactor's.

It shares the signed vocabulary with the redactor and nothing else: no token classes, no grammar,
no cache, its own way to cut a text into words. So a bug or a tampered rule over there does not open
the door here. It knows no original text; it checks what must hold of any text that leaves:

1. outside placeholders, every word is ASCII (typographic quotes, dashes and dots aside);
2. no digit, @, _, # or backslash, no control character;
3. every word, and every part of a compound, is in the vocabulary;
4. capitals stand only where a sentence starts, on function words, titles and listed spellings.
"""

import re

from privacy.pii.spans import KINDS, Span
from privacy.pii.vocabulary import Vocabulary

# Longest first, so that no kind hides behind its own prefix.
_PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(sorted(KINDS, key=len, reverse=True))})_[1-9][0-9]*\]")
_ENTITY = re.compile(r"(?<!\S)&(?:amp|lt|gt|quot|nbsp);(?!\S)")
_TOKEN = re.compile(r"\S+")
_WORD = re.compile(r"[^\W\d_]+(?:['.][^\W\d_]+)*")
_ENDS_SENTENCE = re.compile(r"[.!?][^\w\s]*$")
_TYPOGRAPHIC = {ord(sign): "'" for sign in "\u2018\u2019\u201a\u2032\u00b4\u02bc"}
_TYPOGRAPHIC |= {ord(sign): '"' for sign in "\u201c\u201d\u201e\u00ab\u00bb\u2033"}
_TYPOGRAPHIC |= {ord(sign): "-" for sign in "\u2010\u2013\u2014\u2015\u2212\u2022\u00b7"}
_TYPOGRAPHIC |= {ord("\u2026"): ".", ord("\u00bf"): "?", ord("\u00a1"): "!"}
# Classes of the vocabulary whose words keep a capital anywhere.
_ANYWHERE = frozenset("FGt")


def second_scan(text: str, vocabulary: Vocabulary) -> tuple[Span, ...]:
    """Return what must not leave; empty for what the redactor wrote.

    Args:
        text: What is about to leave, placeholders included.
        vocabulary: The signed one.

    Returns:
        Spans in code points of text, sorted, disjoint; the kind is the rule that is broken:
        NOT_ASCII, CONTROL, DIGIT, SYMBOL, UNKNOWN_WORD or CAPITAL.

    >>> second_scan("Please call [NAME_1].", Vocabulary.load("en"))
    ()
    >>> second_scan("Please call Zuckerberg 4", Vocabulary.load("en"))
    (Span(start=12, end=22, kind='UNKNOWN_WORD'), Span(start=23, end=24, kind='DIGIT'))
    """
    # Same length, so that positions hold: a placeholder ends no sentence and is no word.
    rest = _PLACEHOLDER.sub(lambda match: "\x00" * len(match[0]), text.replace("\x00", "\x01"))
    rest = _ENTITY.sub(lambda match: " " * len(match[0]), rest)
    rest = rest.translate(_TYPOGRAPHIC)
    found, starts = [], True
    for token in _TOKEN.finditer(rest):
        body = token[0].replace("\x00", " ")
        rule = _broken_rule(body, vocabulary, starts=starts)
        if rule:
            found.append(Span(token.start(), token.end(), rule))
        said = any(char.isalnum() or char == "\x00" for char in token[0])
        starts = bool(_ENDS_SENTENCE.search(body)) or (starts and not said)
    return tuple(found)


def structured_scan(text: str) -> tuple[Span, ...]:
    """Return what still looks like an address or a number of somebody; for the other modes.

    `high` and `balanced` let unknown words go, so the vocabulary cannot judge what they write. What
    has a form of its own must be gone all the same, and is looked for here by form alone: no table,
    no checksum, no context.

    Returns:
        Spans in code points of text, sorted, disjoint; the kind is EMAIL, URL or DIGITS.

    >>> structured_scan("mail [EMAIL_1] or ann@example.com")
    (Span(start=18, end=33, kind='EMAIL'),)
    """
    rest = _PLACEHOLDER.sub(lambda match: "\x00" * len(match[0]), text.replace("\x00", "\x01"))
    found: list[Span] = []
    for kind, form in _FORMS:
        for match in form.finditer(rest):
            if sum(char.isdigit() for char in match[0]) >= LONG_NUMBER or kind != "DIGITS":
                found.append(Span(*match.span(), kind))
                rest = f"{rest[: match.start()]}{' ' * len(match[0])}{rest[match.end() :]}"
    return tuple(sorted(found))


LONG_NUMBER = 7  # digits
_FORMS = (
    ("EMAIL", re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")),
    ("URL", re.compile(r"\w+://[^\s\x00]+|\bwww\.\w[^\s\x00]*")),
    ("DIGITS", re.compile(r"[0-9](?:[ ()/.-]*[0-9])+")),
)


def _broken_rule(token: str, vocabulary: Vocabulary, *, starts: bool) -> str:
    """Return the first rule a token breaks, or nothing."""
    letters = vocabulary.alphabet
    if not all(char.isascii() or char in letters for char in token):
        return "NOT_ASCII"
    if not token.isprintable():
        return "CONTROL"
    if any("0" <= char <= "9" for char in token):
        return "DIGIT"
    if any(char in "@_#\\" for char in token):
        return "SYMBOL"
    # Look-alikes are gone by now: what is a letter is one of the vocabulary's.
    for word in _WORD.findall(token):
        if not _known(word, vocabulary):
            return "UNKNOWN_WORD"
        if word != word.lower() and not _capital_allowed(word, vocabulary, starts=starts):
            return "CAPITAL"
    return ""


def _known(word: str, vocabulary: Vocabulary) -> bool:
    """Whether a word, as it stands or without its possessive, is in the vocabulary."""
    lower = word.lower()
    if word in vocabulary.exact or lower in vocabulary or lower in vocabulary.labels:
        return True
    if lower in vocabulary.secret_labels or lower.removesuffix("'s") in vocabulary:
        return True
    # What is left of a word cut at an apostrophe or dots: 'll, wait..., e.g.
    return f"'{lower}" in vocabulary.exact or all(
        part in vocabulary for part in re.split(r"[.']", lower)
    )


def _capital_allowed(word: str, vocabulary: Vocabulary, *, starts: bool) -> bool:
    """Whether a word may carry its capitals here."""
    lower = word.lower()
    if word in vocabulary.exact or lower in vocabulary.labels or lower in vocabulary.secret_labels:
        return True
    base = lower.removesuffix("'s")
    if word[1:] != word[1:].lower():
        return False
    classes = vocabulary.words.get(lower) or vocabulary.words.get(base, "XX")
    return starts or classes[1] in _ANYWHERE
