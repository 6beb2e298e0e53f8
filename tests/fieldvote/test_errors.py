"""The error tree, and what it promises the command line."""

import fieldvote.errors as errors
from fieldvote.errors import FieldvoteError, MissingExtraError, ShapeError, nearest

EXIT_CODES = {
    "InputError": 2,
    "ShapeError": 2,
    "SettingsError": 2,
    "TaskError": 2,
    "DataError": 2,
    "WireError": 2,
    "RefusalError": 3,
    "LedgerSpentError": 3,
    "BudgetSpentError": 3,
    "LeakError": 3,
    "SignatureError": 3,
    "SealError": 3,
    "UnavailableError": 4,
    "MissingExtraError": 4,
    "MissingDataError": 4,
    "StoreError": 4,
    "FencedError": 4,
    "StoreBusyError": 4,
    "InternalError": 5,
    "FieldvoteError": 5,
}


def error_classes() -> dict[str, type[FieldvoteError]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, FieldvoteError)
    }


def test_every_error_has_the_exit_code_of_its_branch() -> None:
    assert {name: error.exit_code for name, error in error_classes().items()} == EXIT_CODES


def test_the_docstring_draws_every_error() -> None:
    assert errors.__doc__ is not None
    assert [name for name in error_classes() if name not in errors.__doc__] == []


def test_a_shape_error_keeps_its_facts() -> None:
    error = ShapeError("votes", (3,), ("n", "m"))
    assert (error.name, error.got, error.expected) == ("votes", (3,), ("n", "m"))
    assert str(error) == "votes has shape (3,), expected ('n', 'm')"


def test_a_missing_extra_names_the_command_that_brings_it() -> None:
    assert "pip install 'fieldvote[coordinator]'" in str(MissingExtraError("this", "coordinator"))


def test_nearest_suggests_a_close_word_or_lists_them_all() -> None:
    assert nearest("offr", ["ordinary", "offer"]) == "did you mean 'offer'?"
    assert nearest("zzz", {"b", "a"}) == "known: a, b"
    assert nearest("x", []) == "known: "
