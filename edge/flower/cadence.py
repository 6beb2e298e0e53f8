"""How often a node looks for messages, and how it waits when something fails."""

import random

_BUSY_S, _BUSY_FOR_S = 0.25, 20.0
_SHARE = 4.0
_IDLE_S = (2.0, 4.0)  # below 5 s, else the server closes the connection and each look pays for TLS
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 20.0


def pause_s(silence_s: float, rng: random.Random, *, look_s: float = 0.0) -> float:
    """Return how long to wait before looking again.

    Args:
        silence_s: How long there was no message.
        rng: Spreads the looks of a fleet.
        look_s: How long the last look took. A SuperLink that is slow has too many looks to answer:
            a fleet that leaves it a few times as long as it takes never drowns it.
    """
    if silence_s < _BUSY_FOR_S:
        usual_s = _BUSY_S * rng.uniform(0.9, 1.1)
        return min(max(usual_s, _SHARE * look_s), _IDLE_S[1])
    return rng.uniform(*_IDLE_S)


def retry_s(failures: int, rng: random.Random) -> float:
    """Return how long to wait after this many failures in a row, 1 or more."""
    longest = min(_FIRST_RETRY_S * 2.0 ** min(failures - 1, 10), _LAST_RETRY_S)
    return longest * rng.uniform(0.6, 1.0)
