import pytest

from coordinator.store.promises import Owed
from fieldvote.errors import InputError
from tests.coordinator.store.places import Place


def test_an_effect_is_owed_once_until_it_is_settled(place: Place) -> None:
    store = place.store()
    assert store.owe("2", "email", b"first")
    assert not store.owe("2", "email", b"second")
    assert store.owe("1", "page", b"")
    second = Owed(key="1", kind="page", body=b"")
    assert store.owed() == [Owed(key="2", kind="email", body=b"first"), second]
    store.settle("2")
    store.settle("2")
    assert store.owed() == [second]
    assert not store.owe("2", "email", b"again")
    assert store.owed() == [second]
    with pytest.raises(InputError, match="nothing is owed as '9'"):
        store.settle("9")
