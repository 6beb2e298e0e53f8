import pytest
from hypothesis import given, settings

from privacy.pii import Redactor, Vocabulary, chunks, grammar, second_scan, tokens
from tests.privacy.pii.documents import documents

ENGLISH = Vocabulary.load("en")
REDACTOR = Redactor()

LEAKS = [
    ("please call Zuckerberg", "UNKNOWN_WORD"),
    ("please call zuckerberg", "UNKNOWN_WORD"),
    ("please-call-zuckerberg", "UNKNOWN_WORD"),
    ("please call zuckerberg's", "UNKNOWN_WORD"),
    ("please call 4", "DIGIT"),
    ("please call4you", "DIGIT"),
    ("please a@b", "SYMBOL"),
    ("please #b", "SYMBOL"),
    ("please a_b", "SYMBOL"),
    ("please \\b", "SYMBOL"),
    ("please call Grace", "CAPITAL"),
    ("please call Meeting", "CAPITAL"),
    ("please call MEETING", "CAPITAL"),
    ("please call jOy", "CAPITAL"),
    ("please \u0441all", "NOT_ASCII"),
    ("please ４", "NOT_ASCII"),
    ("please 😀", "NOT_ASCII"),
    ("ple\u200base", "NOT_ASCII"),
    ("please\x00call", "CONTROL"),
    ("please \x07", "CONTROL"),
    ("[HUMAN_1]", "DIGIT"),
    ("[NAME_0]", "DIGIT"),
    ("[NAME_12", "DIGIT"),
    ("[NAME_1]zuckerberg", "UNKNOWN_WORD"),
    ("zucker[NAME_1]berg", "UNKNOWN_WORD"),
    ("[NAME_1] Grace", "CAPITAL"),
]


@pytest.mark.parametrize(("text", "rule"), LEAKS)
def test_what_must_not_leave_is_found_with_its_place(text, rule):
    found = second_scan(text, ENGLISH)
    assert [span.kind for span in found] == [rule]
    assert all(0 <= span.start < span.end <= len(text) for span in found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "please call [NAME_1], then [PHONE_12]'s office.",
        "Hello [NAME_1]. We're well-known and/or wait...",
        "Dr. [NAME_1] said “yes” – twice…",
        "It's OK. I'm on TV.",
        "Subject: meeting\nDate: [DATE_1]",
        "you &amp; me",
    ],
)
def test_what_may_leave_passes(text):
    assert second_scan(text, ENGLISH) == ()


@given(documents)
@settings(deadline=None, max_examples=500)
def test_whatever_the_redactor_lets_out_passes_the_second_scan(document):
    assert second_scan(REDACTOR.redact(document).text, ENGLISH) == ()


SECRETS = [
    "the invoice of zuckerberg is late",
    "we met Zuckerberg there",
    "we met Grace there",
    "reach me at 5550109999 now",
    "reach me at john@example.com now",
    "she is caf\u00e9 owner",
]


def caught(redactor):
    return [bool(second_scan(redactor.redact(text).text, ENGLISH)) for text in SECRETS]


def test_an_honest_redactor_is_not_suspected():
    assert not any(caught(Redactor()))


def test_a_redactor_that_lets_everything_pass_is_caught(monkeypatch):
    monkeypatch.setattr(chunks, "decide", lambda codes, places=0: 0)
    assert all(caught(Redactor()))


def test_foreign_letters_that_are_waved_through_are_caught(monkeypatch):
    monkeypatch.setattr(tokens, "_foreign", lambda *arguments: "w ")
    assert caught(Redactor()) == [False, False, False, False, False, True]


def test_unknown_words_that_are_waved_through_are_caught(monkeypatch):
    honest = tokens.ChunkCodes.__missing__

    def tampered(self, chunk):
        return "w " if chunk.isalpha() and chunk.isascii() else honest(self, chunk)

    monkeypatch.setattr(tokens.ChunkCodes, "__missing__", tampered)
    assert caught(Redactor()) == [True, True, True, False, False, False]


def test_digits_that_are_classed_as_words_are_caught(monkeypatch):
    honest = tokens.ChunkCodes.__missing__

    def tampered(self, chunk):
        code = honest(self, chunk)
        return "w " if code[0] == "D" else code

    monkeypatch.setattr(tokens.ChunkCodes, "__missing__", tampered)
    assert caught(Redactor()) == [False, False, False, True, True, False]


def test_a_grammar_that_releases_every_capital_is_caught(monkeypatch):
    def tampered(known):
        known.masked &= ~known.any("FCNB")

    monkeypatch.setattr(grammar, "_release_capitals", tampered)
    assert caught(Redactor()) == [False, False, True, False, False, False]


def test_a_poisoned_cache_is_caught():
    redactor = Redactor()
    redactor._masks.codes["zuckerberg"] = "w "
    assert caught(redactor)[0]
