"""What a sketch reveals: somebody has an offer, and a list of texts one of which it may be of.

Whoever knows the projection's secret, as every device of the fleet does, sketches his list and
looks. Whoever does not know it has nothing to sketch with.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.acquisition import hamming, sketch
from strategies.text_features import SHAPES, hash_ngrams

SECRET, TARGETS = 20_261, 300
WORDS = (
    "call text free prize now later home work love see you tonight lunch meet train bus late soon "
    "money phone claim urgent reply stop win cash week night morning happy birthday thanks sorry "
    "please send pick drop come go where when what who good bad fine ok maybe sure never always"
)
FOLDER = os.environ.get("FIELDVOTE_DATA")


def made_texts(count: int) -> list[str]:
    rng, words = np.random.default_rng(1), WORDS.split()
    return [" ".join(rng.choice(words, rng.integers(5, 14))) for _ in range(count)]


def read_texts() -> list[str]:
    with np.load(Path(FOLDER or "") / "sms_spam.npz") as file:
        texts = bytes(file["utf8"]).decode().split("\n")[: len(file["y"])]
    return sorted({text for text in texts if len(text) > 20})


def sketches_of(texts: list[str], *, seed: int, bits: int) -> NDArray[np.uint8]:
    """As a device makes them of hashed texts, around the middle of the fleet."""
    rows = hash_ngrams(texts, 1024)[:, :-SHAPES].astype(np.float64)
    return sketch(rows, bits=bits, seed=seed, center=rows.mean(axis=0))


def matched(offered: NDArray[np.uint8], guessed: NDArray[np.uint8]) -> float:
    """Share of offers whose own text is alone nearest on the list, and ties shared out."""
    right = 0.0
    for place, own in enumerate(offered):
        apart = hamming(guessed, own)
        nearest = apart == apart.min()
        right += nearest[place] / nearest.sum()
    return right / len(offered)


@pytest.mark.parametrize("bits", [64, 128])
def test_without_the_secret_a_list_of_texts_is_matched_no_better_than_by_chance(bits: int) -> None:
    texts = made_texts(1_000)
    offered = sketches_of(texts, seed=SECRET, bits=bits)[:TARGETS]
    # 20 secrets of his own: 6 of 6,000 matches by chance, 17 and more one time in 5,000
    tries = [
        TARGETS * matched(offered, sketches_of(texts, seed=guess, bits=bits)) for guess in range(20)
    ]
    assert sum(tries) < 17


@pytest.mark.parametrize("bits", [64, 128])
def test_a_device_in_league_with_the_coordinator_finds_a_text_that_is_on_its_list(
    bits: int,
) -> None:
    texts = made_texts(1_000)
    offered = sketches_of(texts, seed=SECRET, bits=bits)[:TARGETS]
    assert matched(offered, sketches_of(texts, seed=SECRET, bits=bits)) > 0.95


@pytest.mark.skipif(FOLDER is None, reason="needs FIELDVOTE_DATA for sms_spam.npz")
@pytest.mark.parametrize("bits", [64, 128])
def test_with_the_secret_messages_are_found_as_often_as_the_guide_says(bits: int) -> None:
    texts = read_texts()
    pick = np.random.default_rng(2).permutation(len(texts))
    targets, others = pick[:TARGETS], pick[TARGETS:]
    offered = sketches_of(texts, seed=SECRET, bits=bits)
    assert matched(offered[targets], offered[pick]) > 0.98
    # the list has the message but for its last word, among 5,000 others
    nearly = [" ".join(texts[place].split()[:-1]) for place in targets]
    guessed = sketches_of([*nearly, *texts], seed=SECRET, bits=bits)[:TARGETS]
    assert matched(offered[targets], np.concatenate([guessed, offered[others]])) > 0.88
    # of messages that are on no list, few look exactly like one that is
    taken_for_another = [hamming(offered[others], offered[i]).min() == 0 for i in targets]
    assert np.mean(taken_for_another) < 0.03
