"""Who holds what: devices held out for evaluation, devices made from labels, devices sampled.

Whole devices are the unit everywhere. An item never changes its device, because people differ in
what they hold, and a split that mixes them hides exactly that.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError
from simulations.dataset import Dataset


def hold_out(devices: int, rng: np.random.Generator, share: float = 0.2) -> NDArray[np.bool_]:
    """Return which devices are kept for evaluation only.

    Args:
        devices: How many there are, c. At least two.
        rng: Draws the held-out devices.
        share: The share to hold out, rounded to whole devices; at least one is held out, at least
            one is left to learn from.

    Returns:
        Shape (c,), true where held out.

    Raises:
        InputError: Fewer than two devices, or a share outside 0..1.

    >>> int(hold_out(30, np.random.default_rng(0)).sum())
    6
    """
    if devices < 2:
        raise InputError(
            f"{devices} device(s): one learns and one is held out, so give two or more"
        )
    if not 0.0 <= share <= 1.0:
        raise InputError(f"held-out share is {share}, expected a share between 0 and 1")
    count = min(max(1, round(share * devices)), devices - 1)
    mask = np.zeros(devices, dtype=np.bool_)
    mask[rng.choice(devices, size=count, replace=False)] = True
    return mask


def dirichlet_devices(
    labels: NDArray[np.int64], devices: int, concentration: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Assign items to devices so that each class is spread unevenly over them.

    Each class draws its own shares of the devices from a symmetric Dirichlet distribution; the
    smaller the concentration, the fewer devices hold most of a class. A device that would stay
    empty takes one item from the fullest.

    Args:
        labels: The class of each item. Shape (n,).
        devices: How many devices, c. At most n.
        concentration: Of the Dirichlet distribution. Positive.
        rng: Draws shares and items.

    Returns:
        The device of each item, 0..c-1. Shape (n,), int64.

    Raises:
        InputError: More devices than items, or a concentration that is not positive.

    Source: Hsu, Qi and Brown 2019, arXiv:1909.06335, with the shares drawn per class.
    """
    if not 1 <= devices <= len(labels):
        raise InputError(f"{len(labels)} items cannot be spread over {devices} devices")
    if not (concentration > 0 and np.isfinite(concentration)):
        raise InputError(f"concentration is {concentration}, expected a positive number")
    assigned = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        shares = rng.dirichlet(np.full(devices, concentration))
        borders = np.rint(np.cumsum(shares)[:-1] * len(members)).astype(np.int64)
        for device, part in enumerate(np.split(members, borders)):
            assigned[part] = device
    counts = np.bincount(assigned, minlength=devices)
    for empty in np.flatnonzero(counts == 0):
        fullest = int(counts.argmax())
        moved = rng.choice(np.flatnonzero(assigned == fullest))
        assigned[moved] = empty
        counts[fullest] -= 1
        counts[empty] += 1
    return assigned


def sample_devices(dataset: Dataset, count: int, rng: np.random.Generator) -> Dataset:
    """Return the data set of some of its devices, each whole, renumbered in their old order.

    Args:
        dataset: The data set to sample from; all its classes keep their names and numbers.
        count: How many devices to take. At least two.
        rng: Draws the devices.

    Raises:
        InputError: More devices than there are, or fewer than two.
    """
    if not 2 <= count <= dataset.devices:
        raise InputError(
            f"asked for {count} devices; {dataset.name} has {dataset.devices}, a fleet needs two"
        )
    chosen = np.sort(rng.choice(dataset.devices, size=count, replace=False))
    rows = np.flatnonzero(np.isin(dataset.device, chosen))
    return replace(
        dataset,
        labels=dataset.labels[rows],
        device=np.searchsorted(chosen, dataset.device[rows]).astype(np.int64),
        features=None if dataset.features is None else dataset.features[rows],
        texts=None if dataset.texts is None else tuple(dataset.texts[row] for row in rows),
        planted=tuple(dataset.planted[row] for row in rows) if dataset.planted else (),
    )
