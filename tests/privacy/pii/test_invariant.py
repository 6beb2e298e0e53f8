"""Strict mode's promise, counted out over generated documents."""

import random

import pytest

from privacy.pii import Redactor, Vocabulary, second_scan
from tests.privacy.pii.attacks import ATTACKS
from tests.privacy.pii.documents import NAMES, SIGNS, VALUES, WORDS

ENGLISH = Vocabulary.load("en")
EVERYDAY = sorted(word for word, classes in ENGLISH.words.items() if classes[0].islower())
REWRITES = tuple(ATTACKS.values())
BLANKS = (" ", " ", " ", " ", "  ", "\n", "\t", "\u00a0", ". ", ", ")
BATCH = 1000


def document(rng: random.Random) -> str:
    """Return words, names and values; some disguised, some with signs stuck in."""
    parts = []
    for _ in range(rng.randrange(1, 16)):
        chance = rng.random()
        if chance < 0.5:
            part = rng.choice(EVERYDAY)
            part = part.capitalize() if rng.random() < 0.2 else part
        else:
            part = rng.choice(WORDS if chance < 0.6 else NAMES if chance < 0.8 else VALUES)
        if rng.random() < 0.1:
            part = rng.choice(REWRITES)(part)
        if rng.random() < 0.1:
            cut = rng.randrange(len(part) + 1)
            part = part[:cut] + rng.choice(SIGNS) + part[cut:]
        if rng.random() < 0.05:
            part += chr(rng.randrange(0x20, 0x2FA1F))
        parts += (part, rng.choice(BLANKS))
    return "".join(parts)


def violations(count: int, seed: int) -> int:
    """Return how many redacted documents the second scan stops."""
    rng = random.Random(seed)  # noqa: S311  # documents that can be made again, no secrets
    redactor, found = Redactor(), 0
    for _ in range(count // BATCH):
        texts = [document(rng) for _ in range(BATCH)]
        found += sum(
            bool(second_scan(done.text, ENGLISH)) or any(map(str.isdigit, outside(text, done)))
            for text, done in zip(texts, redactor.redact_batch(texts), strict=True)
        )
    return found


def outside(text, redaction):
    """Return what is left of a text outside the masked spans."""
    last, left = 0, []
    for start, end, _ in redaction.spans:
        left.append(text[last:start])
        last = end
    return "".join((*left, text[last:]))


@pytest.mark.slow
def test_no_generated_document_breaks_the_strict_promise():
    assert violations(20_000, seed=1) == 0


@pytest.mark.nightly
def test_no_document_of_a_million_breaks_the_strict_promise():
    assert violations(1_000_000, seed=2) == 0


def test_the_count_notices_a_redactor_that_forgets_a_class(monkeypatch):
    honest = Redactor.redact_batch

    def forgetful(self, texts):
        self._masks.codes["Zuckerberg"] = "w "
        return honest(self, texts)

    monkeypatch.setattr(Redactor, "redact_batch", forgetful)
    assert violations(1000, seed=1) > 0
