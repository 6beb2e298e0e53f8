import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.privacy.dp.killed_ledger import COST, NOISE, SENT, opened

ROOT = Path(__file__).parents[3]


def killed_at_random(kills, tmp_path, seed):
    """Kill a releasing child so often; return how many releases left and how many were paid for."""
    rng = np.random.default_rng(seed)
    path = tmp_path / "pool.sqlite"
    path.touch()
    left = paid = 0
    with subprocess.Popen(
        [sys.executable, "-m", "tests.privacy.dp.killed_ledger"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as parent:
        for kill in range(1, kills + 1):
            parent.stdin.write(f"{path}\n".encode())
            said = b""
            # on a busy machine a child may not come to its first release: every other one has to
            while not set(b"\nr" if kill % 2 else b"\nr.") <= set(said):
                said += parent.stdout.read(1)
            time.sleep(rng.uniform(0.0, 0.02))
            child = int(said.replace(b"r", b"").replace(b".", b"").split(b"\n")[0])
            os.kill(child, signal.SIGKILL)
            while not said.endswith(b"!"):
                said += parent.stdout.read(1)
            left += said.count(b".")
            ledger = opened(path)
            spent = ledger.spent
            # at most one release was paid for and did not leave, per kill
            assert left <= spent.releases <= left + kill
            assert spent.micro_rho == COST * spent.releases
            assert spent.size_bytes == SENT * spent.releases
            # a child may die before its first
            assert sum(each.micro_rho for each in spent.by_task.values()) == spent.micro_rho
            paid = spent.releases
            ledger._store.close()
        parent.stdin.close()
    return left, paid


def test_a_release_costs_what_the_test_counts_with():
    assert NOISE.micro_rho(l2_squared=1, length=8) == COST


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_no_release_is_uncounted_at_two_hundred_kills(tmp_path, seed):
    # twenty kills a file: opening reads the whole chain, and it grows
    left, paid = killed_at_random(20, tmp_path, seed)
    assert 0 < left <= paid


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 200))
def test_no_release_is_uncounted_at_ten_thousand_kills(tmp_path, seed):
    left, paid = killed_at_random(100, tmp_path, seed)
    assert 0 < left <= paid
