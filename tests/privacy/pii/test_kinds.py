import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.pii import kinds
from privacy.pii.classes import PUNCTUATION
from privacy.pii.kinds import _PATTERNS, _before_break, split_run
from privacy.pii.spans import KINDS
from tests.privacy.pii.documents import documents

STREETS = frozenset(("street", "road", "suite"))


@given(documents)
@settings(deadline=None)
def test_between_the_pieces_lie_only_blanks_and_plain_punctuation(run):
    last, outside = 0, []
    for start, end, kind in split_run(run, streets=STREETS):
        assert last <= start < end <= len(run)
        assert kind in KINDS
        outside += run[last:start]
        last = end
    outside += run[last:]
    typographic = set("‘’‚′´ʼ“”„«»″‐–—―−…•·¿¡")
    assert all(c.isspace() or c in PUNCTUATION or c in typographic for c in outside)


@given(st.text(alphabet="ab1.- @:/", max_size=30))
@settings(deadline=None)
def test_the_same_run_is_always_taken_apart_the_same_way(run):
    assert split_run(run) == split_run(run)


@pytest.mark.parametrize(
    ("run", "kinds"),
    [
        ("Ann Smith, Bob", ["NAME", "NAME"]),
        ("Dr. Smith", ["NAME"]),
        ("Ann 555-010-9999", ["NAME", "PHONE"]),
        ("Ann ann@example.com.", ["NAME", "EMAIL"]),
        ("GB82 WEST 1234 5698 7654 32", ["IBAN"]),
        ("GB82 WEST 1234 5698 7654 32 Ann", ["IBAN", "NAME"]),
        ("Monday 3 May 2021", ["NAME", "DATE"]),
        ("12 Elm Street", ["ADDRESS"]),
        ("Ann 12 Elm Street", ["NAME", "ADDRESS"]),
        ("version 1.2.3.400", ["MASKED", "ID"]),
        ("***", []),
    ],
)
def test_known_runs(run, kinds):
    found = split_run(run, streets=STREETS, abbreviations=frozenset(("dr",)))
    assert [kind for _, _, kind in found] == kinds


@pytest.mark.parametrize(("kind", "pattern"), _PATTERNS)
def test_no_pattern_counts_its_repeats(kind, pattern):
    assert not re.search(r"\{\d", pattern), kind


@pytest.mark.parametrize("run", ["9.9.9.999. Ann", "Ann 5pm. Bob", "Ann www.example.com. Bob"])
def test_the_full_stop_after_a_structured_piece_is_not_swallowed(run):
    ends = [end for _, end, _ in split_run(run)]
    assert any(run[end : end + 1] == "." for end in ends)


_PARTS = "12 7 4111111111111111 5550109999 Ann Bell x am May smith st street \u0663 \u00b2 de"
_PARTS += " 12, 7: Ann, Bell: dr, >Ann >7 x, 12. Bell. fa:"
NUMBERS_AND_WORDS = st.lists(st.sampled_from(_PARTS.split(" ")), max_size=7).map(" ".join)


@given(NUMBERS_AND_WORDS)
def test_the_short_cut_for_numbers_among_words_changes_nothing(run):
    quick = split_run(run, streets=STREETS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "_mixed", lambda core, abbreviations: ())
        assert split_run(run, streets=STREETS) == quick


@given(st.text(alphabet="ab1-.,)\"':!?>\u00e9", min_size=1, max_size=9))
def test_a_phrase_ends_where_the_pattern_of_its_end_says(chunk):
    match = re.search(r"(\w*)[.,;:!?)]+[\"')]*\s+", chunk + " ")
    wanted = match[1] if match and len(match[1]) > 1 else ""
    word = _before_break(chunk)
    assert (word if len(word) > 1 else "") == wanted
