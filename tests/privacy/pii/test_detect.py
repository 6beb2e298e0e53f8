import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.pii.detect import Detection, merged
from privacy.pii.folding import fold
from privacy.pii.patterns import DETECTORS
from privacy.pii.spans import KINDS, Span
from tests.privacy.pii.documents import documents

ENGLISH = Detection(("en",))

# kind, text; what is to be found stands in angle brackets
FOUND = [
    ("EMAIL", "mail <ann.b+c@example.co.uk>, thanks"),
    ("EMAIL", "mail <jürgen@exämple.de>"),
    ("URL", "see <https://example.com/a?b=1>, ok"),
    ("URL", "see <www.example.org> or not"),
    ("URL", "see <example.com/path> or not"),
    ("IP", "from <192.168.10.1> today"),
    ("IP", "from <fe80::1:2> today"),
    ("MAC", "on <00:1B:44:11:3A:B7> today"),
    ("CARD", "card <4111 1111 1111 1111> please"),
    ("IBAN", "to <GB82 WEST 1234 5698 7654 32> now"),
    ("SSN", "it is <219-09-9999> indeed"),
    ("SSN", "my social security number is <219099999>"),
    ("ID", "NINO <AB 12 34 56 C> please"),
    ("ID", "NHS number <943 476 5919> please"),
    ("ID", "passport number <C01X00T47> here"),
    ("ID", "driver license: <K1234567> here"),
    ("DATE", "on <2020-01-31> we"),
    ("DATE", "on <3 May 2021> we"),
    ("DATE", "on <May 3rd, 2021> we"),
    ("DATE", "on <31/12/99> we"),
    ("TIME", "at <12:30> or so"),
    ("AGE", "she is <42> years old"),
    ("AGE", "patient aged <7> fell"),
    ("COORDINATES", "at <51.5074, -0.1278> precisely"),
    ("ADDRESS", "lives at <12 Elm Street\nSpringfield, IL 62704> now"),
    ("ADDRESS", "lives at <221b Baker Street> now"),
    ("ADDRESS", "write to <P.O. Box 123> now"),
    ("ADDRESS", "lives at <12 old mill road> now"),
    ("ADDRESS", "habite <10 Rue de la Paix, 75002 Paris>"),
    ("PHONE", "call <+1 415 555 0134> today"),
    ("PHONE", "call <(415) 555-0134 x12> today"),
    ("PHONE", "call <020 7946 0958> today"),
    ("PASSWORD", "the password is <hunter2>, ok"),
    ("PASSWORD", "PIN code: <9876>"),
    ("USERNAME", "username: <jdoe99> it is"),
    ("HANDLE", "ask <@someone> there"),
    ("SECRET", "key <AKIAIOSFODNN7EXAMPLE> leaked"),
    ("SECRET", "token <ghp_0123456789abcdefghijABCDEFGHIJ012345> leaked"),
    ("SECRET", "api key: <f00dbabe12345678> leaked"),
    ("SECRET", "<eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl> expired"),
    ("VEHICLE", "VIN <1M8GDM9AXKP042788> here"),
    ("VEHICLE", "plate number <AB12 CDE> here"),
    ("ACCOUNT", "account number <12345678> here"),
    ("ACCOUNT", "routing number <021000021> here"),
]


@pytest.mark.parametrize(("kind", "text"), FOUND)
def test_each_kind_is_found_where_it_is(kind, text):
    start, end = text.index("<"), text.rindex(">") - 1
    plain = text.replace("<", "", 1)
    plain = plain[:end] + plain[end + 1 :]
    assert Span(start, end, kind) in ENGLISH.find(plain)


@pytest.mark.parametrize(
    "text",
    [
        "please pass me 3 of them",
        "version 2 of the form",
        "the password was reset yesterday"[:12],
        "we won 3-2 in the end",
        "a 50/50 chance",
        "I call it a day",
        "half past five",
    ],
)
def test_everyday_text_is_left_alone(text):
    assert ENGLISH.find(text) == []


@pytest.mark.parametrize(
    ("text", "locale", "kind"),
    [
        ("DNI 12345678Z", "es", "ID"),
        ("NIR 2 55 08 14 168 025 38", "fr", "ID"),
        ("Steuer 86 095 742 719", "de", "ID"),
    ],
)
def test_national_numbers_are_looked_for_at_home(text, locale, kind):
    (span,) = Detection((locale,)).find(text)
    assert (span.kind, text[span.start : span.end]) == (kind, text.partition(" ")[2])
    here = {d.pattern for d in Detection((locale,)).detectors if d.locales}
    assert here.isdisjoint(d.pattern for d in ENGLISH.detectors)


@given(documents)
@settings(deadline=None, max_examples=300)
def test_the_gate_changes_nothing_but_the_time(document):
    text = fold(document).text
    assert ENGLISH.find(text) == ENGLISH.find_ungated(text)


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 20), st.sampled_from(KINDS[:3])).map(
            lambda t: Span(min(t[0], t[1]), max(t[0], t[1]), t[2])
        )
    )
)
def test_merged_spans_cover_the_same_and_the_first_names_it(spans):
    found = merged(spans)
    names = {}
    for start, end, kind in spans:
        for place in range(start, end):
            names.setdefault(place, kind)
    assert {p: s.kind for s in found for p in range(s.start, s.end)} == names
    assert all(left.end <= right.start for left, right in pairwise(found))


def test_every_detector_names_a_kind_and_counts_no_repeats():
    for detector in DETECTORS:
        assert detector.kind in KINDS
        assert not re.search(r"\{\d", detector.pattern), detector.kind


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("j\u200bo\u00adhn", "john"),
        ("ｊｏｈｎ＠ｅｘ．ｃｏｍ", "john@ex.com"),
        ("\u0430nn", "ann"),
        ("a\u0323n\u0323n", "ann"),
        ("4\u00a0111", "4 111"),
        ("José", "José"),
        ("\ud800", "\ufffd"),
    ],
)
def test_disguises_are_folded(text, folded):
    assert fold(text).text == folded


@given(st.text(max_size=30), st.data())
def test_a_span_comes_back_over_all_it_was_made_of(text, data):
    folded = fold(text)
    if not folded.text:
        return
    start = data.draw(st.integers(0, len(folded.text) - 1))
    end = data.draw(st.integers(start + 1, len(folded.text)))
    back = folded.back(Span(start, end, "NAME"))
    assert 0 <= back.start < back.end <= len(text)
    inner = fold(text[back.start : back.end]).text
    assert folded.text[start:end] in inner
