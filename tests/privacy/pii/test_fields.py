import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldvote.errors import InputError
from privacy.pii import FieldPolicy, KeptField, mask_fields

NAMES = ("age", "temperature", "latitude")


def test_an_empty_policy_lets_nothing_out():
    assert mask_fields(NAMES, [36.0, 1.0, 2.0], FieldPolicy()) == ()


@given(
    st.lists(st.floats(allow_infinity=False, width=32), min_size=3, max_size=3),
    st.sets(st.sampled_from(NAMES)),
    st.integers(-2, 6),
)
def test_only_named_fields_leave_and_only_as_exact_as_allowed(values, kept, decimals):
    policy = FieldPolicy(tuple(KeptField(name, decimals) for name in sorted(kept)))
    masked = mask_fields(NAMES, values, policy)
    assert [name for name, _ in masked] == [name for name in NAMES if name in kept]
    for name, value in masked:
        original = values[NAMES.index(name)]
        if math.isnan(original):
            assert value is None
        else:
            assert value == round(original, decimals)
            assert math.copysign(1, value) == 1 or value != 0


def test_a_field_the_schema_lacks_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="did you mean 'latitude'"):
        mask_fields(NAMES, [1.0, 2.0, 3.0], FieldPolicy((KeptField("lattitude", 1),)))


@pytest.mark.parametrize(
    ("names", "values"),
    [(NAMES, [1.0]), (("a", "a"), [1.0, 2.0]), (("a",), [math.inf]), (("a",), [-math.inf])],
)
def test_an_item_that_does_not_fit_is_refused(names, values):
    with pytest.raises(InputError):
        mask_fields(names, values, FieldPolicy((KeptField("a", 1),)))


@pytest.mark.parametrize("decimals", [True, 1.0, 13, -13, None])
def test_decimals_are_a_small_whole_number(decimals):
    with pytest.raises(InputError):
        KeptField("age", decimals)


def test_a_policy_names_a_field_once():
    with pytest.raises(InputError):
        FieldPolicy((KeptField("age", 1), KeptField("age", 2)))
