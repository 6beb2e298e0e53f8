import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.store.budget import Resource, Spending
from coordinator.store.verify import verify
from fieldvote.errors import BudgetSpentError, InputError
from tests.coordinator.store.places import Place

STEPS = st.lists(
    st.tuples(
        st.integers(0, 5), st.sampled_from(list(Resource)), st.integers(0, 60), st.integers(0, 60)
    ),
    max_size=12,
)


def test_a_reservation_that_would_pass_the_limit_names_what_is_left(place: Place) -> None:
    store = place.store()
    store.reserve("a", Resource.MONEY, 60, 100)
    store.settle_budget("a", 50)
    store.reserve("b", Resource.MONEY, 30, 100)
    with pytest.raises(BudgetSpentError, match="money: 21 asked for, 20 of 100 left") as refused:
        store.reserve("c", Resource.MONEY, 21, 100)
    assert (refused.value.resource, refused.value.left, refused.value.limit) == ("money", 20, 100)
    assert store.budget()[Resource.MONEY] == Spending(reserved=30, spent=50)
    store.reserve("c", Resource.MONEY, 20, 100)
    store.reserve("d", Resource.LABELS, 100, 100)  # another purse


def test_reserving_and_settling_twice_is_once(place: Place) -> None:
    store = place.store()
    for _ in range(2):
        store.reserve("a", Resource.BYTES, 60, 100)
    with pytest.raises(InputError, match="another amount"):
        store.reserve("a", Resource.BYTES, 61, 1000)
    with pytest.raises(InputError, match="another amount"):
        store.reserve("a", Resource.LABELS, 60, 1000)
    for spent in (10, 10, 20):
        store.settle_budget("a", spent)
    store.reserve("a", Resource.BYTES, 60, 100)  # a step taken again after it was settled
    assert store.budget()[Resource.BYTES] == Spending(reserved=0, spent=10)


def test_more_than_was_reserved_is_settled_only_knowingly(place: Place) -> None:
    store = place.store()
    store.reserve("a", Resource.EPSILON, 10, 100)
    for wrong in (11, -1):
        with pytest.raises(InputError, match="cannot be settled"):
            store.settle_budget("a", wrong)
    assert store.budget()[Resource.EPSILON] == Spending(reserved=10)
    store.settle_budget("a", 150, over=True)
    with pytest.raises(BudgetSpentError) as refused:
        store.reserve("b", Resource.EPSILON, 1, 100)
    assert refused.value.left == 0
    assert verify(store.database).faults == ()
    with pytest.raises(InputError, match="nothing is reserved as 'z'"):
        store.settle_budget("z", 0)
    with pytest.raises(InputError, match="0 or more"):
        store.reserve("z", Resource.EPSILON, -1, 100)


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_a_budget_is_the_sum_of_its_entries_and_never_passes_its_limit(
    place: Place, steps: list[tuple[int, Resource, int, int]]
) -> None:
    store = place.fresh_campaign()
    entries: dict[str, tuple[Resource, int, int | None]] = {}
    for key, resource, amount, spent in steps:
        name = f"{key}"
        held = sum(r if s is None else s for kind, r, s in entries.values() if kind is resource)
        if name in entries:
            kind, reserved, settled = entries[name]
            if settled is None and spent <= reserved:
                store.settle_budget(name, spent)
                entries[name] = (kind, reserved, spent)
        elif held + amount <= 100:
            store.reserve(name, resource, amount, 100)
            entries[name] = (resource, amount, None)
        else:
            with pytest.raises(BudgetSpentError):
                store.reserve(name, resource, amount, 100)
    for resource, found in store.budget().items():
        mine = [(r, s) for kind, r, s in entries.values() if kind is resource]
        assert found.reserved == sum(r for r, s in mine if s is None)
        assert found.spent == sum(s for _, s in mine if s is not None)
        assert found.reserved + found.spent <= 100
