"""A coordinator that shows different survivor sets to different keepers, with real keys.

It works with corrupt keepers: they confirm whatever it likes and reveal every pad they know. Its
aim is one honest device's vector: the self-mask from keepers that see the victim alive, the edges
from keepers that see it gone. The promise is 2t > keepers + corrupt; one step below, it is lost.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fieldvote.errors import RefusalError
from fieldvote.rng import keyed_entropy, stream
from fieldvote.sums import ConfirmRequest, Deposit, MaskedInput, MaskRequest, UnmaskRequest
from privacy.secagg import Parameters, Participant, Summation, client
from privacy.secagg.boxes import (
    LABEL_EDGES,
    LABEL_SELF,
    PAD_BYTES,
    deposit_pad,
    input_pad,
    open_boxes,
    opens,
    reveal_pads,
    seed_of,
)
from privacy.secagg.masks import SEED_BYTES, add_streams, crypt
from privacy.secagg.ranges import from_words
from privacy.secagg.state import OpenRound, ParticipantState
from privacy.secagg.survivors import cohort_digest, pack_seats, view_digest, view_tag
from tests.privacy.secagg.fleet import enrol

VICTIM_VALUES = np.arange(-3, 5)
ENTROPY = keyed_entropy(3, "split view")


class Attacker:
    """The coordinator and its corrupt keepers, in the middle of a round."""

    def __init__(self, sizes: Parameters, devices: int, corrupt: int, seed: int = 0) -> None:
        self.fleet = enrol(devices, sizes, floors=None)
        self.graph = self.fleet.epoch.graph()
        keepers = stream(seed, "keepers").permutation(self.graph.keepers).tolist()
        self.corrupt, self.honest = keepers[:corrupt], keepers[corrupt:]
        others = [s for s in range(devices) if s not in keepers]
        self.victim = others[0] if others else self.honest[0]
        self.round = Summation(self.fleet.epoch, number=0, length=len(VICTIM_VALUES), bound=10)
        self.deposits: dict[int, Deposit] = {}
        for seat, device in enumerate(self.fleet.devices):
            self.deposits[seat] = device.deposit(self.round.deposit_request(), entropy=ENTROPY)
            self.round.add_deposit(self.deposits[seat])
        self.asked = self.round.mask_request()
        self.inputs: dict[int, MaskedInput] = {}

    def mask_all(self, shown: Callable[[int], MaskRequest] | None = None) -> None:
        """Have every device send its input, the victim the values we are after."""
        self.secret_state = {seat: self._opened(self.fleet.devices[seat]) for seat in self.corrupt}
        for seat, device in enumerate(self.fleet.devices):
            values = VICTIM_VALUES if seat == self.victim else np.zeros_like(VICTIM_VALUES)
            asked = shown(seat) if shown else self.asked
            self.inputs[seat] = device.mask(asked, values, entropy=ENTROPY)
        self.digest = cohort_digest(self.fleet.epoch.digest, self.asked)

    def bitmap(self, *gone: int) -> bytes:
        """Return everybody but some."""
        present = np.ones(len(self.fleet.devices), dtype=np.bool_)
        present[list(gone)] = False
        return pack_seats(present)

    def split(self) -> tuple[list[int], list[int]]:
        """Divide the honest keepers; a victim among them would not confirm that it is gone."""
        honest = sorted(self.honest, key=lambda seat: seat != self.victim)
        need = max(self.fleet.epoch.sizes.threshold - len(self.corrupt), 0)
        return honest[:need], honest[need:]

    def reveal(self, keepers: list[int], survivors: bytes) -> dict[int, bytes]:
        """Return all the pads that these honest keepers reveal for this view."""
        order = self.graph.keepers.tolist()
        view = view_digest(self.digest, survivors)
        tags = {
            seat: self.fleet.devices[seat]
            .confirm(ConfirmRequest(round=0, survivors=survivors))
            .tags
            for seat in keepers
        }
        revealed = {}
        for reader in keepers:
            place = order.index(reader)
            signed = {seat: tags[seat][16 * place : 16 * place + 16] for seat in keepers}
            for liar in self.corrupt:
                key = self.secret_state[liar].keys[reader]
                signed[liar] = view_tag(key, view, signer=liar, reader=reader)
            del signed[reader]
            request = UnmaskRequest(
                round=0,
                survivors=survivors,
                confirmed=pack_seats(np.array([seat in signed for seat in order])),
                tags=b"".join(signed[seat] for seat in order if seat in signed),
            )
            revealed[reader] = self.fleet.devices[reader].unmask(request).pads
        return revealed

    def open(self, revealed: dict[int, bytes], box: Deposit | MaskedInput) -> np.ndarray | None:
        """Open a secret with honest keepers' pads and those the corrupt ones know."""
        span = slice(PAD_BYTES * box.seat, PAD_BYTES * (box.seat + 1))
        pads = {keeper: all_pads[span] for keeper, all_pads in revealed.items()}
        for liar in self.corrupt:
            key = self.secret_state[liar].keys[box.seat]
            pads[liar] = (
                deposit_pad(key, dealer=box.seat, keeper=liar)
                if isinstance(box, Deposit)
                else input_pad(key, self.digest, dealer=box.seat, keeper=liar)
            )
        threshold = self.fleet.epoch.sizes.threshold
        chosen = sorted(pads)[:threshold]
        if len(chosen) < threshold:
            return None
        places = np.searchsorted(self.graph.keepers, chosen)
        secret = open_boxes([box.shares], [pads[seat] for seat in chosen], places=places)[0]
        return secret if opens(secret, box.commitment) else None

    def edge_seeds(self, secret: np.ndarray, dealer: int) -> dict[int, bytes]:
        """Return the seeds in a deposit by partner."""
        joined = crypt(seed_of(secret, LABEL_EDGES), self.deposits[dealer].edges)
        return {
            seat: joined[SEED_BYTES * place : SEED_BYTES * (place + 1)]
            for place, seat in enumerate(self.graph.partners(dealer).tolist())
        }

    def strip(self, self_secret: np.ndarray, seeds: dict[int, bytes]) -> np.ndarray:
        """Take all masks off the victim's input."""
        words = np.frombuffer(self.inputs[self.victim].words, dtype=np.uint32).copy()
        add_streams(
            words,
            [seed for seat, seed in seeds.items() if self.victim > seat],
            [
                seed_of(self_secret, LABEL_SELF),
                *(seed for seat, seed in seeds.items() if self.victim < seat),
            ],
        )
        return from_words(words, bound=1 << 31, devices=1)

    @staticmethod
    def _opened(device: Participant) -> OpenRound:
        opened = ParticipantState.from_bytes(device.to_bytes()).open
        assert opened is not None
        return opened


def attack(sizes: Parameters, devices: int, corrupt: int, seed: int) -> np.ndarray | None:
    """Show the victim alive to some and gone to others; return its vector if that opens it."""
    attacker = Attacker(sizes, devices, corrupt, seed)
    attacker.mask_all()
    victim = attacker.victim
    see_alive, see_gone = attacker.split()
    try:
        alive = attacker.reveal(see_alive, attacker.bitmap())
        gone = attacker.reveal(see_gone, attacker.bitmap(victim))
    except RefusalError:
        return None
    own = attacker.open(alive, attacker.inputs[victim])
    edges = attacker.open(gone, attacker.deposits[victim])
    if own is None or edges is None:
        return None
    return attacker.strip(own, attacker.edge_seeds(edges, victim))


# devices, keepers, corrupt among the keepers; a complete graph where all are keepers
SETTINGS = [
    (devices, keepers, corrupt)
    for devices, keepers in [(7, 7), (8, 8), (12, 12), (20, 20), (24, 9), (40, 15), (40, 22)]
    for corrupt in (0, 1, 2, keepers // 4)
]


def sizes_with(threshold: int, devices: int, keepers: int) -> Parameters:
    degree = devices - 1 if keepers == devices else 6
    return Parameters(degree=degree, least_partners=2, keepers=keepers, threshold=threshold)


@pytest.mark.parametrize(("devices", "keepers", "corrupt"), SETTINGS)
def test_a_split_view_opens_nobody_where_the_bound_holds(
    devices: int, keepers: int, corrupt: int
) -> None:
    least = (keepers + corrupt) // 2 + 1
    for threshold in {least, min(least + 2, keepers)}:
        sizes = sizes_with(threshold, devices, keepers)
        assert attack(sizes, devices, corrupt, seed=threshold) is None


@pytest.mark.parametrize(("devices", "keepers", "corrupt"), SETTINGS)
def test_a_split_view_opens_the_victim_where_the_bound_is_relaxed(
    devices: int, keepers: int, corrupt: int
) -> None:
    threshold = (keepers + corrupt) // 2
    recovered = attack(sizes_with(threshold, devices, keepers), devices, corrupt, seed=1)
    assert recovered is not None
    assert np.array_equal(recovered, VICTIM_VALUES)


def two_cohorts() -> np.ndarray | None:
    """Show the victim a cohort with few partners, and declare just those gone to everybody else.

    Nothing is split here: all keepers see one view, and a valid one.
    """
    sizes = Parameters(degree=8, least_partners=2, keepers=9, threshold=6)
    attacker = Attacker(sizes, 24, 0)
    victim, keepers = attacker.victim, attacker.graph.keepers.tolist()
    partners = attacker.graph.partners(victim).tolist()
    shown = [seat for seat in partners if seat not in keepers][:2]
    few = attacker.bitmap(*(seat for seat in partners if seat not in shown))
    attacker.mask_all(
        lambda seat: replace(attacker.asked, cohort=few) if seat == victim else attacker.asked
    )
    revealed = attacker.reveal(keepers, attacker.bitmap(*shown))
    own = attacker.open(revealed, attacker.inputs[victim])
    if own is None:
        return None
    seeds = {}
    for partner in shown:
        edges = attacker.open(revealed, attacker.deposits[partner])
        assert edges is not None
        seeds[partner] = attacker.edge_seeds(edges, partner)[victim]
    return attacker.strip(own, seeds)


def test_a_victim_shown_another_cohort_is_opened_by_nobody() -> None:
    assert two_cohorts() is None


def test_a_victim_shown_another_cohort_is_opened_where_pads_are_not_bound_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "input_pad", lambda key, _, **seats: input_pad(key, b"", **seats))
    monkeypatch.setattr(client, "reveal_pads", lambda keys, _, **who: reveal_pads(keys, b"", **who))
    recovered = two_cohorts()
    assert recovered is not None
    assert np.array_equal(recovered, VICTIM_VALUES)
