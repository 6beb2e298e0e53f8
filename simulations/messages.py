"""Short messages of forty people who do not exist, with the place of every made-up detail known.

A twin of a spam corpus for demonstrations and redaction audits: two classes, the rarer of them
offers nobody asked for, and in both classes names, numbers and addresses whose exact spans are
recorded. Each person has their own friends, topics, words and way of writing, so devices differ as
people do.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from fieldvote.errors import InputError
from fieldvote.rng import stream
from simulations.dataset import Dataset, PlantedSpan
from simulations.message_grammar import (
    ABBREVIATIONS,
    CLOSERS,
    EITHER,
    FILLERS,
    OFFER_CLOSERS,
    OFFERS,
    OPENERS,
    ORDINARY,
)
from simulations.word_lists import (
    AREA_CODES,
    BRITISH_FICTION,
    CARD_PREFIXES,
    FIRST_NAMES,
    LAST_NAMES,
    MAIL_DOMAINS,
    MONTHS,
    STREETS,
)

CLASSES = ("ordinary", "offer")
_DEVICES = 40
_OFFER_SHARE = 0.16
_EITHER_SHARE = (0.012, 0.05)
"""How often an ordinary message, and an offer, says nothing that tells it from the other."""
_TYPO_SHARE = 0.03
_SLOT = re.compile(r"\{(\w+)\}")
_BIRTHDAYS_FROM = date(1950, 1, 1)
_BIRTHDAYS_DAYS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    """Whose phone it is: friends they write about and habits they write with."""

    friends: tuple[str, ...]
    topics: np.ndarray[tuple[int], np.dtype[np.float64]]
    offer_share: float
    hurried: float
    lower: bool
    opener: str
    closer: str


def generate_messages(seed: int, items: int = 4000) -> Dataset:
    """Return messages with their classes, devices and planted spans.

    Args:
        seed: The same seed gives the same messages.
        items: How many messages, n. At least four for each of the 40 devices.

    Raises:
        InputError: Too few messages for every device to hold some.
    """
    if items < 4 * _DEVICES:
        raise InputError(f"{items} messages for {_DEVICES} devices; ask for {4 * _DEVICES} or more")
    rng = stream(seed, "messages")
    sizes = rng.multinomial(items - 4 * _DEVICES, rng.dirichlet(np.full(_DEVICES, 6.0))) + 4
    texts: list[str] = []
    labels: list[int] = []
    planted: list[tuple[PlantedSpan, ...]] = []
    for device, size in enumerate(sizes):
        rng = stream(seed, "messages", device)
        person = _person(rng)
        for _ in range(size):
            label = int(rng.random() < person.offer_share)
            text, spans = _message(person, label, rng)
            texts.append(text)
            labels.append(label)
            planted.append(spans)
    return Dataset(
        name="messages",
        classes=CLASSES,
        labels=np.array(labels, dtype=np.int64),
        device=np.repeat(np.arange(_DEVICES, dtype=np.int64), sizes),
        texts=tuple(texts),
        planted=tuple(planted),
    )


def _person(rng: np.random.Generator) -> _Person:
    """Draw a person's friends and habits."""
    return _Person(
        friends=tuple(_name(rng) for _ in range(12)),
        topics=rng.dirichlet(np.full(len(ORDINARY), 0.7)),
        offer_share=_OFFER_SHARE * rng.uniform(0.4, 1.6),
        hurried=rng.choice([0.0, 0.3, 0.9]),
        lower=bool(rng.random() < 0.5),
        opener=_pick(OPENERS, rng),
        closer=_pick(CLOSERS, rng),
    )


def _message(
    person: _Person, label: int, rng: np.random.Generator
) -> tuple[str, tuple[PlantedSpan, ...]]:
    """Write one message and note where its planted details stand."""
    text = ""
    spans: list[PlantedSpan] = []
    pattern = _offer(rng) if label else _ordinary(person, rng)
    if rng.random() < _EITHER_SHARE[label]:
        pattern = _pick(EITHER, rng)
    for position, piece in enumerate(_SLOT.split(pattern)):
        # re.split alternates: what stands between slots, the name of a slot, and so on
        if position % 2 == 0:
            text += _typed(piece, rng)
        elif piece in _DETAILS:
            value, kind = _DETAILS[piece](person, rng)
            spans.append(PlantedSpan(len(text), len(text) + len(value), kind))
            text += value
        else:
            text += _code(rng) if piece == "code" else _pick(FILLERS[piece], rng)
    return text, tuple(spans)


def _ordinary(person: _Person, rng: np.random.Generator) -> str:
    """Put together what this person would write or be written."""
    topics = list(ORDINARY.values())
    parts = [
        _pick(topics[int(rng.choice(len(topics), p=person.topics))], rng)
        for _ in range(1 + int(rng.random() < 0.3))
    ]
    if rng.random() < 0.35:
        parts.insert(0, person.opener if rng.random() < 0.7 else _pick(OPENERS, rng))
    if rng.random() < 0.3:
        parts.append(person.closer if rng.random() < 0.7 else _pick(CLOSERS, rng))
    pattern = _pick((", ", ". ", " "), rng).join(parts)
    if rng.random() < person.hurried:
        for long, short in ABBREVIATIONS:
            pattern = pattern.replace(long, short)
    if person.lower or not pattern[0].isalpha():
        return pattern
    return pattern[0].upper() + pattern[1:]


def _offer(rng: np.random.Generator) -> str:
    """Put together what a sender of offers would write."""
    topic = _pick(tuple(OFFERS), rng)
    parts = [_pick(OFFERS[topic], rng)]
    if topic != "friendly" and rng.random() < 0.5:
        parts.append(_pick(OFFER_CLOSERS, rng))
    pattern = _pick((". ", "! ", " - "), rng).join(parts)
    return pattern.lower() if rng.random() < 0.15 else pattern


def _name(rng: np.random.Generator) -> str:
    """Return a first and a last name."""
    return f"{_pick(FIRST_NAMES, rng)} {_pick(LAST_NAMES, rng)}"


def _person_detail(person: _Person, rng: np.random.Generator) -> tuple[str, str]:
    """Name a friend, mostly by both names, sometimes by the first alone, sometimes a stranger."""
    name = _pick(person.friends, rng) if rng.random() < 0.6 else _name(rng)
    return (name if rng.random() < 0.7 else name.split()[0]), "PERSON"


def _phone_detail(person: _Person, rng: np.random.Generator) -> tuple[str, str]:
    """Return a number from a range kept for fiction, in one of the usual ways of writing it."""
    if rng.random() < 0.4:
        area, last = _pick(AREA_CODES, rng), f"555-01{rng.integers(100):02d}"
        return _pick((f"({area}) {last}", f"{area}-{last}", f"+1 {area} {last}"), rng), "PHONE"
    number = f"{_pick(BRITISH_FICTION, rng)}{rng.integers(1000):03d}"
    return _pick((number, number.replace(" ", ""), f"+44 {number[1:]}"), rng), "PHONE"


def _email_detail(person: _Person, rng: np.random.Generator) -> tuple[str, str]:
    """Return an address under a domain reserved for examples."""
    first, last = _name(rng).lower().split()
    local = _pick((f"{first}.{last}", f"{first[0]}{last}", f"{last}{rng.integers(10, 99)}"), rng)
    return f"{local}@{_pick(MAIL_DOMAINS, rng)}", "EMAIL"


def _address_detail(person: _Person, rng: np.random.Generator) -> tuple[str, str]:
    """Return a house number and a street."""
    return f"{rng.integers(1, 320)} {_pick(STREETS, rng)}", "ADDRESS"


def _account_detail(person: _Person, rng: np.random.Generator) -> tuple[str, str]:
    """Return an account number, or an IBAN of a bank called TEST with true check digits."""
    digits = f"{rng.integers(10**14):014d}"
    if rng.random() < 0.6:
        return digits[:8], "ACCOUNT"
    # ISO 13616: letters become 10 to 35, the country and 00 move to the end, check is 98 - mod 97
    letters = "".join(str(int(letter, 36)) for letter in "TEST")
    check = 98 - int(f"{letters}{digits}{int('G', 36)}{int('B', 36)}00") % 97
    return f"GB{check:02d}TEST{digits}", "ACCOUNT"


def _card_detail(person: _Person, rng: np.random.Generator) -> tuple[str, str]:
    """Return a card number of a test range with a true check digit."""
    body = f"{_pick(CARD_PREFIXES, rng)}{rng.integers(10**9):09d}"
    doubled = (int(digit) * (2 - place % 2) for place, digit in enumerate(body))
    number = f"{body}{-sum(value // 10 + value % 10 for value in doubled) % 10}"
    spaced = " ".join(number[start : start + 4] for start in range(0, 16, 4))
    return _pick((number, spaced), rng), "CARD"


def _date_detail(person: _Person, rng: np.random.Generator) -> tuple[str, str]:
    """Return a date in one of the usual ways of writing it."""
    day = _BIRTHDAYS_FROM + timedelta(days=int(rng.integers(_BIRTHDAYS_DAYS)))
    spelled = f"{day.day} {MONTHS[day.month - 1]} {day.year}"
    return _pick((spelled, f"{day:%d/%m/%Y}", f"{day:%Y-%m-%d}"), rng), "DATE"


_DETAILS: Mapping[str, Callable[[_Person, np.random.Generator], tuple[str, str]]] = {
    "account": _account_detail,
    "address": _address_detail,
    "card": _card_detail,
    "date": _date_detail,
    "email": _email_detail,
    "person": _person_detail,
    "phone": _phone_detail,
}


def _typed(piece: str, rng: np.random.Generator) -> str:
    """Return the words as thumbs type them: now and then two letters change places."""
    words = piece.split(" ")
    for position in np.flatnonzero(rng.random(len(words)) < _TYPO_SHARE):
        word = words[position]
        if len(word) > 3 and word.isalpha():
            turn = int(rng.integers(len(word) - 1))
            words[position] = word[:turn] + word[turn + 1] + word[turn] + word[turn + 2 :]
    return " ".join(words)


def _code(rng: np.random.Generator) -> str:
    """Return a short code that says nothing about anyone."""
    return f"{rng.integers(10_000, 100_000)}"


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    """Return one of the options, each as likely."""
    return options[int(rng.integers(len(options)))]
