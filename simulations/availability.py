"""Which devices are online: chance that depends on the seed and the round, and on nothing else."""

from fieldvote.errors import InputError
from fieldvote.rng import stream


def online_devices(seed: int, round_number: int, devices: int, share: float) -> tuple[int, ...]:
    """Return the training devices that answer in a round, the same whoever asks and how often.

    Args:
        seed: The run's seed.
        round_number: Which round, counted from anywhere.
        devices: How many training devices there are, c. At least one.
        share: The share of them that is online, in 0..1; at least one device always is.

    Returns:
        max(1, round(share * c)) distinct positions in 0..c-1, ascending.

    Raises:
        InputError: No device, or a share outside 0..1.

    >>> online_devices(1, 5, 4, 1.0)
    (0, 1, 2, 3)
    >>> len(online_devices(1, 5, 24, 0.25))
    6
    """
    if devices < 1:
        raise InputError(f"{devices} training devices; at least one must be there to be online")
    if not 0.0 <= share <= 1.0:
        raise InputError(f"online share is {share}, expected a share between 0 and 1")
    count = max(1, round(share * devices))
    drawn = stream(seed, "online", round_number).choice(devices, size=count, replace=False)
    return tuple(sorted(int(position) for position in drawn))
