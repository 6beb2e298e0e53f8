import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.pii import Redactor
from simulations.leaks import count_leaks
from simulations.messages import generate_messages

PUBLIC = {"call", "street", "rose", "mark", "the", "and", "road", "new", "may"}


def tokens_of(text: str) -> list[str]:
    """Maximal runs of letters and digits, found letter by letter."""
    spaced = "".join(letter if letter.isalnum() else " " for letter in text)
    return spaced.split()


def counted_slowly(planted: list[str], public: set[str], chunks: list[str]) -> int:
    """The rule of the docstring, word by word, for ASCII texts."""

    def stands(needle: str, chunk: str) -> bool:
        needle, chunk = needle.lower(), chunk.lower()
        for start in range(len(chunk) - len(needle) + 1):
            end = start + len(needle)
            if chunk[start:end] != needle:
                continue
            before = chunk[start - 1 : start + 1] if start else " "
            after = chunk[end - 1 : end + 1] if end < len(chunk) else " "
            if not before.isalnum() and not after.isalnum():
                return True
        return False

    leaked = 0
    for text in planted:
        tokens = tokens_of(text)
        telling = [
            token
            for token in tokens
            if len(token) >= 4 and (any(map(str.isdigit, token)) or token.lower() not in public)
        ]
        if tokens and not (len(tokens) == 1 and tokens[0].lower() in public):
            telling.append(text.strip())
        leaked += any(stands(needle, chunk) for needle in telling for chunk in chunks)
    return leaked


_WORDS = "Call call ROSE Rose mark Mark Hill hill hilly 0143 143 ab12 Ab12 jo Jo New road a b7 x"
WORDS = st.sampled_from(_WORDS.split())
GLUE = st.sampled_from([" ", " ", "-", ", ", "", "_", "@", "\n", "  "])
PHRASES = st.lists(st.tuples(WORDS, GLUE), min_size=1, max_size=4).map(
    lambda parts: "".join(word + glue for word, glue in parts)
)


@settings(deadline=None, max_examples=150)
@given(st.lists(PHRASES, max_size=6), st.lists(PHRASES, max_size=5))
def test_it_counts_what_a_slow_reader_counts(planted: list[str], crossed: list[str]) -> None:
    chunks = [text.encode() for text in crossed]
    assert count_leaks(planted, PUBLIC, chunks) == counted_slowly(planted, PUBLIC, crossed)


@pytest.mark.parametrize(
    ("planted", "crossed", "leaks"),
    [
        ("Omar Haddad", "ask OMAR about it", True),
        ("Omar Haddad", "haddad", True),
        ("Omar Haddad", "Omari and Haddads", False),
        ("Mark Rose", "mark the rose", False),
        ("Mark Rose", "mr mark rose again", True),
        ("Rose", "a rose", False),
        ("Jo", "so said Jo.", True),
        ("Jo", "Joanna", False),
        ("12 New Road", "at 12 New Road", True),
        ("12 New Road", "12 houses on the new road", False),
        ("+44 7700 900123", "900123", True),
        ("+44 7700 900123", "+44", False),
        ("a.lee@example.org", "to a.lee@example.org now", True),
        ("José Muñoz", "para MUÑOZ", True),
        ("Łukasz Ż", "hej łukasz", True),
        ("Łukasz Ż", "hej lukasz", False),
        ("東京", "in 東京 now", True),
        ("...", "...", False),
        ("", "anything", False),
    ],
)
def test_one_string_in_one_text(planted: str, crossed: str, leaks: bool) -> None:
    assert count_leaks([planted], PUBLIC, [crossed.encode()]) == int(leaks)


def test_each_planted_string_counts_once_however_often_it_crosses() -> None:
    assert count_leaks(["Haddad", "Haddad", "Lee9"], PUBLIC, [b"haddad haddad", b"haddad"]) == 2


def test_a_string_is_found_at_either_end_but_not_across_chunks() -> None:
    whole = b"haddad"
    assert count_leaks(["Haddad"], PUBLIC, [whole + b" and so on"]) == 1
    assert count_leaks(["Haddad"], PUBLIC, [b"and so on " + whole]) == 1
    assert count_leaks(["Haddad"], PUBLIC, [b"", whole[:3], whole[3:]]) == 0


def test_masked_messages_leak_nothing_and_unmasked_ones_nearly_everything() -> None:
    made = generate_messages(1, items=1000)
    texts = made.texts or ()
    planted = [
        text[span.start : span.end]
        for text, spans in zip(texts, made.planted, strict=True)
        for span in spans
    ]
    redactor = Redactor()
    masked = "\n".join(redaction.text for redaction in redactor.redact_batch(texts))
    assert count_leaks(planted, redactor.vocabulary, [masked.encode()]) == 0
    crossed = count_leaks(planted, redactor.vocabulary, ["\n".join(texts).encode()])
    assert crossed > 0.99 * len(planted)


def test_no_chunk_and_nothing_planted_is_no_leak() -> None:
    assert count_leaks([], PUBLIC, [b"anything"]) == 0
    assert count_leaks(["Haddad"], PUBLIC, []) == 0
    assert count_leaks(["Haddad"], PUBLIC, [b""]) == 0


@pytest.mark.parametrize("name", ["Omar", "Haddad", "Muñoz"])
def test_a_name_among_tensors_is_found_in_text_and_under_its_msgpack_length(name: str) -> None:
    noise = np.random.default_rng(0).integers(128, 256, 500, dtype=np.uint8).tobytes()
    body = name.encode()
    sentence = b"\xda\x00\x28please tell " + body + b" to come at six"
    assert count_leaks([name], PUBLIC, [noise + sentence + noise]) == 1
    alone = noise + bytes([0xA0 | len(body)]) + body + noise
    assert count_leaks([name], PUBLIC, [alone]) == int(len(body) > 4)


def test_chance_in_ciphertext_is_no_leak() -> None:
    rng = np.random.default_rng(1)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz0123456789"))
    planted = ["".join(rng.choice(letters, size=4)) for _ in range(3000)]
    noise = rng.integers(0, 256, 4_000_000, dtype=np.uint8).tobytes()
    # without the rule for short tokens about 20 of these stand in the noise by chance
    assert count_leaks(planted, PUBLIC, [noise]) == 0


def test_thirty_megabytes_take_seconds_at_most() -> None:
    rng = np.random.default_rng(2)
    planted = [f"name{i} sur{i}" for i in range(3000)]
    chunks = [rng.integers(0, 256, 3_000_000, dtype=np.uint8).tobytes() for _ in range(8)]
    text = " ".join(rng.choice(["word", "and", "name", "lorem", "sur", "0143"], 1_200_000))
    started = time.perf_counter()
    found = count_leaks(planted, PUBLIC, [*chunks, text.encode() + b" name17"])
    assert found == 1
    # measured well under one second; the margin is for a busy machine
    assert time.perf_counter() - started < 4.0
