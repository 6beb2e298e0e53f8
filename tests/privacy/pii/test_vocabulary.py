import gzip
import time
from hashlib import sha256
from importlib.resources import files

import pytest

from fieldvote.errors import InputError
from privacy.pii import Vocabulary
from privacy.pii.classes import MASKED

ENGLISH = Vocabulary.load("en")


def shipped():
    packed = files("privacy.pii").joinpath("vocabularies", "en.txt.gz").read_bytes()
    return packed, gzip.decompress(packed)


def test_the_digest_is_that_of_the_shipped_content():
    assert ENGLISH.digest == sha256(shipped()[1]).hexdigest()


def test_one_changed_word_changes_the_digest():
    content = shipped()[1]
    changed = content.replace(b" meeting ", b" zuckerberg ", 1)
    assert changed != content
    assert Vocabulary.from_bytes(changed).digest != ENGLISH.digest


def test_it_is_small_and_loads_quickly():
    packed, content = shipped()
    assert len(packed) < 400_000
    start = time.process_time()
    Vocabulary.from_bytes(content)
    assert time.process_time() - start < 0.2


@pytest.mark.parametrize("word", ["meeting", "please", "invoice", "colour", "lol", "don't", "a"])
def test_everyday_words_may_leave(word):
    assert word in ENGLISH


@pytest.mark.parametrize(
    "word", ["zuckerberg", "smith", "berlin", "john", "facebook", "Meeting", ""]
)
def test_names_places_and_brands_may_not(word):
    assert word not in ENGLISH


def test_every_class_of_a_word_is_one_the_grammar_knows():
    for word, classes in ENGLISH.words.items():
        assert word == word.lower()
        assert word.isascii()
        assert all(letter.islower() or letter in MASKED for letter in classes)
        assert not set(word) & set("0123456789@_#\\")


@pytest.mark.parametrize("locale", ["de", "EN", "", "en-US"])
def test_a_language_without_vocabulary_fails_closed(locale):
    with pytest.raises(InputError):
        Vocabulary.load(locale)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"fieldvote vocabulary 2 en\n", "fieldvote vocabulary 1 é".encode()]
)
def test_bytes_that_are_no_vocabulary_are_refused(content):
    with pytest.raises(InputError):
        Vocabulary.from_bytes(content)
