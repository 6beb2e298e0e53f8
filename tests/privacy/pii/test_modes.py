import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError
from privacy.pii import Redactor, Span, structured_scan
from privacy.pii.redact import MODES
from privacy.pii.spans import KINDS, assemble
from tests.privacy.pii.documents import documents

REDACTORS = {mode: Redactor(mode=mode) for mode in MODES}


def covered(redaction):
    return {place for start, end, _ in redaction.spans for place in range(start, end)}


@pytest.mark.parametrize("mode", ["balanced", "high"])
@given(document=documents)
@settings(deadline=None, max_examples=150)
def test_spans_and_text_tell_the_same_story_in_every_mode(mode, document):
    redaction = REDACTORS[mode].redact(document)
    assert assemble(document, redaction.spans) == redaction.text
    last = 0
    for span in redaction.spans:
        assert last <= span.start < span.end <= len(document)
        assert span.kind in KINDS
        last = span.end


@given(documents)
@settings(deadline=None, max_examples=150)
def test_high_masks_all_that_balanced_masks(document):
    balanced = covered(REDACTORS["balanced"].redact(document))
    high = covered(REDACTORS["high"].redact(document))
    assert all(not document[place].isalnum() for place in balanced - high)


@pytest.mark.parametrize(
    ("text", "balanced", "high"),
    [
        (
            "teh dog, 12 cats, a LOUD noise",
            "teh dog, 12 cats, a LOUD noise",
            "teh dog, 12 cats, a LOUD noise",
        ),
        ("we met Ann Bell today", "we met [PERSON_1] today", "we met [PERSON_1] today"),
        ("we saw Zuckerberg today", "we saw Zuckerberg today", "we saw [NAME_1] today"),
        ("he works at Bell Ltd. now", "he works at [ORG_1]. now", "he works at [ORG_1]. now"),
        ("she is 42 years old", "she is [AGE_1] years old", "she is [AGE_1] years old"),
        ("Mr. Zuk saw mr. Zuk's dog", "[PERSON_1] saw [PERSON_1] dog", None),
        ("mail a\u200bnn@exa\u200bmple.com", "mail [EMAIL_1]", "mail [EMAIL_1]"),
        ("ask Dr. Vega in Oslo", "ask [PERSON_1] in [NAME_1]", "ask [PERSON_1] in [NAME_1]"),
        (
            "12 Elm Street\nSpringfield, IL 62704 is home",
            "[ADDRESS_1] is home",
            "[ADDRESS_1] is home",
        ),
    ],
)
def test_known_sentences_in_the_other_modes(text, balanced, high):
    assert REDACTORS["balanced"].redact(text).text == balanced
    if high is not None:
        assert REDACTORS["high"].redact(text).text == high


@pytest.mark.parametrize("mode", MODES)
def test_the_same_person_keeps_one_placeholder_within_a_document(mode):
    text = "Ann Bell called. ANN BELL left, then Ann Bell's boss met Bob Bell, not Ann  Bell."
    placeholders = REDACTORS[mode].redact(text).text
    assert placeholders.count("[PERSON_1]") == 4
    assert placeholders.count("[PERSON_2]") == 1


@pytest.mark.parametrize("mode", MODES)
@given(
    document=documents,
    tags=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 40), st.sampled_from(KINDS))),
)
@settings(deadline=None, max_examples=80)
def test_a_tagger_never_uncovers_a_character(mode, document, tags):
    spans = []
    for start, length, kind in tags:
        start = min(start, len(document))
        spans.append(Span(start, min(start + length, len(document)), kind))
    tagged = Redactor(mode=mode, tagger=lambda text: spans).redact(document)
    added = {p for start, end, _ in spans for p in range(start, end)}
    hidden = covered(tagged)
    for place in covered(REDACTORS[mode].redact(document)) | added:
        assert place in hidden or not document[place].isalnum()
    assert assemble(document, tagged.spans) == tagged.text


@pytest.mark.parametrize("span", [(-1, 2, "NAME"), (0, 99, "NAME"), (3, 1, "NAME"), (0, 1, "X")])
def test_a_tagger_that_points_outside_the_text_is_refused(span):
    with pytest.raises(InputError):
        Redactor(tagger=lambda text: [Span(*span)]).redact("please call")


def test_a_tagged_word_is_masked_whole():
    redactor = Redactor(tagger=lambda text: [Span(4, 6, "ORG")])
    assert redactor.redact("the lending club").text == "the [ORG_1] club"


@pytest.mark.parametrize("mode", ["balanced", "high"])
@pytest.mark.parametrize(
    "evil", ["a-" * 20_000, "1 " * 20_000, "@." * 20_000, "Aa,. " * 8_000, "a@b.co " * 6_000]
)
def test_long_input_takes_linear_time_in_every_mode(mode, evil):
    # pytest's timeout is the clock; a quadratic step here would take minutes.
    assert REDACTORS[mode].redact(evil) is not None


@pytest.mark.parametrize("mode", ["balanced", "high"])
@given(document=documents)
@settings(deadline=None, max_examples=200)
def test_no_address_and_no_long_number_is_left_in_any_mode(mode, document):
    assert structured_scan(REDACTORS[mode].redact(document).text) == ()


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("call 555-010-9999 or 12", ["DIGITS"]),
        ("see https://a.b/c and www.x.org", ["URL", "URL"]),
        ("mail a@b.co, [EMAIL_1]", ["EMAIL"]),
        ("[PHONE_1] [CARD_2] 123 456", []),
    ],
)
def test_the_scan_by_form_finds_what_a_redactor_forgot(text, kinds):
    assert [span.kind for span in structured_scan(text)] == kinds


@pytest.mark.skipif("FIELDVOTE_DATA" not in os.environ, reason="FIELDVOTE_DATA is not set")
def test_high_reaches_its_goal_on_templates_that_were_held_out(monkeypatch):
    benchmarks = Path(__file__).parents[2] / "benchmarks"
    monkeypatch.syspath_prepend(str(benchmarks))
    import redaction

    held_out = [document for document in redaction.read_sentences() if document.held_out]
    result = redaction.coverage(held_out, redaction.detect_with(REDACTORS["high"]))
    assert result.f2 >= 0.90
    strict = redaction.coverage(held_out, redaction.detect_with(REDACTORS["strict"]))
    assert strict.covered["structured"] >= 0.995
    assert strict.covered["PERSON"] >= 0.995
    assert strict.covered["ADDRESS"] >= 0.99
    assert strict.lost <= 0.12
    for name in ("redaction", "_table"):
        sys.modules.pop(name, None)
