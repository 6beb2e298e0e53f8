"""Whether enough devices of an epoch are there for a sum that none of them would refuse."""

from collections.abc import Collection

import numpy as np

from fieldvote.errors import UnavailableError
from privacy.secagg.graph import Present
from privacy.secagg.roster import Epoch


def present_in(epoch: Epoch, members: Collection[int]) -> Present:
    """Return seats as a set of seats."""
    present = np.zeros(epoch.devices, dtype=np.bool_)
    present[list(members)] = True
    return present


def check_enough(epoch: Epoch, members: Collection[int]) -> None:
    """Return if these seats can be a cohort, or the survivors of one.

    Raises:
        UnavailableError: too few devices, keepers, or partners of one of them.
    """
    graph, present = epoch.graph(), present_in(epoch, members)
    keepers = int(present[graph.keepers].sum())
    if len(members) < epoch.least_cohort or keepers < epoch.sizes.threshold:
        raise UnavailableError(
            f"{len(members)} devices with {keepers} keepers, {epoch.least_cohort} with"
            f" {epoch.sizes.threshold} are needed: begin anew when more are here"
        )
    fewest = int(graph.partners_present(present)[present].min())
    if fewest < epoch.sizes.least_partners:
        raise UnavailableError(
            f"a device has {fewest} partners left, {epoch.sizes.least_partners} are needed:"
            " begin anew when more are here"
        )
