"""The page on offers: its examples run, and it names every field an offer has."""

import doctest
from dataclasses import fields
from pathlib import Path

from fieldvote.portions import PORTION_KINDS
from fieldvote.records import Offer
from strategies.acquisition.sketches import SKETCH_BITS

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "offers.md"
TEXT = GUIDE.read_text("utf-8")


def test_the_examples_say_what_the_code_does() -> None:
    result = doctest.testfile(str(GUIDE), module_relative=False, encoding="utf-8")
    assert result.failed == 0
    assert result.attempted >= 12


def test_the_page_names_every_field_of_an_offer_and_nothing_more() -> None:
    table = TEXT.split("## What a sketch reveals")[0].splitlines()
    named = [line.split("`")[1] for line in table if line.startswith("| `")]
    assert named == [field.name for field in fields(Offer)]
    assert f"{SKETCH_BITS} bits: on which side of {SKETCH_BITS} secret planes" in TEXT


def test_offers_are_counted_apart_from_what_epsilon_covers() -> None:
    assert {"offers", "summaries"} <= set(PORTION_KINDS)
    assert "counts their bytes as `offers`" in TEXT
