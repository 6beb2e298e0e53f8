from hypothesis import given
from hypothesis import strategies as st

from privacy.pii.bits import _where_packed, _where_translated, spread
from privacy.pii.bits import after as after_source
from privacy.pii.bits import until as until_target
from privacy.pii.classes import MASKED
from privacy.pii.grammar import decide

CODES = st.lists(
    st.tuples(st.sampled_from("XYDHIJOFCNBGabcdefghijklmnopqrstuvwxyz"), st.sampled_from(" .,:'")),
    min_size=1,
    max_size=30,
)
BITS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12)


def as_bits(flags):
    return int("".join("01"[flag] for flag in flags), 2)


@given(BITS, st.integers(1, 4))
def test_chains_are_those_a_loop_over_positions_finds(pairs, times):
    links, targets = zip(*pairs, strict=True)
    size = len(pairs)

    def reaches(place, step):
        for length in range(1, times + 1):
            run = range(place, place + step * length, step)
            end = place + step * length
            if all(0 <= i < size and links[i] for i in run) and 0 <= end < size and targets[end]:
                return True
        return False

    until = [reaches(place, 1) for place in range(size)]
    after = [reaches(place, -1) for place in range(size)]
    assert until_target(as_bits(links), as_bits(targets), times) == as_bits(until)
    assert after_source(as_bits(links), as_bits(targets), times) == as_bits(after)


@given(CODES)
def test_many_chunks_are_found_as_few_are(pairs):
    codes = "".join(map("".join, pairs)).encode()
    assert _where_packed(codes, b"XwD.,") == _where_translated(codes, b"XwD.,")


@given(BITS)
def test_runs_grow_as_a_loop_over_neighbours_lets_them(pairs):
    seeds, reach = zip(*pairs, strict=True)
    grown = [seed and reached for seed, reached in pairs]
    for _ in pairs:
        sides = zip([False, *grown[:-1]], [*grown[1:], False], strict=True)
        grown = [
            on or (reached and any(near))
            for on, reached, near in zip(grown, reach, sides, strict=True)
        ]
    assert spread(as_bits(seeds), as_bits(reach)) == as_bits(grown)


def masked(pairs):
    codes = "".join(map("".join, pairs)).encode()
    return f"{decide(codes):0{len(pairs)}b}"


@given(CODES)
def test_only_capitals_the_grammar_may_release_are_ever_released(pairs):
    for (letter, _), bit in zip(pairs, masked(pairs), strict=True):
        assert bit == "1" or letter not in MASKED or letter in "FCNBG"


@given(CODES)
def test_line_ends_and_document_ends_are_never_masked(pairs):
    for (letter, _), bit in zip(pairs, masked(pairs), strict=True):
        assert bit == "0" or letter not in "nj"


@given(CODES, CODES)
def test_documents_do_not_look_into_one_another(left, right):
    left = [pair for pair in left if pair[0] != "j"] or [("w", " ")]
    right = [pair for pair in right if pair[0] != "j"] or [("w", " ")]
    end = [("j", " ")]
    together = masked([*left, *end, *right, *end])
    apart = masked([*left, *end]) + masked([*right, *end])
    assert together == apart
