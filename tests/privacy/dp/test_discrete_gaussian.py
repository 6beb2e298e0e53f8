import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from fieldvote.errors import InputError
from fieldvote.rng import keyed_entropy
from privacy.dp.discrete_gaussian import _exp_of_minus, _table, discrete_gaussian

# Seeds are fixed; drawn anew, a test below would fail once in a million runs of each of its cases.
FALSE_ALARM = 1e-6


def draw(count, variance, *label):
    return discrete_gaussian(
        count, variance=variance, entropy=keyed_entropy(1, "noise", str(variance), *label)
    )


def probabilities(variance, reach):
    numbers = np.arange(-reach, reach + 1)
    weights = np.exp(-(numbers**2) / (2.0 * float(variance)))
    # what is beyond the reach is below the precision of the sum
    far = np.exp(-(np.arange(reach + 1, 20 * reach + 50) ** 2) / (2.0 * float(variance)))
    return weights / (weights.sum() + 2 * far.sum())


@pytest.mark.parametrize(
    "variance", [0.25, 1, Fraction(10, 3), 3.0, 100, 12345.678, 2**20, 2**20 + 1, 10**7]
)
def test_draws_follow_the_law_by_a_chi_square_test(variance):
    count = 200_000
    reach = max(3, int(4 * float(variance) ** 0.5))
    expected = probabilities(variance, reach) * count
    drawn = draw(count, variance)
    # neighbouring numbers share a cell until each cell expects 20
    cells, filled = [0], 0.0
    for place, many in enumerate(expected):
        if filled >= 20.0:
            cells.append(place)
            filled = 0.0
        filled += many
    inside = np.abs(drawn) <= reach
    counts = np.bincount(drawn[inside] + reach, minlength=len(expected))
    seen = np.append(np.add.reduceat(counts, cells), count - inside.sum())
    hoped = np.append(np.add.reduceat(expected, cells), count - expected.sum())
    keep = hoped >= 5.0
    chi2 = float(((seen[keep] - hoped[keep]) ** 2 / hoped[keep]).sum())
    assert chi2 < stats.chi2.isf(FALSE_ALARM, df=int(keep.sum()) - 1)


@pytest.mark.parametrize("variance", [3, 1000, 2**21, 10**12, 2**70])
def test_mean_and_variance_are_those_asked_for(variance):
    drawn = draw(100_000, variance).astype(np.float64)
    limit = stats.norm.isf(FALSE_ALARM / 2)
    assert abs(drawn.mean()) < limit * (variance / len(drawn)) ** 0.5
    assert abs(drawn.var() / variance - 1.0) < limit * (2.0 / len(drawn)) ** 0.5


@pytest.mark.parametrize("variance", [Fraction(1, 3), Fraction(3), Fraction(2500)])
def test_thresholds_are_the_cumulative_law_to_two_hundred_bits(variance):
    # a twin with Taylor series in fractions of 600 bits, one exponential per number
    table = _table(variance)
    one = 1 << 600
    reach = -table.least
    weights = [_exp_twin(Fraction(x * x) / (2 * variance), one) for x in range(reach + 20)]
    total = weights[0] + 2 * sum(weights[1:])
    below = sum(weights[reach + 1 :])
    for place in range(len(table.exact)):
        below += weights[abs(place + table.least)]
        assert abs(Fraction(table.exact[place], 1 << 256) - Fraction(below, total)) < Fraction(
            1, 1 << 200
        )


def _exp_twin(exponent, one):
    """exp(-e) as the inverse of a positive series: nothing is shared with what it checks."""
    term = total = one
    place = 1
    while term:
        term = term * exponent.numerator // (exponent.denominator * place)
        total += term
        place += 1
    return one * one // total


@pytest.mark.parametrize(
    "exponent", [Fraction(1, 10**9), Fraction(1, 3), Fraction(7), Fraction(90)]
)
def test_the_exponential_is_right_to_its_last_bits(exponent):
    found = Fraction(_exp_of_minus(exponent, 320), 1 << 320)
    assert abs(found - Fraction(_exp_twin(exponent, 1 << 900), 1 << 900)) < Fraction(1, 1 << 300)


class Scripted:
    """Entropy that gives what it was told to, and counts what it was asked for."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sizes = []

    def __call__(self, size):
        self.sizes.append(size)
        return self.answers.pop(0)


def test_a_draw_that_64_bits_leave_open_is_settled_by_192_more():
    table = _table(Fraction(4))
    place = len(table.exact) // 2
    word, rest = divmod(table.exact[place], 1 << 192)
    opening = word.to_bytes(8, "little")
    below = Scripted(opening, (rest - 1).to_bytes(24, "little"))
    above = Scripted(opening, rest.to_bytes(24, "little"))
    assert discrete_gaussian(1, variance=4, entropy=below)[0] == table.least + place
    assert discrete_gaussian(1, variance=4, entropy=above)[0] == table.least + place + 1
    assert below.sizes == above.sizes == [8, 24]


def test_the_extreme_words_are_drawn_within_reach():
    for byte in (b"\x00", b"\xff"):
        drawn = discrete_gaussian(1, variance=4, entropy=lambda size, byte=byte: byte * size)
        assert 15 < abs(drawn[0]) < 40


def test_one_word_is_one_draw_in_order():
    words = np.array([2**62, 2**63, 3 * 2**62], dtype="<u8").tobytes()
    assert discrete_gaussian(3, variance=100, entropy=Scripted(words)).tolist() == [-7, 0, 7]


@pytest.mark.parametrize("size", [0, 7, 9])
def test_entropy_that_runs_dry_is_noticed(size):
    with pytest.raises(InputError, match="entropy"):
        discrete_gaussian(1, variance=4, entropy=lambda _: bytes(size))


@pytest.mark.parametrize("bad", [0, -1.0, math.nan, math.inf, 5e-324, 2.0**-21, 2**81, True, "4"])
def test_a_variance_that_is_none_is_refused(bad):
    with pytest.raises(InputError):
        discrete_gaussian(1, variance=bad, entropy=bytes)


def test_a_million_draws_are_independent_of_their_neighbours():
    drawn = draw(200_000, 9).astype(np.float64)
    for lag in (1, 2, 65536):
        product = float((drawn[lag:] * drawn[:-lag]).mean()) / 9.0
        assert abs(product) < stats.norm.isf(FALSE_ALARM / 2) / math.sqrt(len(drawn) - lag)


def test_nothing_asked_for_is_nothing_drawn():
    assert discrete_gaussian(0, variance=4, entropy=Scripted()).shape == (0,)
