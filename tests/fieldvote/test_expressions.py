"""Expressions are parsed by a grammar of their own, typed, bounded, and printed in one form."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import SettingsError
from fieldvote.expression_parser import parse_expression
from fieldvote.expressions import DEEPEST, FUNCTIONS, LONGEST, MOST_STEPS, SIGNATURES, Type

DATES = ("at", "until")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("a>1", "(`a` > 1.0)"),
        ("a > 3 * b and weekday(at) in (5, 6)",
         "((`a` > (3.0 * `b`)) and (weekday(`at`) in (5.0, 6.0)))"),
        ("not a > 1 or b < 2 and c == 3",
         "((not (`a` > 1.0)) or ((`b` < 2.0) and (`c` == 3.0)))"),
        ("1 < a <= 3", "((1.0 < `a`) and (`a` <= 3.0))"),
        ("a - b - c > -d", "(((`a` - `b`) - `c`) > (-`d`))"),
        ("(a - (b - c)) % 2 == 0", "(((`a` - (`b` - `c`)) % 2.0) == 0.0)"),
        ("--a < 1", "((-(-`a`)) < 1.0)"),
        ("not not missing(a)", "(not (not missing(`a`)))"),
        ("a not in (-1, 2.5e3)", "(not (`a` in (-1.0, 2500.0)))"),
        ("at >= '2024-02-29'", '(`at` >= "2024-02-29T00:00:00+00:00")'),
        ('until - at > 86400 and at + 3600 < "2024-01-01T10:00+02:00"',
         '(((`until` - `at`) > 86400.0) and ((`at` + 3600.0) < "2024-01-01T08:00:00+00:00"))'),
        ("`heart rate (1/min)` > max(a, .5)", "(`heart rate (1/min)` > max(`a`, 0.5))"),
        ("a > 1 == b", "((`a` > 1.0) and (1.0 == `b`))"),
        ("hour > 1", "(`hour` > 1.0)"),
        ("at in ('2024-01-01', '2024-12-25')",
         '(`at` in ("2024-01-01T00:00:00+00:00", "2024-12-25T00:00:00+00:00"))'),
    ],
)  # fmt: skip
def test_an_expression_binds_as_it_reads(text: str, normal: str) -> None:
    parsed = parse_expression(text, DATES)
    assert str(parsed) == normal
    assert parse_expression(normal, DATES) == parsed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at 1: expected a value, got the end"),
        ("a >", "at 4: expected a value, got the end"),
        ("a > 1 b", "at 7: expected an operator or the end, got 'b'"),
        ("(a > 1", "at 7: expected ')', got the end"),
        ("a = 1", "at 3: unexpected '='"),
        ("a > 1; b", "at 6: unexpected ';'"),
        ("a.b > 1", "at 2: unexpected '.'"),
        ("1and > 2", "at 1: unexpected '1'"),
        ("__import__('os')", "at 1: no function '__import__'"),
        ("hours(at) > 1", "at 1: no function 'hours'; did you mean 'hour'?"),
        ("a and b", "at 8: 'and' takes a truth and a truth, got a number and a number"),
        ("a > 1 > at", "takes a number and a number or a date and a date"),
        ("not a", "'not' takes a truth, got a number"),
        ("hour(a) > 1", "at 1: 'hour' takes a date, got a number; the contract says which"),
        ("abs(a, b) > 1", "at 1: 'abs' takes a number, got a number and a number"),
        ("missing(a + 1)", "at 1: missing() takes a field"),
        ("a in (1, b)", "expected a number or a date, got 'b'"),
        ("a in ()", "expected a number or a date, got ')'"),
        ("at in (1, 2)", "a date cannot be in a list with a number"),
        ("(a > 1) in (1, 2)", "a truth cannot be in a list with a number"),
        ("a in 1", "expected '(', got '1'"),
        ("a not 1", "expected 'in', got '1'"),
        ("at > '2024-13-01'", "at 6: '2024-13-01' is not a date"),
        ("at > 'soon'", "at 6: 'soon' is not a date"),
        ("at * 2 > at", "'*' takes a number and a number, got a date and a number"),
        ("a > 1e999", "a number too large to hold"),
        ("and > 1", "at 1: expected a value, got 'and'"),
        ("at + until > at", "'+' takes"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        parse_expression(text, DATES)


def test_an_expression_is_bounded_in_length_depth_and_steps() -> None:
    with pytest.raises(SettingsError, match=f"{LONGEST + 1} characters long"):
        parse_expression(" " * (LONGEST + 1))
    with pytest.raises(SettingsError, match=f"nested more than {DEEPEST} deep"):
        parse_expression("(" * (DEEPEST + 1) + "a")
    # an odd number of steps: the first sum has three, every further one two more
    fits = "a" + "+1" * ((MOST_STEPS - 4) // 2) + " > 0"
    assert parse_expression(fits).steps <= MOST_STEPS
    for text in (fits.replace("a", "a+1+1", 1), "a in (" + "1," * MOST_STEPS + "1)"):
        with pytest.raises(SettingsError, match=f"more than {MOST_STEPS} steps"):
            parse_expression(text)
    with pytest.raises(SettingsError, match=f"more than {MOST_STEPS} steps"):
        parse_expression("not " * (MOST_STEPS + 1) + "missing(a)")


def test_the_fields_of_an_expression_are_those_it_names_each_once() -> None:
    parsed = parse_expression("b > a and not missing(`c d`) or a in (1, 2)")
    assert parsed.fields == ("b", "a", "c d")


def test_every_function_has_a_signature_that_can_be_met() -> None:
    written = {Type.NUMBER: "a", Type.DATE: "at"}
    for name in FUNCTIONS:
        for takes, becomes in SIGNATURES[name]:
            call = f"{name}({', '.join(written[each] for each in takes)})"
            assert parse_expression(call, DATES).type is becomes


NUMBERS = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["a", "b", "`c d`", "1", "2.5", "1e-3"]),
        st.tuples(NUMBERS, st.sampled_from("+-*/%"), NUMBERS).map(" ".join).map("({})".format),
        NUMBERS.map("-{}".format),
        NUMBERS.map("sqrt({})".format),
        st.sampled_from(["hour(at)", "(until - at)"]),
    )
)
TRUTHS = st.deferred(
    lambda: st.one_of(
        st.tuples(NUMBERS, st.sampled_from(["<", ">=", "!="]), NUMBERS).map(" ".join),
        st.tuples(TRUTHS, st.sampled_from(["and", "or"]), TRUTHS).map(" ".join).map("({})".format),
        TRUTHS.map("not ({})".format),
        NUMBERS.map("{} not in (1, -2)".format),
    )
)


@settings(deadline=None, max_examples=150)
@given(TRUTHS)
def test_the_normal_form_says_the_same_and_is_its_own_normal_form(text: str) -> None:
    try:
        parsed = parse_expression(text, DATES)
    except SettingsError as err:
        assert "more than" in str(err) or "characters" in str(err)  # noqa: PT017  # too large is fine
        return
    normal = str(parsed)
    if len(normal) <= LONGEST and normal.count("(") < DEEPEST:
        assert parse_expression(normal, DATES) == parsed


@settings(deadline=None)
@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9998, 1, 1)))
def test_a_date_without_a_zone_is_utc(when: datetime) -> None:
    (_, literal) = parse_expression(f'at > "{when.isoformat()}"', DATES).parts
    assert literal.value == when.replace(tzinfo=UTC).timestamp()
