import random

import pytest

from privacy.pii import Redactor
from tests.privacy.pii.attacks import ATTACKS

FIRST = ("Martha", "Zoltan", "Ingeborg", "Pradeep", "Ludmila", "Horatio", "Wilhelmina", "Tomasz")
LAST = ("Kowalski", "Abernathy", "Nakamura", "Fitzgerald", "Papadopoulos", "Lindqvist", "Achebe")
TEMPLATES = (
    "please tell {} that the meeting is moved to the afternoon",
    "I spoke with {} about the invoice. Nothing new so far.",
    "the number on the form is {} and it must not change",
    "you can reach me under {}, any time before noon",
    "we sent the parcel to {} last week; it came back",
)
WHOLE = ("zero-width", "soft hyphens", "homoglyphs", "full-width", "combining dots", "leetspeak")
MOSTLY = ("spaced characters", "digits as words", "lower-case", "upper-case", "no-break spaces")


def secret(rng, numbers):
    """Return a name, or something with digits."""
    first, last = rng.choice(FIRST), rng.choice(LAST)
    names = [f"{first} {last}", f"Dr. {last}", f"{last}, {first}"]
    digits = "".join(rng.choices("0123456789", k=9))
    values = [
        f"{digits[:3]}-{digits[3:6]}-{digits[5:]}",
        f"{digits[:2]} {rng.choice(LAST)} Street",
        digits,
        f"4{digits[:3]} {digits[3:7]} {digits[1:5]} {digits[5:]}",
    ]
    return rng.choice(values if numbers else names + values)


def covered(name, count=600):
    """Return the share of rewritten secrets that are wholly masked."""
    rng, redactor = random.Random(5), Redactor()  # noqa: S311  # sentences that can be made again
    attack, hits = ATTACKS[name], []
    for _ in range(count):
        hidden = attack(secret(rng, numbers=name == "digits as words"))
        before, after = rng.choice(TEMPLATES).split("{}")
        masked = set()
        for start, end, _ in redactor.redact(before + hidden + after).spans:
            masked.update(range(start, end))
        wanted = {i for i, char in enumerate(hidden, len(before)) if char.isalnum()}
        hits.append(wanted <= masked)
    return sum(hits) / count


def test_every_attack_is_either_lost_on_us_or_mostly_so():
    assert set(WHOLE) | set(MOSTLY) == set(ATTACKS)


@pytest.mark.parametrize("name", WHOLE)
def test_disguised_characters_hide_nothing_from_strict_mode(name):
    assert covered(name) == 1.0


@pytest.mark.parametrize("name", MOSTLY)
def test_rewritten_secrets_stay_covered(name):
    assert covered(name) >= 0.95


@pytest.mark.parametrize("name", ["zero-width", "homoglyphs", "full-width", "no-break spaces"])
def test_detectors_see_through_disguises_too(name):
    redactor = Redactor(mode="balanced")
    for value, kind in [("ann@example.com", "EMAIL"), ("4111 1111 1111 1111", "CARD")]:
        text = f"it is {ATTACKS[name](value)} for sure"
        assert [span.kind for span in redactor.redact(text).spans] == [kind]
