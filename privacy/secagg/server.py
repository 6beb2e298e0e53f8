"""The coordinator's side of one round: it collects, adds, and can open nothing but the sum.

Each leg is a `…_request` to be sent, an `add_…` for every answer, in any order, and an end when the
caller has waited long enough. Inputs go into one accumulator as they come, so memory does not grow
with the cohort; what came is in the sum for good, and its device among the survivors.

It checks what it can: a sum is exact or there is none. A message that does not fit is refused and
changes nothing; the caller makes sure that a seat's messages come from the device of that seat.

Whoever may be killed writes `to_bytes` down before the first `unmask_request` is sent: what a
keeper reveals it reveals once, and goes on with `from_bytes`. Before that, a round begins anew.
"""

from collections.abc import Mapping

import msgpack
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
from privacy.secagg.kept import boxes_of, check_seats, deposit_of, part_of
from privacy.secagg.masks import SEED_BYTES, add_streams, crypt
from privacy.secagg.presence import check_enough, present_in
from privacy.secagg.ranges import WORD_TYPES, from_words, word_bytes_for
from privacy.secagg.roster import Epoch
from privacy.secagg.survivors import TAG_BYTES, pack_seats


class Summation:
    """One round, from the first deposit to the sum."""

    def __init__(
        self, epoch: Epoch, *, number: int, length: int, bound: int, about: bytes = b""
    ) -> None:
        """Announce a round.

        Args:
            epoch: What check_roster returned.
            number: The round's number, greater than any before in the epoch.
            length: Numbers in the vector.
            bound: Greatest absolute value of any of them on one device.
            about: Names what is summed.

        Raises:
            InputError: no word holds such a sum.
        """
        if length < 1 or number < 0:
            raise InputError(f"round {number} of {length} numbers")
        self._epoch, self._graph = epoch, epoch.graph()
        self._number, self._length, self._bound, self._about = number, length, bound, about
        self._word_bytes = word_bytes_for(bound, devices=epoch.devices)
        self._accumulator = np.zeros(length, dtype=WORD_TYPES[self._word_bytes])
        self._deposits: dict[int, Deposit] = {}
        self._cohort: frozenset[int] | None = None
        self._inputs: dict[int, tuple[bytes, bytes]] = {}  # commitment and boxes
        self._survivors: bytes | None = None
        self._confirmations: dict[int, bytes] = {}
        self._pads: dict[int, bytes] = {}

    @classmethod
    def from_bytes(cls, epoch: Epoch, blob: bytes) -> "Summation":
        """Go on with a round of this epoch from what to_bytes wrote.

        Raises:
            InputError: these bytes are no round that was being unmasked.
        """
        try:
            sizes, about, words, deposits, inputs, survivors, tags = msgpack.unpackb(
                blob, strict_map_key=False
            )
            number, length, bound = sizes
            if not all(type(each) is bytes for each in (about, words, survivors)):
                raise ValueError("not a round")
            if type(length) is not int or not 0 < length <= len(words):
                raise ValueError("not a length")
            made = cls(epoch, number=number, length=length, bound=bound, about=about)
            made._accumulator += np.frombuffer(words, dtype=f"<u{made._word_bytes}")
            made._deposits = {seat: deposit_of(parts) for seat, parts in deposits.items()}
            made._inputs = {seat: boxes_of(parts) for seat, parts in inputs.items()}
            made._cohort = frozenset(made._deposits)
            made._survivors = survivors
            made._confirmations = {seat: part_of(each) for seat, each in tags.items()}
            check_seats(epoch, made._cohort, of=range(epoch.devices))
            check_seats(epoch, made._inputs, of=made._cohort)
            check_seats(epoch, made._confirmations, of=made._inputs)
        except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as err:
            raise InputError(f"{len(blob)} bytes that are no round to be unmasked") from err
        return made

    def to_bytes(self) -> bytes:
        """Return the round as it is when its survivors are settled; it holds no secret."""
        packed: bytes = msgpack.packb(
            [
                [self._number, self._length, self._bound],
                self._about,
                self._accumulator.astype(f"<u{self._word_bytes}").tobytes(),
                {
                    seat: [it.round, it.seat, it.commitment, it.shares, it.edges]
                    for seat, it in self._deposits.items()
                    if seat in (self._cohort or ())
                },
                {seat: list(parts) for seat, parts in self._inputs.items()},
                self.confirm_request().survivors,
                self._confirmations,
            ]
        )
        return packed

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
            check_enough(self._epoch, self._deposits)
            self._cohort = frozenset(self._deposits)
        return MaskRequest(
            round=self._number,
            length=self._length,
            bound=self._bound,
            word_bytes=self._word_bytes,
            cohort=pack_seats(present_in(self._epoch, self._cohort)),
            about=self._about,
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
            check_enough(self._epoch, self._inputs)
            self._survivors = pack_seats(present_in(self._epoch, self._inputs))
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
    def confirmed(self) -> tuple[int, ...]:
        """Seats of the keepers that confirmed who survives; the others reveal nothing."""
        return tuple(sorted(self._confirmations))

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
