"""A small fleet in the middle of a round, for tests that lie to one of its devices."""

import numpy as np

from fieldvote.rng import keyed_entropy
from privacy.secagg import Summation
from privacy.secagg.survivors import pack_seats
from tests.privacy.secagg.fleet import Fleet, enrol, everybody

DEVICES = 6
THRESHOLD = 4
LENGTH = 3
BOUND = 100
ENTROPY = keyed_entropy(11, "malicious coordinator")


class Stage:
    """A fleet in the middle of round 5, and the device that is lied to."""

    def __init__(self, leg: str) -> None:
        self.fleet: Fleet = enrol(DEVICES, everybody(DEVICES, THRESHOLD), least_cohort=5)
        self.devices = self.fleet.devices
        self.victim = self.devices[0]
        self.round = Summation(self.fleet.epoch, number=5, length=LENGTH, bound=BOUND)
        self.values = [np.full(LENGTH, seat, dtype=np.int64) for seat in range(DEVICES)]
        if leg == "deposit":
            return
        for device in self.devices:
            self.round.add_deposit(device.deposit(self.round.deposit_request(), entropy=ENTROPY))
        self.asked = self.round.mask_request()
        if leg == "mask":
            return
        for device, values in zip(self.devices, self.values, strict=True):
            self.round.add_input(device.mask(self.asked, values, entropy=ENTROPY))
        if leg == "confirm":
            return
        for device in self.devices:
            self.round.add_confirmation(device.confirm(self.round.confirm_request()))


def seats(*present: int) -> bytes:
    """Return a bitmap of the fleet's seats."""
    return pack_seats(np.isin(np.arange(DEVICES), present))


EVERYBODY = tuple(range(DEVICES))
