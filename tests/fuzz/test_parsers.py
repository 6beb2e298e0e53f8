"""A hundred thousand broken messages for all parsers together, and ten million at night."""

import pytest

from tests.fuzz.harness import Parser, fuzz, shares
from tests.fuzz.table import PARSERS

EVERY_CHANGE, NIGHTLY = 100_000, 10_000_000


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_good_messages_are_taken(parser: Parser) -> None:
    """A seed that is refused would be changed into nothing but refusals."""
    assert parser.seeds
    for seed in parser.seeds:
        parser.parse(seed)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_a_broken_message_is_a_typed_error_in_bounded_time_and_memory(parser: Parser) -> None:
    fuzz(parser, shares(PARSERS, EVERY_CHANGE)[parser.name])


@pytest.mark.nightly
@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_ten_million_broken_messages_are_typed_errors(parser: Parser) -> None:
    fuzz(parser, shares(PARSERS, NIGHTLY)[parser.name])
