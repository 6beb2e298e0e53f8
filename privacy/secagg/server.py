"""The coordinator's side of one round: it collects, adds, and can open nothing but the sum.

Each leg is a `…_request` to be sent, an `add_…` for every answer, in any order, and an end when the
caller has waited long enough. Inputs go into one accumulator as they come, so memory does not grow
with the cohort; what came is in the sum for good, and its device among the survivors.

It checks what it can: a sum is exact or there is none. A message that does not fit is refused and
changes nothing; the caller makes sure that a seat's messages come from the device of that seat.
"""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, RefusalError, UnavailableError, WireError
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
from privacy.secagg.boxes import LABEL_EDGES, LABEL_SELF, PAD_BYTES, open_boxes, opens, seed_of
from privacy.secagg.field import Elements
from privacy.secagg.graph import Present
from privacy.secagg.masks import SEED_BYTES, add_streams, crypt
from privacy.secagg.ranges import WORD_TYPES, from_words, word_bytes_for
from privacy.secagg.roster import Epoch
from privacy.secagg.survivors import TAG_BYTES, pack_seats


class Summation:
    """One round, from the first deposit to the sum."""

    def __init__(self, epoch: Epoch, *, number: int, length: int, bound: int) -> None:
        """Announce a round.

        Args:
            epoch: What check_roster returned.
            number: The round's number, greater than any before in the epoch.
            length: Numbers in the vector.
            bound: Greatest absolute value of any of them on one device.

        Raises:
            InputError: no word holds such a sum.
        """
        if length < 1 or number < 0:
            raise InputError(f"round {number} of {length} numbers")
        self._epoch, self._graph = epoch, epoch.graph()
        self._number, self._length, self._bound = number, length, bound
        self._word_bytes = word_bytes_for(bound, devices=epoch.devices)
        self._accumulator = np.zeros(length, dtype=WORD_TYPES[self._word_bytes])
        self._deposits: dict[int, Deposit] = {}
        self._cohort: frozenset[int] | None = None
        self._inputs: dict[int, tuple[bytes, bytes]] = {}  # commitment and boxes
        self._survivors: bytes | None = None
        self._confirmations: dict[int, bytes] = {}
        self._pads: dict[int, bytes] = {}

    def deposit_request(self) -> DepositRequest:
        """Return what every device of the epoch is asked first."""
        return DepositRequest(roster=self._epoch.digest, round=self._number)

    def add_deposit(self, deposit: Deposit) -> None:
        """Take a device into the cohort to be.

        Raises:
            RefusalError: too late, or the second of one device.
            WireError: it is not of this round or not complete.
        """
        self._check(deposit.round, deposit.seat, self._deposits, late=self._cohort is not None)
        _check_size("edges", deposit.edges, SEED_BYTES * self._graph.degree)
        self._check_boxes(deposit.commitment, deposit.shares)
        self._deposits[deposit.seat] = deposit

    def mask_request(self) -> MaskRequest:
        """Settle the cohort, and return what its devices are asked.

        Raises:
            UnavailableError: too few devices made a deposit.
        """
        if self._cohort is None:
            self._check_enough(self._deposits)
            self._cohort = frozenset(self._deposits)
        return MaskRequest(
            round=self._number,
            length=self._length,
            bound=self._bound,
            word_bytes=self._word_bytes,
            cohort=pack_seats(self._present(self._cohort)),
        )

    def add_input(self, masked: MaskedInput) -> None:
        """Add a device's masked vector to the sum.

        Raises:
            RefusalError: not of the cohort, too late, or the second of one device.
            WireError: it is not of this round or not complete.
        """
        late = self._survivors is not None
        self._check(masked.round, masked.seat, self._inputs, late=late, of=self._cohort)
        _check_size("words", masked.words, self._word_bytes * self._length)
        self._check_boxes(masked.commitment, masked.shares)
        self._accumulator += np.frombuffer(masked.words, dtype=f"<u{self._word_bytes}")
        self._inputs[masked.seat] = masked.commitment, masked.shares

    def confirm_request(self) -> ConfirmRequest:
        """Settle the survivors, and return what their keepers are asked.

        Raises:
            UnavailableError: too few inputs came; nothing is released, begin anew.
        """
        if self._survivors is None:
            self._check_enough(self._inputs)
            self._survivors = pack_seats(self._present(self._inputs))
        return ConfirmRequest(round=self._number, survivors=self._survivors)

    def add_confirmation(self, confirmation: Confirmation) -> None:
        """Take a keeper's word, to be passed on to the others.

        Raises:
            RefusalError: not of a surviving keeper, or the second.
            WireError: it is not of this round or not complete.
        """
        self._check(
            confirmation.round, confirmation.seat, self._confirmations, of=self._present_keepers()
        )
        _check_size("tags", confirmation.tags, TAG_BYTES * self._epoch.sizes.keepers)
        self._confirmations[confirmation.seat] = confirmation.tags

    def unmask_request(self, seat: int) -> UnmaskRequest:
        """Return what one surviving keeper is asked: each gets the words meant for it."""
        survivors = self.confirm_request().survivors
        keepers = self._graph.keepers.tolist()
        place = keepers.index(seat)
        signers = [keeper in self._confirmations and keeper != seat for keeper in keepers]
        return UnmaskRequest(
            round=self._number,
            survivors=survivors,
            confirmed=pack_seats(np.array(signers)),
            tags=b"".join(
                self._confirmations[keeper][TAG_BYTES * place : TAG_BYTES * (place + 1)]
                for keeper, signed in zip(keepers, signers, strict=True)
                if signed
            ),
        )

    def add_unmasking(self, unmasking: Unmasking) -> None:
        """Take a keeper's pads.

        Raises:
            RefusalError: not of a surviving keeper, or the second.
            WireError: it is not of this round or not complete.
        """
        self._check(unmasking.round, unmasking.seat, self._pads, of=self._present_keepers())
        _check_size("pads", unmasking.pads, PAD_BYTES * len(self._cohort or ()))
        self._pads[unmasking.seat] = unmasking.pads

    @property
    def keepers(self) -> tuple[int, ...]:
        """Seats to be asked for confirmation and for pads: the keepers among the survivors."""
        return tuple(sorted(self._present_keepers()))

    @property
    def survivors(self) -> tuple[int, ...]:
        """Seats whose input is in the sum so far."""
        return tuple(sorted(self._inputs))

    def total(self) -> NDArray[np.int64]:
        """Return the sum over the survivors, exact. Shape (length,).

        Raises:
            UnavailableError: fewer keepers than the threshold revealed their pads.
            RefusalError: somebody lied, and the sum cannot be opened or is out of range.
        """
        secrets = self._open_secrets()
        self_masks: list[bytes] = []
        plus: list[bytes] = []
        minus: list[bytes] = []
        for seat, secret in secrets.items():
            if seat in self._inputs:
                self_masks.append(seed_of(secret, LABEL_SELF))
                continue
            edges = crypt(seed_of(secret, LABEL_EDGES), self._deposits[seat].edges)
            for place, partner in enumerate(self._graph.partners(seat).tolist()):
                if partner in self._inputs:  # it added the stream if its seat is the lower
                    seed = edges[SEED_BYTES * place : SEED_BYTES * (place + 1)]
                    (minus if partner < seat else plus).append(seed)
        words = self._accumulator.copy()
        add_streams(words, plus, [*self_masks, *minus])
        return from_words(words, bound=self._bound, devices=len(self._inputs))

    def _open_secrets(self) -> Mapping[int, Elements]:
        """Open every cohort device's secret: of survivors the self-mask, of others the edges."""
        threshold = self._epoch.sizes.threshold
        revealing = sorted(self._pads)
        if len(revealing) < threshold:
            raise UnavailableError(
                f"{len(revealing)} keepers revealed their pads, {threshold} are needed"
            )
        cohort = sorted(self._cohort or ())
        secrets, closed = self._try(revealing[:threshold], cohort, cohort)
        if closed:
            honest = self._without_liar(revealing, cohort, closed[0])
            again, closed = self._try(honest, cohort, closed)
            secrets.update(again)
        if closed:
            raise RefusalError(f"seat {closed[0]} dealt shares of something else; no sum")
        return secrets

    def _without_liar(self, revealing: list[int], cohort: list[int], closed: int) -> list[int]:
        """Return keepers that open what the first ones did not: all but one, and a spare."""
        threshold = self._epoch.sizes.threshold
        for liar in revealing[:threshold] if len(revealing) > threshold else []:
            others = [seat for seat in revealing[: threshold + 1] if seat != liar]
            if not self._try(others, cohort, [closed])[1]:
                return others
        raise RefusalError(
            f"the secret of seat {closed} does not open: a keeper or its dealer lied"
        )

    def _try(
        self, keepers: list[int], cohort: list[int], wanted: list[int]
    ) -> tuple[dict[int, Elements], list[int]]:
        """Open some devices' secrets with these keepers; return them, and who stayed closed."""
        boxes = {
            seat: self._inputs.get(seat)
            or (self._deposits[seat].commitment, self._deposits[seat].shares)
            for seat in wanted
        }
        rows = np.searchsorted(cohort, wanted)
        pads = [
            np.frombuffer(self._pads[keeper], dtype=np.uint8).reshape(-1, PAD_BYTES)[rows].tobytes()
            for keeper in keepers
        ]
        places = np.searchsorted(self._graph.keepers, keepers)
        secrets = open_boxes([shares for _, shares in boxes.values()], pads, places=places)
        opened = dict(zip(wanted, secrets, strict=True))
        closed = [seat for seat in wanted if not opens(opened[seat], boxes[seat][0])]
        return opened, closed

    def _present_keepers(self) -> frozenset[int]:
        """Return the keepers among the survivors."""
        return frozenset(self._graph.keepers.tolist()) & frozenset(self._inputs)

    def _present(self, members: Collection[int]) -> Present:
        """Return seats as a set of seats."""
        present = np.zeros(self._epoch.devices, dtype=np.bool_)
        present[list(members)] = True
        return present

    def _check_enough(self, members: Mapping[int, object]) -> None:
        """Check that the devices would not refuse."""
        epoch, graph = self._epoch, self._graph
        present = self._present(members)
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

    def _check(
        self,
        number: int,
        seat: int,
        taken: Mapping[int, object],
        *,
        late: bool = False,
        of: frozenset[int] | None = None,
    ) -> None:
        """Check round, seat and state of a message."""
        if number != self._number or not 0 <= seat < self._epoch.devices:
            raise WireError(f"a message of round {number}, seat {seat}, in round {self._number}")
        if late or seat in taken:
            raise RefusalError(f"seat {seat} is late, or has answered already")
        if taken is not self._deposits and seat not in (of or ()):
            raise RefusalError(f"seat {seat} was not asked")

    def _check_boxes(self, commitment: bytes, shares: bytes) -> None:
        """Check the sizes of what was dealt."""
        _check_size("commitment", commitment, SEED_BYTES)
        _check_size("shares", shares, PAD_BYTES * self._epoch.sizes.keepers)


def _check_size(name: str, got: bytes, expected: int) -> None:
    """Check that a field has the size it must have."""
    if len(got) != expected:
        raise WireError(f"{name} of {len(got)} bytes, expected {expected}")
