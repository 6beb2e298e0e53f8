import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError
from fieldvote.rng import keyed_entropy, stream
from privacy.secagg.field import PRIME, invert, multiply, reduce, subtract, uniform
from privacy.secagg.shamir import Dealer, recover

elements = st.integers(0, PRIME - 1)
vectors = st.lists(elements, min_size=1, max_size=8)


def array(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.uint64)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=8))
def test_reducing_is_the_remainder(numbers: list[int]) -> None:
    assert reduce(array(*numbers)).tolist() == [number % PRIME for number in numbers]


@given(vectors, elements)
def test_the_field_multiplies_and_subtracts_as_whole_numbers_do(left: list[int], b: int) -> None:
    assert multiply(array(*left), array(b)).tolist() == [a * b % PRIME for a in left]
    assert subtract(array(*left), array(b)).tolist() == [(a - b) % PRIME for a in left]


@given(st.lists(st.integers(1, PRIME - 1), min_size=1, max_size=20))
def test_all_inverses_come_from_one_exponentiation(numbers: list[int]) -> None:
    assert multiply(array(*numbers), invert(array(*numbers))).tolist() == [1] * len(numbers)


def test_elements_are_drawn_evenly_and_never_the_prime() -> None:
    always = iter([b"\xff" * 8, b"\x01\x00\x00\x00\xff\xff\xff\xff", b"\x02\x00\x00\x80"])
    assert uniform(2, lambda size: next(always)).tolist() == [1, 2]
    # 16 bins of 10,000 draws: chi-square of 15 degrees passes 50 once in 90,000
    drawn = uniform(10_000, keyed_entropy(1, "uniform"))
    bins = np.bincount((drawn >> np.uint64(27)).astype(int), minlength=16)
    assert ((bins - 625) ** 2 / 625).sum() < 50


@given(st.integers(1, 40), st.data())
@settings(deadline=None, max_examples=80)
def test_any_threshold_of_shares_gives_the_secret_back(holders: int, data: st.DataObject) -> None:
    threshold = data.draw(st.integers(1, holders))
    secret = array(*data.draw(st.lists(elements, min_size=5, max_size=5)))
    seed = data.draw(st.integers(0, 1000))
    shares = Dealer(holders=holders, threshold=threshold).deal(secret, keyed_entropy(seed, "deal"))
    chosen = stream(seed, "chosen").permutation(holders)[:threshold]
    assert recover(chosen + 1, shares[chosen][None]).tolist() == [secret.tolist()]


def test_shares_are_the_polynomial_at_the_holders_points() -> None:
    entropy = keyed_entropy(4, "polynomial")
    shares = Dealer(holders=300, threshold=200).deal(array(1, 2, 3, 4, 5), entropy)
    random = uniform(199 * 5, keyed_entropy(4, "polynomial")).reshape(199, 5).tolist()
    rows = [[1, 2, 3, 4, 5], *random]
    for holder in (1, 2, 150, 300):
        values = [0] * 5
        for row in reversed(rows):
            values = [
                (value * holder + entry) % PRIME for value, entry in zip(values, row, strict=True)
            ]
        assert shares[holder - 1].tolist() == values


def test_one_share_fewer_fits_every_secret_equally_well() -> None:
    # With two of three shares, any secret has exactly one third share that leads to it.
    secret = array(11, 22, 33, 44, 55)
    shares = Dealer(holders=3, threshold=3).deal(secret, keyed_entropy(5, "perfect"))
    for wanted in (0, 11, PRIME - 1):
        # Lagrange at zero over points 1, 2, 3 has weights 3, -3, 1
        third = (wanted - 3 * int(shares[0, 0]) + 3 * int(shares[1, 0])) % PRIME
        forged = shares.copy()
        forged[2, 0] = third
        assert int(recover(np.array([1, 2, 3]), forged[None])[0, 0]) == wanted


def test_many_secrets_are_opened_at_once() -> None:
    dealer = Dealer(holders=9, threshold=5)
    entropy = keyed_entropy(6, "many")
    secrets = uniform(35, entropy).reshape(7, 5)
    shares = np.stack([dealer.deal(secret, entropy) for secret in secrets])
    places = np.array([8, 0, 3, 5, 2])
    assert np.array_equal(recover(places + 1, shares[:, places]), secrets)


def test_two_shares_of_one_point_open_nothing() -> None:
    with pytest.raises(InputError):
        recover(np.array([1, 1]), np.zeros((1, 2, 5), dtype=np.uint64))
    with pytest.raises(InputError):
        Dealer(holders=3, threshold=4)
