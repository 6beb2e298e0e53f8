import gzip
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.pii.vocabulary import MAGIC, Vocabulary
from privacy.pii.word_table import WordTable

WORD = st.text("abcdefgh'", min_size=1, max_size=4)
GROUPS = st.dictionaries(
    st.sampled_from(["ww", "FF", "aX", "XX"]), st.lists(WORD, min_size=1), min_size=1
)


@settings(deadline=None)
@given(GROUPS, st.lists(st.text(max_size=5)))
def test_a_table_answers_as_a_dict_would(groups: dict[str, list[str]], others: list[str]) -> None:
    content = f"{MAGIC}xx\n" + "".join(f"{name} {' '.join(ws)}\n" for name, ws in groups.items())
    table = Vocabulary.from_bytes(content.encode()).words
    wanted = {word: name for name, words in groups.items() for word in words}
    assert dict(table) == wanted
    assert len(table) == len(wanted)
    for word in [*wanted, *others, *(word[:-1] for word in wanted)]:
        assert table.get(word) == wanted.get(word)


@pytest.mark.parametrize("word", ["", "é", "\ud800", "cat\ndog", "cat dog", "catdog", "at", "ca"])
def test_what_only_looks_like_a_word_is_none(word: str) -> None:
    table = WordTable(b"ww cat dog", {"ww": (3, 10)})
    assert word not in table
    assert set(table) == {"cat", "dog"}


def test_every_shipped_word_keeps_its_class() -> None:
    packed = files("privacy.pii").joinpath("vocabularies", "en.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode("ascii").splitlines()[1:]
    wanted = {
        word: line[:2]
        for line in lines
        if line[:2].isalpha() and line[2:3] == " "
        for word in line[3:].split(" ")
    }
    table = Vocabulary.load("en").words
    assert len(wanted) > 80_000
    assert dict(table) == wanted
