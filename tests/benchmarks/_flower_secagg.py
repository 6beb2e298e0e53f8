"""Flower's own SecAgg+ on one fleet: the peer of secure_aggregation.py, and what both cost."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only

from fieldvote.errors import InternalError
from fieldvote.rng import stream


@dataclass(slots=True)
class Costs:
    """CPU seconds of one round by device, and the server's; bytes of one device."""

    clients: dict[int, float] = field(default_factory=dict)
    server: float = 0.0
    up: int = 0
    down: int = 0

    @contextmanager
    def client(self, seat: int) -> Iterator[None]:
        """Charge a device."""
        began = time.process_time()
        yield
        self.clients[seat] = self.clients.get(seat, 0.0) + time.process_time() - began

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Charge the coordinator."""
        began = time.process_time()
        yield
        self.server += time.process_time() - began


def play_flower(count: int, length: int, *, gone: int, degree: int) -> Costs:
    """Play the same fleet by Flower's own SecAgg+: client stages and the server's unmasking."""
    from flwr.common import bytes_to_ndarray, ndarrays_to_parameters
    from flwr.common.secure_aggregation.ndarrays_arithmetic import parameters_addition
    from flwr.common.secure_aggregation.secaggplus_constants import Key

    # the package hides this module behind the function of the same name
    flower = import_module("flwr.client.mod.secure_aggregation.secaggplus_mod")
    costs = Costs()
    shares = degree + 1
    config = {
        Key.SAMPLE_NUMBER: count,
        Key.SHARE_NUMBER: shares,
        Key.THRESHOLD: shares // 3,
        Key.CLIPPING_RANGE: 8.0,
        Key.TARGET_RANGE: 1 << 22,
        Key.MOD_RANGE: 1 << 32,
        Key.MAX_WEIGHT: 1000.0,
    }
    near = {
        seat: [(seat + step) % count for step in range(-(degree // 2), shares - degree // 2)]
        for seat in range(count)
    }
    states = [flower.SecAggPlusState() for _ in range(count)]
    public = []
    for seat, state in enumerate(states):
        state.nid = seat
        with costs.client(seat):
            made = flower._setup(state, config)
        public.append([made[Key.PUBLIC_KEY_1], made[Key.PUBLIC_KEY_2]])
    boxes: list[dict[int, bytes]] = [{} for _ in range(count)]
    for seat, state in enumerate(states):
        with costs.client(seat):
            made = flower._share_keys(state, {str(other): public[other] for other in near[seat]})
        for other, box in zip(made[Key.DESTINATION_LIST], made[Key.CIPHERTEXT_LIST], strict=True):
            boxes[other][seat] = box
    order = stream(0, "losses", count).permutation(count).tolist()
    alive = sorted(order[gone:])
    summed = None
    for seat in alive:
        weights = ndarrays_to_parameters([_reals(seat, length)])
        inbox = {
            Key.SOURCE_LIST: list(boxes[seat]),
            Key.CIPHERTEXT_LIST: list(boxes[seat].values()),
        }
        with costs.client(seat):
            made = flower._collect_masked_vectors(states[seat], inbox, 500, weights)
        costs.up = sum(map(len, made[Key.MASKED_PARAMETERS])) + sum(map(len, boxes[seat].values()))
        costs.down = (
            sum(map(len, boxes[seat].values())) + sum(len(k) for k in public[seat]) * degree
        )
        with costs.serving():
            arrays = [bytes_to_ndarray(blob) for blob in made[Key.MASKED_PARAMETERS]]
            summed = arrays if summed is None else parameters_addition(summed, arrays)
    revealed: dict[int, list[bytes]] = {seat: [] for seat in range(count)}
    for seat in alive:
        asked = {
            Key.ACTIVE_NODE_ID_LIST: [other for other in near[seat] if other in alive],
            Key.DEAD_NODE_ID_LIST: [other for other in near[seat] if other not in alive],
        }
        with costs.client(seat):
            made = flower._unmask(states[seat], asked)
        for other, share in zip(made[Key.NODE_ID_LIST], made[Key.SHARE_LIST], strict=True):
            revealed[other].append(share)
    with costs.serving():
        total = _flower_total(summed, revealed, near, set(alive), public)
    mean = float(np.mean([_reals(seat, length).mean() for seat in alive])) / 2  # of weight 500
    got = (total[-1].mean() / (1 << 22) / len(alive)) * 16 - 8  # back from the quantised range
    if abs(got - mean) > 0.05:
        raise InternalError(f"the peer's sum is off: {got} instead of {mean}")
    costs.clients = {seat: costs.clients[seat] for seat in alive}
    return costs


def _flower_total(
    summed: list[NDArray[np.int64]],
    revealed: dict[int, list[bytes]],
    near: dict[int, list[int]],
    alive: set[int],
    public: list[list[bytes]],
) -> list[NDArray[np.int64]]:
    """Take the masks off as Flower's workflow does in its unmask stage."""
    from flwr.common.secure_aggregation.crypto.shamir import combine_shares
    from flwr.common.secure_aggregation.crypto.symmetric_encryption import generate_shared_key
    from flwr.common.secure_aggregation.ndarrays_arithmetic import (
        get_parameters_shape,
        parameters_addition,
        parameters_mod,
        parameters_subtraction,
    )
    from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen
    from flwr.supercore.primitives.asymmetric import bytes_to_private_key, bytes_to_public_key

    for seat, shares in revealed.items():
        secret = combine_shares(shares)
        shape = get_parameters_shape(summed)
        if seat in alive:
            summed = parameters_subtraction(summed, pseudo_rand_gen(secret, 1 << 32, shape))
            continue
        private = bytes_to_private_key(secret)
        for other in near[seat]:
            if other == seat:
                continue
            key = generate_shared_key(private, bytes_to_public_key(public[other][0]))
            change = parameters_addition if seat > other else parameters_subtraction
            summed = change(summed, pseudo_rand_gen(key, 1 << 32, shape))
    return parameters_mod(summed, 1 << 32)


def _reals(seat: int, length: int) -> NDArray[np.float32]:
    """Return what a device sums by the peer, which quantises it itself."""
    return stream(0, "reals", seat).random(length, dtype=np.float32)
