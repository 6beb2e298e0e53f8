import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError
from privacy.pii import Redactor, Vocabulary
from privacy.pii.classes import FOLD
from privacy.pii.spans import KINDS, assemble
from tests.privacy.pii.documents import documents

REDACTOR = Redactor()


@given(documents)
@settings(deadline=None, max_examples=200)
def test_spans_and_text_tell_the_same_story(document):
    redaction = REDACTOR.redact(document)
    assert assemble(document, redaction.spans) == redaction.text
    last = 0
    for span in redaction.spans:
        assert last <= span.start < span.end <= len(document)
        assert span.kind in KINDS
        last = span.end


@given(documents)
@settings(deadline=None, max_examples=200)
def test_no_digit_no_handle_and_no_foreign_letter_lies_outside_a_span(document):
    masked = set()
    for start, end, _ in REDACTOR.redact(document).spans:
        masked.update(range(start, end))
    for position, char in enumerate(document):
        # signs that read as an ASCII one say nothing, though Unicode calls an apostrophe a letter
        foreign = char.isalnum() and not char.isascii() and ord(char) not in FOLD
        if char.isdigit() or char in "@_#\\" or foreign:
            # The one entity whose # is no tag does not occur in these documents.
            assert position in masked or char in "#@", (char, position)


@given(st.lists(documents, max_size=12))
@settings(deadline=None, max_examples=60)
def test_a_batch_is_redacted_as_its_texts_are(texts):
    assert REDACTOR.redact_batch(texts) == tuple(REDACTOR.redact(text) for text in texts)


@given(documents)
@settings(deadline=None, max_examples=10)
def test_what_was_seen_before_changes_nothing(document):
    assert Redactor().redact(document) == REDACTOR.redact(document)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("", ""),
        ("   \n", "   \n"),
        ("please reply today", "please reply today"),
        ("We met John Smith in Paris.", "We met [PERSON_1] in [PERSON_2]."),
        ("Call me at 555-010-9999", "Call me at [PHONE_1]"),
        ("mail john.doe@example.com or ann@example.com", "mail [EMAIL_1] or [EMAIL_2]"),
        ("see https://example.com/a?b=1, thanks", "see [URL_1], thanks"),
        ("see www.example.com today", "see [URL_1] today"),
        ("use 192.168.10.1 or fe80::1:2", "use [IP_1] or [IP_2]"),
        ("on 00:1B:44:11:3A:B7 today", "on [MAC_1] today"),
        ("card 4111 1111 1111 1111 please", "card [CARD_1] please"),
        ("card 4111 1111 1111 1112 please", "card [ID_1] please"),
        ("pay to GB82 WEST 1234 5698 7654 32 now", "pay to [IBAN_1] now"),
        ("my number is 219-09-9999", "my number is [SSN_1]"),
        ("on 2020-01-02 or 3 May 2021 or 4/5/22", "on [DATE_1] or [DATE_2] or [DATE_3]"),
        ("at 12:30 or 5pm", "at [TIME_1] or [TIME_2]"),
        ("it costs £5.00 or $1,000", "it costs [MONEY_1] or [MONEY_2]"),
        ("order 12 of them, order 12", "order [NUMBER_1] of them, order [NUMBER_1]"),
        ("ask @someone about #thing", "ask [HANDLE_1] about [TAG_1]"),
        ("part AB12CD34 is late", "part [ID_1] is late"),
        ("the 4th of them", "the [NUMBER_1] of them"),
        ("she lives at 12 Elm Street, ok", "she lives at [ADDRESS_1], ok"),
        ("12 mill road is old", "[ADDRESS_1] is old"),
        ("suite 12 is old", "[ADDRESS_1] is old"),
        ("ask Dr. Will Grace", "ask [PERSON_1]"),
        ("she named him randy", "she named him [PERSON_1]"),
        ("password: hunter", "password: [MASKED_1]"),
        ("call five five five one two", "call [MASKED_1]"),
        ("a-n-n-a called", "[MASKED_1] called"),
        ("j o h n called", "[MASKED_1] called"),
        ("write to john at example dot com", "write to [MASKED_1]"),
        ("ask Vincent van der Berg", "ask [PERSON_1]"),
        ("in the united states now", "in the [LOCATION_1] now"),
        ("ask Bell Insurance Inc. first", "ask [ORG_1]. first"),
        ("Will you come? May I ask?", "Will you come? May I ask?"),
        ("we met Grace and Will", "we met [PERSON_1]"),
        ("Amazing. Thanks!", "Amazing. Thanks!"),
        ("“Hello”, she said – twice…", "“Hello”, she said – twice…"),
        ("ｊｏｈｎ １２３", "[ID_1]"),
        ("z\u200bu\u200bc\u200bk left", "[MASKED_1] left"),
        ("4²²²²²²²²²²²1 left", "[PHONE_1] left"),
        ("we saw Uncle's car", "we saw [PERSON_1] car"),
        ("😀 ok", "[SYMBOL_1] ok"),
        ("[NAME_1] is not a placeholder", "[[ID_1]] is not a placeholder"),
        ("Ann Bell, Bob Bell, Ann Bell", "[PERSON_1], [PERSON_2], [PERSON_1]"),
    ],
)
def test_known_sentences(text, redacted):
    assert REDACTOR.redact(text).text == redacted


@pytest.mark.parametrize(
    "arguments",
    [
        {"mode": "loose"},
        {"mode": "Strict"},
        {"mode": None},
        {"locales": ("de",)},
        {"locales": ()},
        {"locales": ("en", "de")},
        {"locales": "en"},
    ],
)
def test_an_unknown_mode_or_locale_fails_closed(arguments):
    with pytest.raises(InputError):
        Redactor(**arguments)


@pytest.mark.parametrize("texts", ["a text", [b"bytes"], [None], ["fine", 3]])
def test_what_is_not_text_is_refused(texts):
    with pytest.raises(InputError):
        REDACTOR.redact_batch(texts)


def test_a_word_leaves_only_if_the_given_vocabulary_has_it():
    content = b"fieldvote vocabulary 1 en\nwC hello\n"
    redactor = Redactor(vocabulary=Vocabulary.from_bytes(content))
    assert redactor.redact("hello meeting hello").text == "hello [MASKED_1] hello"


def test_memory_of_raw_text_is_bounded(monkeypatch):
    monkeypatch.setattr("privacy.pii.tokens.CACHE_ENTRIES", 50)
    monkeypatch.setattr("privacy.pii.runs.CACHE_ENTRIES", 50)
    redactor = Redactor()
    texts = [f"word{i} and Name{i}, again\nMeeting the Name{i} of" for i in range(500)]
    fresh = Redactor().redact_batch(texts)
    assert redactor.redact_batch(texts) == fresh
    assert len(redactor._masks.codes) <= 50
    assert len(redactor._kinds) <= 50
    redactor.redact("x" * 10_000 + "9")
    assert not any(len(chunk) > 1000 for chunk in (*redactor._masks.codes, *redactor._kinds))


@pytest.mark.parametrize(
    "evil", ["a-" * 20_000, "1 " * 20_000, "@." * 20_000, "Aa,. " * 8_000, "x" * 40_000 + "-y, z "]
)
def test_long_input_takes_linear_time(evil):
    # pytest's timeout is the clock; a quadratic step here would take minutes.
    assert REDACTOR.redact(evil * 3).spans
