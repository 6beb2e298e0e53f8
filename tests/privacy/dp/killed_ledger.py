"""A device that releases until it is killed, for test_ledger_killed.

Started once, it forks a child for each line it reads, a path; the child opens that file's ledger
and releases for as long as it lives, and writes a byte when it is ready and one per release that
has left. So a kill hits a real process with a real file, and costs no start of an interpreter.
"""

import os
import sys
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np

from edge.pool import Pool
from privacy.dp import Ledger, Limits, Noise

COST = 1000
NOISE = Noise(share_variance=Fraction(500))
LIMITS = Limits(candidates=0, size_bytes=10**9, micro_rho=10**9)
SENT = 3


def opened(path):
    return Ledger(Pool(path), LIMITS, lambda: datetime.now(UTC), tasks={"task": LIMITS})


def release_for_ever(path):
    ledger = opened(path)
    os.write(1, b"r")
    while True:
        values = ledger.release(
            "summaries",
            np.ones(8, dtype=np.int64),
            noise=NOISE,
            l2_squared=1,
            entropy=os.urandom,
            task="task",
            size_bytes=SENT,
        )
        assert len(values) == 8
        os.write(1, b".")


def main():
    for line in sys.stdin:
        child = os.fork()
        if not child:
            release_for_ever(Path(line.rstrip("\n")))
        os.write(1, f"{child}\n".encode())
        os.waitpid(child, 0)
        os.write(1, b"!")


if __name__ == "__main__":
    main()
