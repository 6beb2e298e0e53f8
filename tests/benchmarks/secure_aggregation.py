"""Secure aggregation, robust mode, end to end: CPU time of a device and of the coordinator.

    python tests/benchmarks/secure_aggregation.py [--peers] [--quick] [--json]

Every device of a fleet is played, with real keys, in this process: check-in, masked input,
confirmation, pads. Devices vanish after they checked in, the worst moment; two in a hundred of the
others after their input. Each sum is compared with the plain one, and a wrong sum ends the run. A
device's time is the mean over the devices that stayed, all legs of a round together; a keeper's is
that of the devices which answer in every leg. Epochs are set up once and shown apart. Of several
rounds the least time counts: other work on the machine only ever adds.

With --peers Flower's own SecAgg+ plays the same fleet in between: its client's four stages and the
server's unmasking, with as many neighbours.
"""

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from _flower_secagg import Costs, play_flower
from _table import Options, Row, run
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only

from fieldvote.errors import InternalError
from fieldvote.rng import stream
from fieldvote.sums import (
    Confirmation,
    ConfirmRequest,
    Deposit,
    DepositRequest,
    MaskedInput,
    MaskRequest,
    Unmasking,
    UnmaskRequest,
)
from privacy.sealing.keys import SealingKey, SigningKey
from privacy.secagg import (
    Floors,
    Participant,
    Summation,
    check_roster,
    choose_parameters,
    make_roster,
    sign_epoch_key,
)
from privacy.secagg.roster import Epoch

BOUND = 1000

Message = (
    DepositRequest
    | Deposit
    | MaskRequest
    | MaskedInput
    | ConfirmRequest
    | Confirmation
    | UnmaskRequest
    | Unmasking
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A fleet, and what a round of it may cost."""

    devices: int
    length: int
    gone: int
    corrupt: int
    client_ms: float | None = None
    server_s: float | None = None
    quick: bool = False
    peer: bool = False
    peer_quickly: bool = False

    @property
    def late(self) -> int:
        """How many vanish after their input."""
        return max(1, (self.devices - self.gone) // 50)

    @property
    def name(self) -> str:
        """What the rows of this fleet begin with."""
        return f"{self.devices} x {self.length:,}, {self.gone} gone, {self.corrupt} corrupt"


SIZES = (
    Size(devices=20, length=10_000, gone=6, corrupt=2, quick=True, peer=True, peer_quickly=True),
    Size(
        devices=100,
        length=100_000,
        gone=33,
        corrupt=24,
        client_ms=6,
        server_s=0.12,
        quick=True,
        peer=True,
    ),
    Size(devices=1000, length=100_000, gone=100, corrupt=100, client_ms=6, server_s=0.6),
    Size(devices=1000, length=100_000, gone=200, corrupt=200, client_ms=12, server_s=1.5),
)


def measure(options: Options) -> list[Row]:
    """Return the rows of every fleet."""
    rows = []
    for size in SIZES:
        if size.quick or not options.quick:
            rows += measure_size(size, options)
    return rows


def measure_size(size: Size, options: Options) -> list[Row]:
    """Play some rounds of one fleet, the peer's in between."""
    epoch, devices, setup_s = enrol(size)
    rounds = [play(size, epoch, devices, number) for number in range(2 if options.quick else 3)]
    asked = options.peers and (size.peer_quickly if options.quick else size.peer)
    theirs = (
        play_flower(size.devices, size.length, gone=size.gone, degree=epoch.sizes.degree)
        if asked
        else None
    )
    if theirs:
        rounds += [play(size, epoch, devices, 10 + number) for number in range(2)]
    seats = set.intersection(*(set(costs.clients) for costs in rounds))
    keepers = [seat for seat in seats if devices[seat].keeps]
    client = min(_mean(costs, costs.clients) for costs in rounds)
    server = min(costs.server for costs in rounds)
    keeper = min(_mean(costs, [k for k in keepers if k in costs.clients]) for costs in rounds)
    peer_client = _mean(theirs, theirs.clients) * 1e3 if theirs else None
    return [
        _row(size, "device", client * 1e3, "ms", size.client_ms, peer_client),
        _row(size, "keeper", keeper * 1e3, "ms", size.client_ms, None),
        _row(size, "server", server, "s", size.server_s, theirs.server if theirs else None),
        _row(size, "keeper sends", rounds[0].up / 1e3, "kB", None, theirs and theirs.up / 1e3),
        _row(size, "keeper gets", rounds[0].down / 1e3, "kB", None, theirs and theirs.down / 1e3),
        _row(size, "epoch set-up, device", setup_s * 1e3, "ms", None, None),
        _row(size, "partners of a device", float(epoch.sizes.degree), "", None, None),
        _row(size, "keepers", float(epoch.sizes.keepers), "", None, None),
    ]


def enrol(size: Size) -> tuple[Epoch, list[Participant], float]:
    """Set an epoch up; return it with its devices, and what that costs one of them."""
    signers = [SigningKey.generate(os.urandom) for _ in range(size.devices)]
    secrets = [SealingKey.generate(os.urandom) for _ in range(size.devices)]
    keys = [
        sign_epoch_key(epoch=1, device=seat, exchange=secret.public, signer=signer)
        for seat, (secret, signer) in enumerate(zip(secrets, signers, strict=True))
    ]
    sizes = choose_parameters(
        size.devices, corrupt=size.corrupt, gone=size.gone + size.late, least_sum=5
    )
    roster = make_roster(keys, sizes=sizes, least_cohort=size.devices - size.gone)
    directory = {seat: signer.public for seat, signer in enumerate(signers)}
    floors = Floors(max_corrupt=size.corrupt / size.devices)
    began = time.process_time()
    epoch = check_roster(roster, directory=directory, floors=floors, newer_than=0)
    checked = time.process_time()
    devices = [
        Participant.enrol(epoch, roster, device=seat, secret=secret)
        for seat, secret in enumerate(secrets)
    ]
    each = (time.process_time() - checked) / size.devices
    return epoch, devices, checked - began + each


def play(size: Size, epoch: Epoch, devices: list[Participant], number: int) -> Costs:
    """Play one round and check its sum."""
    costs, rng = Costs(), stream(number, "losses", size.devices)
    order = rng.permutation(size.devices).tolist()
    gone, late = set(order[: size.gone]), set(order[size.gone : size.gone + size.late])
    expected = np.zeros(size.length, dtype=np.int64)
    round_ = Summation(epoch, number=number, length=size.length, bound=BOUND)
    asked = round_.deposit_request()
    for seat, device in enumerate(devices):
        with costs.client(seat):
            deposit = device.deposit(asked, entropy=os.urandom)
        with costs.serving():
            round_.add_deposit(deposit)
    to_mask = round_.mask_request()
    for seat in order[size.gone :]:
        values = _values(seat, number, size.length)
        expected += values
        with costs.client(seat):
            masked = devices[seat].mask(to_mask, values, entropy=os.urandom)
        with costs.serving():
            round_.add_input(masked)
    to_confirm, answering = round_.confirm_request(), sorted(set(round_.keepers) - late)
    for seat in answering:
        with costs.client(seat):
            confirmation = devices[seat].confirm(to_confirm)
        with costs.serving():
            round_.add_confirmation(confirmation)
    for seat in answering:
        with costs.serving():
            to_unmask = round_.unmask_request(seat)
        with costs.client(seat):
            unmasking = devices[seat].unmask(to_unmask)
        with costs.serving():
            round_.add_unmasking(unmasking)
    with costs.serving():
        total = round_.total()
    if not np.array_equal(total, expected):
        raise InternalError(f"a wrong sum over {size.devices} devices")
    costs.clients = {seat: costs.clients[seat] for seat in sorted(set(order) - gone - late)}
    # a keeper's messages, the longest of all
    costs.up = _size(deposit) + _size(masked) + _size(confirmation) + _size(unmasking)
    costs.down = _size(asked) + _size(to_mask) + _size(to_confirm) + _size(to_unmask)
    return costs


def _values(seat: int, number: int, length: int) -> NDArray[np.int64]:
    """Return what a device sums."""
    return stream(number, "values", seat).integers(-BOUND, BOUND, length, endpoint=True)


def _mean(costs: Costs, seats: Iterable[int]) -> float:
    """Return the mean time of some devices."""
    return float(np.mean([costs.clients[seat] for seat in seats]))


def _size(message: Message) -> int:
    """Return how many bytes of content a message has."""
    parts = [getattr(message, column.name) for column in fields(message)]
    return sum(len(part) if isinstance(part, bytes) else 8 for part in parts)


def _row(
    size: Size, what: str, ours: float, unit: str, target: float | None, peer: float | None
) -> Row:
    """Return one line."""
    return Row(
        what=f"{size.name}: {what}",
        ours=ours,
        unit=unit,
        peer=peer,
        peer_name="Flower" if peer is not None else None,
        ratio=peer / ours if peer is not None else None,
        target=f"<= {target:g} {unit}" if target else None,
        met=ours <= target if target else None,
    )


if __name__ == "__main__":
    sys.exit(run("secure_aggregation", str(__doc__).splitlines()[0], measure))
