"""What leaves of a row: nothing unnamed, nothing finer than allowed, and noise within its bound."""

import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, SettingsError
from fieldvote.field_rules import (
    Age,
    Category,
    Decimals,
    Drop,
    FieldRule,
    Keep,
    Noise,
    Place,
    Time,
)
from fieldvote.rng import keyed_entropy
from privacy.pii import FieldPolicy, KeptField, mask_fields
from privacy.pii.field_scan import field_scan
from privacy.pii.fields import most_common, read_fields, show_fields

NAMES = ("age", "temperature", "latitude")

RULES = st.one_of(
    st.builds(Keep),
    st.builds(Decimals, decimals=st.integers(-3, 6)),
    st.builds(Time, to=st.sampled_from(["hour", "day", "week", "month"])),
    st.builds(Place, decimals=st.integers(0, 3)),
    st.builds(Place, grid=st.sampled_from([0.001, 0.01, 0.05, 0.3, 1 / 3, 7.0])),
    st.sampled_from([Age(), Age(width=10), Age(width=3, top=81), Age(width=2, top=2)]),
    st.builds(
        Category,
        values=st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=5, unique=True).map(
            tuple
        ),
    ),
    st.builds(Noise, spread=st.floats(1.0, 50.0), decimals=st.integers(0, 3)),
)


def fitting(rule: FieldRule) -> st.SearchStrategy[float]:
    """Values of the kind a rule is for."""
    match rule:
        case Time():
            return st.floats(4e5, 4e9)  # the week that holds 0 began before it
        case Place():
            return st.floats(-180, 180)
        case Age():
            return st.floats(0, 150)
        case Category():
            return st.integers(-7, 7).map(float)
        case _:
            return st.floats(-1e9, 1e9)


ROWS = st.lists(RULES, min_size=1, max_size=4).flatmap(
    lambda rules: st.tuples(
        st.just(tuple(rules)),
        st.tuples(*(st.one_of(fitting(rule), st.just(math.nan)) for rule in rules)),
    )
)


def policy_of(rules: tuple[FieldRule, ...]) -> FieldPolicy:
    return FieldPolicy(rules=tuple((f"f{i}", rule) for i, rule in enumerate(rules)))


def shown(value: float, rule: FieldRule, entropy: Callable[[int], bytes] | None = None) -> str:
    """Return what leaves of one value."""
    policy = FieldPolicy(rules=(("f", rule),))
    [(_, text)] = show_fields(mask_fields(["f"], [value], policy, entropy), policy)
    return text


def test_an_empty_policy_lets_nothing_out() -> None:
    assert mask_fields(NAMES, [36.0, 1.0, 2.0], FieldPolicy()) == ()


@given(
    st.lists(st.floats(allow_infinity=False, width=32), min_size=3, max_size=3),
    st.sets(st.sampled_from(NAMES)),
    st.integers(-2, 6),
)
def test_only_named_fields_leave_and_only_as_exact_as_allowed(
    values: list[float], kept: set[str], decimals: int
) -> None:
    policy = FieldPolicy(tuple(KeptField(name, decimals) for name in sorted(kept)))
    masked = mask_fields(NAMES, values, policy)
    assert [name for name, _ in masked] == [name for name in NAMES if name in kept]
    for name, value in masked:
        original = values[NAMES.index(name)]
        if value is None:
            assert math.isnan(original)
        else:
            assert value == round(original, decimals)
            assert math.copysign(1, value) == 1 or value != 0


@given(ROWS)
@settings(deadline=None)
def test_what_masking_shows_passes_the_second_scan_and_reads_back_as_what_was_masked(
    row: tuple[tuple[FieldRule, ...], tuple[float, ...]],
) -> None:
    rules, values = row
    policy = policy_of(rules)
    names = [f"f{i}" for i in range(len(rules))]
    masked = mask_fields(names, values, policy, keyed_entropy(1, "noise"))
    told = show_fields(masked, policy)
    assert field_scan(told, policy.leaving) == ()
    assert read_fields(told, policy) == masked


@given(ROWS)
@settings(deadline=None)
def test_masking_what_is_masked_already_says_nothing_more(
    row: tuple[tuple[FieldRule, ...], tuple[float, ...]],
) -> None:
    pairs = [pair for pair in zip(*row, strict=True) if not isinstance(pair[0], Noise)]
    policy = policy_of(tuple(rule for rule, _ in pairs))
    names = [f"f{i}" for i in range(len(pairs))]
    once = mask_fields(names, [value for _, value in pairs], policy)
    again = [math.nan if value is None else value for _, value in once]
    assert mask_fields(names, again, policy) == once


TABLE: list[tuple[FieldRule, float, str]] = [
    (Keep(), 36.61234, "36.61234"),
    (Decimals(decimals=-2), 1249.0, "1200.0"),
    (Time(to="hour"), datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC).timestamp(), "2026-02-28T23Z"),
    (Time(to="day"), datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC).timestamp(), "2026-02-28"),
    (Time(to="week"), datetime(2026, 1, 1, tzinfo=UTC).timestamp(), "2026-W01"),
    (Time(to="week"), 0.0, "1970-W01"),
    (Time(to="month"), datetime(2024, 2, 29, tzinfo=UTC).timestamp(), "2024-02"),
    (
        Time(to="day", unit="ms"),
        datetime(2026, 2, 28, 1, tzinfo=UTC).timestamp() * 1e3 + 7,
        "2026-02-28",
    ),  # one row of a table
    (Place(decimals=2), 52.520008, "52.52"),
    (Place(grid=0.5), -0.1, "-0.25"),
    (Age(), 0.5, "0-4"),
    (Age(), 89.9, "85-89"),
    (Age(), 90.0, "90+"),
    (Age(), 117.0, "90+"),
    (Age(width=10), 42.0, "40-49"),
    (Category(values=(1.0, 2.0)), 2.0, "2.0"),
    (Category(values=(1.0, 2.0)), 3.0, "other"),
    (Category(values=(1e300,)), 5.0, "other"),
    (Decimals(decimals=1), math.nan, ""),
    (Age(), math.nan, ""),
]


@pytest.mark.parametrize(("rule", "value", "expected"), TABLE)
def test_each_rule_shows(rule: FieldRule, value: float, expected: str) -> None:
    assert shown(value, rule) == expected


def test_a_dropped_field_is_the_same_as_one_that_is_not_named() -> None:
    policy = FieldPolicy(rules=(("age", Drop()), ("latitude", Place(decimals=0))))
    assert mask_fields(NAMES, [36.0, 1.0, 52.4], policy) == (("latitude", 52.0),)
    assert field_scan((("age", "36.0"),), dict(policy.rules)) == (("age", "NOT_NAMED"),)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (Age(), -1.0),
        (Age(), 151.0),
        (Place(decimals=1), 180.5),
        (Place(grid=1.0), -181.0),
        (Time(to="day"), -1.0),
        (Time(to="day"), 1.7e12),  # milliseconds in a field of seconds
    ],
)
def test_a_value_that_is_not_of_its_rules_kind_is_refused_without_being_told(
    rule: FieldRule, value: float
) -> None:
    with pytest.raises(InputError) as caught:
        shown(value, rule)
    assert repr(value) not in str(caught.value)


@pytest.mark.parametrize("steps", [1, 2, 7, 128])
def test_noise_stays_within_its_bound_and_is_even(steps: int) -> None:
    """False alarm below one in a million: each of the steps is 6 standard deviations wide."""
    rule, entropy = Noise(spread=steps / 10, decimals=1), keyed_entropy(3, "noise", steps)
    draws = 400 * (2 * steps + 1)
    moved = Counter(
        round(float(shown(20.0, rule, entropy)) * 10) - 200 for _ in range(min(draws, 20000))
    )
    assert set(moved) <= set(range(-steps, steps + 1))
    expected = sum(moved.values()) / (2 * steps + 1)
    if expected >= 400:
        assert all(abs(count - expected) < 6 * math.sqrt(expected) for count in moved.values())
        assert len(moved) == 2 * steps + 1
    else:
        assert len(moved) > steps


def test_noise_without_entropy_is_refused_and_no_other_rule_asks_for_any() -> None:
    with pytest.raises(InputError, match="no entropy"):
        shown(1.0, Noise(spread=2))

    def none(_: int) -> bytes:
        raise AssertionError

    assert shown(1.0, Decimals(decimals=0), none) == "1.0"


def test_every_draw_of_noise_is_drawn_from_the_given_entropy() -> None:
    rule = Noise(spread=100)
    first = [shown(0.0, rule, keyed_entropy(1, "a")) for _ in range(3)]
    assert len(set(first)) == 1
    stream = keyed_entropy(1, "a")
    assert len({shown(0.0, rule, stream) for _ in range(20)}) > 10


# what is too exact, and the rule that says so; each is what a masking gone wrong would write
TOO_EXACT: list[tuple[FieldRule, str]] = [
    (Keep(), "Ann"),
    (Decimals(decimals=1), "36.61"),
    (Decimals(decimals=-1), "36.0"),
    (Decimals(decimals=1), "nan"),
    (Decimals(decimals=1), "1e999999999"),
    (Noise(spread=1), "3.5"),
    (Time(to="day"), "2026-02-28T23Z"),
    (Time(to="hour"), "2026-02-28T23:59Z"),
    (Time(to="month"), "2026-02-28"),
    (Time(to="week"), "1772323199.0"),
    (Place(decimals=2), "52.520008"),
    (Place(decimals=2), "999.25"),
    (Place(grid=0.5), "-0.1"),
    (Age(), "42"),
    (Age(), "41-45"),
    (Age(), "40-42"),
    (Age(), "95+"),
    (Age(), "95-99"),
    (Category(values=(1.0,)), "3.0"),
    (Category(values=(1.0,)), "Ann"),
    (Keep(), "1" * 33),
    (Keep(), "\u0661"),
    (Keep(), "1_000"),
]


@pytest.mark.parametrize(("rule", "text"), TOO_EXACT)
def test_the_second_scan_finds_what_is_too_exact(rule: FieldRule, text: str) -> None:
    assert field_scan((("f", text),), {"f": rule}) == (("f", "TOO_EXACT"),)


def test_the_second_scan_finds_a_field_that_is_not_named_or_stands_there_twice() -> None:
    rules = {"age": Age()}
    assert field_scan((("serial", "7"),), rules) == (("serial", "NOT_NAMED"),)
    assert field_scan((("age", "0-4"), ("age", "5-9")), rules) == (("age", "TWICE"),)


@pytest.mark.parametrize("text", ["40 to 44", "x", "2026-13", ""])
def test_what_was_not_shown_is_not_read_back(text: str) -> None:
    policy = FieldPolicy(rules=(("at", Time(to="month")),))
    if text:
        with pytest.raises(InputError):
            read_fields((("at", text),), policy)
    with pytest.raises(InputError):
        read_fields((("else", text or "1"),), policy)


def test_a_field_the_schema_lacks_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'latitude'"):
        mask_fields(NAMES, [1.0, 2.0, 3.0], FieldPolicy((KeptField("lattitude", 1),)))
    with pytest.raises(InputError, match="did you mean 'age'"):
        mask_fields(NAMES, [1.0, 2.0, 3.0], FieldPolicy(rules=(("aeg", Drop()),)))


@pytest.mark.parametrize(
    ("names", "values"),
    [(NAMES, [1.0]), (("a", "a"), [1.0, 2.0]), (("a",), [math.inf]), (("a",), [-math.inf])],
)
def test_an_item_that_does_not_fit_is_refused(names: tuple[str, ...], values: list[float]) -> None:
    with pytest.raises(InputError):
        mask_fields(names, values, FieldPolicy((KeptField("a", 1),)))


@pytest.mark.parametrize("decimals", [True, 1.0, 13, -13, None])
def test_decimals_are_a_small_whole_number(decimals: object) -> None:
    with pytest.raises(InputError):
        KeptField("age", decimals)  # type: ignore[arg-type]  # that is the case


def test_a_policy_names_a_field_once() -> None:
    with pytest.raises(InputError):
        FieldPolicy((KeptField("age", 1), KeptField("age", 2)))
    with pytest.raises(InputError):
        FieldPolicy((KeptField("age", 1),), rules=(("age", Drop()),))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Place(),
        lambda: Place(decimals=1, grid=1.0),
        lambda: Place(decimals=4),
        lambda: Place(decimals=-1),
        lambda: Place(grid=0.0001),
        lambda: Place(grid=math.nan),
        lambda: Age(width=1),
        lambda: Age(width=7, top=90),
        lambda: Age(top=95),
        lambda: Category(values=()),
        lambda: Category(values=(1.0, 1.0)),
        lambda: Category(values=(math.nan,)),
        lambda: Noise(spread=0.05, decimals=1),
        lambda: Noise(spread=math.inf),
        lambda: Noise(spread=math.nan),
        lambda: Decimals(decimals=13),
    ],
)
def test_a_rule_that_hides_nothing_cannot_be_made(make: Callable[[], FieldRule]) -> None:
    with pytest.raises(SettingsError):
        make()


def test_the_most_frequent_codes_are_the_smaller_ones_where_counts_are_equal() -> None:
    assert most_common([5, 4, 4, 3, 3, math.nan], 1) == (3.0,)
    assert most_common([], 3) == ()
