"""Expressions over many items say what a slow reading of each item says."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.labeling import Items, compile_functions
from edge.labeling.expressions import expression_column
from fieldvote.expression_parser import parse_expression
from fieldvote.expressions import Expression, Type
from fieldvote.functions import ExpressionFunction, FieldContract
from fieldvote.task import TabularInput

NAN = math.nan
DATES = ("at",)


def slowly(said: Expression, item: Mapping[str, float]) -> float | bool | None:
    """One item, one node at a time; None is unknown."""
    if said.operator == "field":
        return None if math.isnan(item[said.name]) else item[said.name]
    if said.operator == "literal":
        return said.value
    parts = [slowly(part, item) for part in said.parts]
    if said.operator == "missing":
        return parts[0] is None
    if said.operator == "and":
        return False if False in parts else None if None in parts else True
    if said.operator == "or":
        return True if True in parts else None if None in parts else False
    if None in parts:
        return None
    if said.operator == "not":
        return not parts[0]
    numbers = [float(part) for part in parts if part is not None]
    return _computed(said.operator, numbers)


def _computed(operator: str, numbers: list[float]) -> float | bool | None:
    a, b = numbers[0], numbers[-1]
    table = {
        "<": lambda: a < b, "<=": lambda: a <= b, ">": lambda: a > b, ">=": lambda: a >= b,
        "==": lambda: a == b, "!=": lambda: a != b, "in": lambda: a in numbers[1:],
        "+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b,
        "%": lambda: a % b, "negate": lambda: -a, "abs": lambda: abs(a), "min": lambda: min(a, b),
        "max": lambda: max(a, b), "floor": lambda: math.floor(a), "ceil": lambda: math.ceil(a),
        "sqrt": lambda: math.sqrt(a), "log": lambda: math.log(a), "exp": lambda: math.exp(a),
        "year": lambda: _date(a).year, "month": lambda: _date(a).month, "day": lambda: _date(a).day,
        "weekday": lambda: _date(a).weekday(), "hour": lambda: _date(a).hour,
        "minute": lambda: _date(a).minute,
    }  # fmt: skip
    try:
        found = table[operator]()
    except (ZeroDivisionError, ValueError, OverflowError):
        return None
    return found if isinstance(found, bool) or math.isfinite(found) else None


def _date(seconds: float) -> datetime:
    return datetime.fromtimestamp(math.floor(seconds), UTC)


VALUES = st.sampled_from([NAN, 0.0, 1.0, -2.0, 2.5, 7.0, 1e300])
NUMBERS = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["a", "b", "1", "2.5", "0"]),
        st.tuples(NUMBERS, st.sampled_from("+-*/%"), NUMBERS).map("(%s %s %s)".__mod__),
        st.tuples(
            st.sampled_from(["abs", "floor", "ceil", "sqrt", "log", "exp"]), NUMBERS
        ).map("%s(%s)".__mod__),
        st.tuples(st.sampled_from(["min", "max"]), NUMBERS, NUMBERS).map("%s(%s, %s)".__mod__),
        NUMBERS.map("-{}".format),
    )
)  # fmt: skip
TRUTHS = st.deferred(
    lambda: st.one_of(
        st.tuples(NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS).map(
            "%s %s %s".__mod__
        ),
        st.sampled_from(["missing(a)", "a in (1, 2.5)", "b not in (0, -2)"]),
        st.tuples(TRUTHS, st.sampled_from(["and", "or"]), TRUTHS).map("(%s %s %s)".__mod__),
        TRUTHS.map("not ({})".format),
    )
)


@settings(deadline=None, max_examples=120)
@given(TRUTHS, st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=6))
def test_an_expression_over_many_items_is_the_expression_on_each(
    text: str, values: list[tuple[float, float]]
) -> None:
    if len(text) > 500 or text.count("(") > 25:
        return
    said = parse_expression(text)
    given = expression_column(said, 1)(Items(rows=np.array(values), names=("a", "b")))
    for vote, failed, (a, b) in zip(given.votes, given.failed, values, strict=True):
        expected = slowly(said, {"a": a, "b": b})
        assert vote == (1 if expected is True else -1)
        gaps = any(math.isnan({"a": a, "b": b}[name]) for name in said.fields)
        assert failed == (expected is None and not gaps)


@settings(deadline=None)
@given(
    st.lists(st.floats(-62_135_596_800, 253_402_300_799, allow_nan=False), min_size=1, max_size=5)
)
def test_parts_of_dates_are_the_calendar_s(seconds: list[float]) -> None:
    items = Items(rows=np.array(seconds)[:, None], names=("at",))
    for part in ("year", "month", "day", "weekday", "hour", "minute"):
        for one in seconds:
            expected = getattr(_date(one), part)
            value = expected() if callable(expected) else expected
            said = parse_expression(f"{part}(at) == {value}", DATES)
            assert said.type is Type.TRUTH
            votes = expression_column(said, 0)(items).votes
            assert votes[seconds.index(one)] == 0, (part, one)


def test_a_date_outside_the_calendar_has_no_parts_and_has_failed() -> None:
    items = Items(rows=np.array([[1e15], [-1e15], [NAN], [0.0]]), names=("at",))
    given = expression_column(parse_expression("year(at) > 0", DATES), 0)(items)
    assert given.votes.tolist() == [-1, -1, -1, 0]
    assert given.failed.tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("when", "votes"),
    [
        ("amount > 3 * median_amount and weekday(date) in (5, 6)", [1, -1, -1, -1]),
        ('date >= "2024-06-01" and date < "2024-06-03"', [1, -1, 1, 1]),
        ("amount / median_amount > 2", [1, 1, -1, -1]),
        ("missing(amount) or amount > 100", [-1, -1, -1, 1]),
        ("not amount > 3", [-1, -1, 1, -1]),
    ],
)
def test_expressions_by_example(when: str, votes: list[int]) -> None:
    saturday, monday = 1717200000.0, 1717372800.0
    rows = np.array([[40, 10, saturday], [40, 10, monday], [0, 0, saturday], [NAN, 5, saturday]])
    function = ExpressionFunction(
        id="e", owner="ann", class_name="odd", when=when,
        contract=(("date", FieldContract(type="date")),),
    )  # fmt: skip
    fields = ("amount", "median_amount", "date")
    ready = compile_functions([function], TabularInput(fields=fields), ("usual", "odd"))
    assert ready.vote(Items(rows=rows, names=fields))[:, 0].tolist() == votes


def test_a_division_by_zero_abstains_and_is_counted() -> None:
    function = ExpressionFunction(id="e", owner="ann", class_name="odd", when="a / b > 2")
    ready = compile_functions([function], TabularInput(fields=("a", "b")), ("usual", "odd"))
    rows = np.array([[1.0, 0.0], [NAN, 0.0], [9.0, 1.0]])
    assert ready.vote(Items(rows=rows, names=("a", "b")))[:, 0].tolist() == [-1, -1, 1]
    assert ready.abstained_by_error == {"e": 1}
