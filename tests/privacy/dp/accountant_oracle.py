"""What dp-accounting says of random compositions: the oracle of test_accountant.

Run by an interpreter that has dp-accounting 0.6 (`make bench-peers` installs it beside the peers):

    python tests/privacy/dp/accountant_oracle.py COUNT SEED

The committed table, accountant_oracle.json, is `50 1`. Its figures are dp-accounting's PLD
(pessimistic, interval 1e-4) and RDP accountants for Gaussian releases without sampling.
Compositions are drawn where campaigns are: one to four kinds of release, epsilon between 0.75 and
20, delta from 1e-9 to 1e-5. The library is not a dependency of the tests: it takes 176 MB and
seconds to import.
"""

import json
import sys

import numpy as np

LEAST_EPSILON, MOST_EPSILON = 0.75, 20.0


def compositions(count, seed):
    """Yield (delta, [[noise_multiplier, count], ...]) without looking at what they cost."""
    rng = np.random.default_rng(seed)
    while count:
        parts = [
            [round(float(np.exp(rng.uniform(0.0, np.log(80.0)))), 3), int(rng.integers(1, 60))]
            for _ in range(rng.integers(1, 5))
        ]
        delta = float(10 ** rng.uniform(-9, -5))
        rho = sum(times / (2.0 * multiplier**2) for multiplier, times in parts)
        rough = rho + 2.0 * (rho * np.log(1.0 / delta)) ** 0.5
        if 1.2 * LEAST_EPSILON < rough < MOST_EPSILON:
            count -= 1
            yield delta, parts


def measured(count, seed):
    """Return one row per composition."""
    import dp_accounting
    from dp_accounting import pld, rdp

    rows = []
    for delta, parts in compositions(count, seed):
        accountants = [
            pld.PLDAccountant(value_discretization_interval=1e-4),
            rdp.RdpAccountant(),
        ]
        for accountant in accountants:
            for multiplier, times in parts:
                accountant.compose(dp_accounting.GaussianDpEvent(multiplier), times)
        by_pld, by_rdp = (float(accountant.get_epsilon(delta)) for accountant in accountants)
        rows.append({"delta": delta, "parts": parts, "pld": by_pld, "rdp": by_rdp})
    return rows


if __name__ == "__main__":
    rows = measured(int(sys.argv[1]), int(sys.argv[2]))
    print("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")
