"""The device's side: a participant in an epoch's sums, and everything it refuses.

One round, leg by leg. Whoever is no keeper is done after `mask`::

    deposit ──> mask ──> confirm ──> unmask
                  └───── quick ────────^

Rules, in the order they are checked; a refusal changes nothing:

1. a round's number is greater than any before; a newer round closes an older one for good;
2. a leg is answered once, after the leg before it (`confirm` again only with the same survivors);
3. cohort and survivors reach the floors: devices, partners of every survivor, keepers;
4. survivors are of the cohort, and this device is among them, since it sent its input;
5. no sum over the cohort can wrap around;
6. nothing is revealed before `threshold` keepers, this one included, signed the very same view;
7. for each device one pad is revealed, of its self-mask or of its edges, never both.

A device may be killed between legs: write `to_bytes` down *before* an answer is sent, and a device
that comes back neither repeats an answer nor makes a second, different one.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import RefusalError, ShapeError
from fieldvote.sums import (
    Confirmation,
    ConfirmRequest,
    Deposit,
    DepositRequest,
    MaskedInput,
    MaskRequest,
    Roster,
    Unmasking,
    UnmaskRequest,
)
from privacy.sealing.keys import SealingKey
from privacy.secagg.boxes import (
    LABEL_EDGES,
    LABEL_SELF,
    commitment,
    deposit_pad,
    draw_secret,
    input_pad,
    reveal_pads,
    seal_shares,
    seed_of,
)
from privacy.secagg.graph import Present
from privacy.secagg.masks import add_streams, crypt, edge_seed, pair_key, ratchet
from privacy.secagg.ranges import WORD_TYPES, fits, to_words
from privacy.secagg.roster import Epoch, roster_digest
from privacy.secagg.shamir import dealer_for
from privacy.secagg.state import Leg, OpenRound, ParticipantState
from privacy.secagg.survivors import (
    TAG_BYTES,
    cohort_digest,
    count_valid_tags,
    unpack_seats,
    view_digest,
    view_tag,
)

MAX_ROUNDS_SLEPT = 1024  # a greater leap would let one request occupy a device for minutes

Entropy = Callable[[int], bytes]


class Participant:
    """One device in one epoch."""

    __slots__ = ("_graph", "_state")

    def __init__(self, state: ParticipantState) -> None:
        """Go on from this state."""
        self._state = state
        self._graph = state.epoch.graph()

    @classmethod
    def enrol(
        cls, epoch: Epoch, roster: Roster, *, device: int, secret: SealingKey
    ) -> "Participant":
        """Agree with partners and keepers on the epoch's pair keys.

        Args:
            epoch: What check_roster returned for this roster.
            roster: The roster.
            device: This device's id.
            secret: The key whose public half this device signed for the epoch; not needed again.

        Raises:
            RefusalError: another roster than was checked, or it lacks this device or its key.
        """
        if roster_digest(roster) != epoch.digest:
            raise RefusalError("not the roster this epoch was made of")
        ids = [key.device for key in roster.keys]
        if device not in ids or roster.keys[seat := ids.index(device)].exchange != secret.public:
            raise RefusalError("this device's own key is not in the roster")
        graph = epoch.graph()
        keeps = seat in graph.keepers
        peers = range(epoch.devices) if keeps else {*graph.partners(seat), *graph.keepers}
        chains = {
            peer: pair_key(
                secret, roster.keys[peer].exchange, digest=epoch.digest, seat=seat, other=peer
            )
            for peer in sorted(map(int, peers))
        }
        return cls(ParticipantState(epoch=epoch, seat=seat, chains=chains, next_round=0, open=None))

    @classmethod
    def from_bytes(cls, blob: bytes) -> "Participant":
        """Go on from what to_bytes wrote."""
        return cls(ParticipantState.from_bytes(blob))

    def to_bytes(self) -> bytes:
        """Return the state; whoever reads it can unmask this device's open round."""
        return self._state.to_bytes()

    @property
    def epoch(self) -> Epoch:
        """The epoch this device is enrolled in."""
        return self._state.epoch

    @property
    def seat(self) -> int:
        """This device's seat."""
        return self._state.seat

    @property
    def cohort(self) -> bytes:
        """Bitmap of the cohort the open round's input was masked towards; empty before."""
        return self._state.open.cohort if self._state.open else b""

    @property
    def keeps(self) -> bool:
        """Whether this device holds shares, and so answers in every leg."""
        return self._state.seat in self._graph.keepers

    def deposit(self, request: DepositRequest, *, entropy: Entropy) -> Deposit:
        """Open a round, and leave with the keepers what lets it go on without this device.

        Raises:
            RefusalError: another roster, or a round that is not new.
        """
        state, seat = self._state, self.seat
        if request.roster != self.epoch.digest:
            raise RefusalError("a round of another roster")
        ahead = request.round - state.next_round
        if not 0 <= ahead <= MAX_ROUNDS_SLEPT:
            raise RefusalError(f"round {request.round} where {state.next_round} may be next")
        chains, keys = _advance(state.chains, ahead)
        secret = draw_secret(entropy)
        partners = self._graph.partners(seat)
        edges = b"".join(edge_seed(keys[peer]) for peer in partners.tolist())
        pads = [deposit_pad(keys[keeper], dealer=seat, keeper=keeper) for keeper in self._keepers()]
        reply = Deposit(
            round=request.round,
            seat=seat,
            commitment=commitment(secret),
            shares=self._seal(secret, pads, entropy),
            edges=crypt(seed_of(secret, LABEL_EDGES), edges),
        )
        opened = OpenRound(number=request.round, leg=Leg.DEPOSITED, keys=keys)
        self._state = replace(state, chains=chains, next_round=request.round + 1, open=opened)
        return reply

    def mask(
        self, request: MaskRequest, values: NDArray[np.int64], *, entropy: Entropy
    ) -> MaskedInput:
        """Send a vector under a fresh mask of its own and one towards each partner.

        Args:
            request: The cohort and the range of the numbers.
            values: Shape (length,), none above the bound.
            entropy: The system's, outside rehearsals.

        Raises:
            RefusalError: a rule is broken; see the module.
            ShapeError: the vector is not as long as the round was announced.
        """
        opened = self._open(request.round, Leg.DEPOSITED)
        if values.shape != (request.length,):
            raise ShapeError("values", values.shape, (request.length,))
        cohort = unpack_seats(request.cohort, devices=self.epoch.devices)
        self._check_present(cohort, np.array([self.seat]))
        _check_range(request, int(cohort.sum()))
        words = to_words(values, bound=request.bound, word_bytes=request.word_bytes)
        digest = cohort_digest(self.epoch.digest, request)
        secret = draw_secret(entropy)
        seeds = {
            peer: edge_seed(opened.keys[peer])
            for peer in self._graph.partners(self.seat).tolist()
            if cohort[peer]
        }
        add_streams(
            words,
            [seed_of(secret, LABEL_SELF), *(seeds[peer] for peer in seeds if self.seat < peer)],
            [seeds[peer] for peer in seeds if self.seat > peer],
        )
        pads = [
            input_pad(opened.keys[keeper], digest, dealer=self.seat, keeper=keeper)
            for keeper in self._keepers()
        ]
        reply = MaskedInput(
            round=request.round,
            seat=self.seat,
            words=words.astype(words.dtype.newbyteorder("<"), copy=False).tobytes(),
            commitment=commitment(secret),
            shares=self._seal(secret, pads, entropy),
        )
        masked = replace(opened, leg=Leg.MASKED, cohort=request.cohort, digest=digest)
        self._state = replace(self._state, open=masked if self.keeps else None)
        return reply

    def confirm(self, request: ConfirmRequest) -> Confirmation:
        """Sign the survivor set towards the other keepers; nothing is revealed.

        Raises:
            RefusalError: a rule is broken; see the module.
        """
        opened = self._open(request.round, Leg.MASKED, Leg.CONFIRMED)
        if opened.survivors not in (b"", request.survivors):
            raise RefusalError("a second, different survivor set in one round")
        survivors = self._check_survivors(opened, request.survivors)
        view = view_digest(opened.digest, request.survivors)
        tags = b"".join(
            view_tag(opened.keys[keeper], view, signer=self.seat, reader=keeper)
            if survivors[keeper]
            else bytes(TAG_BYTES)
            for keeper in self._keepers()
        )
        confirmed = replace(opened, leg=Leg.CONFIRMED, survivors=request.survivors)
        self._state = replace(self._state, open=confirmed)
        return Confirmation(round=request.round, seat=self.seat, tags=tags)

    def unmask(self, request: UnmaskRequest) -> Unmasking:
        """Reveal one pad for each device of the cohort, and close the round.

        Raises:
            RefusalError: a rule is broken; see the module.
        """
        opened = self._open(request.round, Leg.CONFIRMED if self.epoch.robust else Leg.MASKED)
        survivors = self._check_survivors(opened, request.survivors)
        if self.epoch.robust:
            self._check_quorum(opened, request, survivors)
        cohort = unpack_seats(opened.cohort, devices=self.epoch.devices)
        pads = reveal_pads(
            opened.keys,
            opened.digest,
            keeper=self.seat,
            dealers=np.flatnonzero(cohort).tolist(),
            survive=survivors[cohort].tolist(),
        )
        self._state = replace(self._state, open=None)
        return Unmasking(round=request.round, seat=self.seat, pads=pads)

    def _open(self, number: int, *legs: Leg) -> OpenRound:
        """Return the open round if it has this number and stands at one of these legs."""
        opened = self._state.open
        if opened is None or opened.number != number:
            raise RefusalError(f"round {number} is not open on this device")
        if opened.leg not in legs:
            raise RefusalError(f"round {number} stands at {opened.leg.name.lower()}")
        return opened

    def _check_present(self, present: Present, whose: NDArray[np.int64]) -> None:
        """Check the floors of a cohort or survivor set, with partners of these seats."""
        epoch = self.epoch
        if not present[self.seat]:
            raise RefusalError("this device is left out, though it answered")
        if (count := int(present.sum())) < epoch.least_cohort:
            raise RefusalError(f"{count} devices, fewer than {epoch.least_cohort}")
        if (count := int(present[self._graph.keepers].sum())) < epoch.sizes.threshold:
            raise RefusalError(f"{count} keepers, fewer than {epoch.sizes.threshold}")
        fewest = int(self._graph.partners_present(present)[whose].min())
        if fewest < epoch.sizes.least_partners:
            raise RefusalError(
                f"a device with {fewest} partners left, fewer than {epoch.sizes.least_partners}"
            )

    def _check_survivors(self, opened: OpenRound, bitmap: bytes) -> Present:
        """Return the survivors if they may be."""
        survivors = unpack_seats(bitmap, devices=self.epoch.devices)
        if (survivors & ~unpack_seats(opened.cohort, devices=self.epoch.devices)).any():
            raise RefusalError("a survivor that is not in the cohort")
        # Every survivor's partners, not only ours: else one device's could all be declared gone,
        # their edges opened, and its input be left under a self-mask that is opened too.
        self._check_present(survivors, np.flatnonzero(survivors))
        return survivors

    def _check_quorum(self, opened: OpenRound, request: UnmaskRequest, survivors: Present) -> None:
        """Check that enough keepers signed the view this device signed."""
        if request.survivors != opened.survivors:
            raise RefusalError("not the survivor set this device confirmed")
        keepers = self._graph.keepers
        signers = keepers[unpack_seats(request.confirmed, devices=len(keepers))].tolist()
        if len(request.tags) != TAG_BYTES * len(signers):
            raise RefusalError(f"{len(signers)} confirmations in {len(request.tags)} bytes")
        tags = {
            signer: request.tags[TAG_BYTES * place : TAG_BYTES * (place + 1)]
            for place, signer in enumerate(signers)
            if survivors[signer]
        }
        view = view_digest(opened.digest, request.survivors)
        valid = 1 + count_valid_tags(tags, view, reader=self.seat, round_keys=opened.keys)
        if valid < self.epoch.sizes.threshold:
            raise RefusalError(
                f"{valid} keepers confirm this survivor set, fewer than"
                f" {self.epoch.sizes.threshold}"
            )

    def _keepers(self) -> list[int]:
        """Return the keepers' seats in order."""
        keepers: list[int] = self._graph.keepers.tolist()
        return keepers

    def _seal(self, secret: NDArray[np.uint64], pads: list[bytes], entropy: Entropy) -> bytes:
        """Deal a secret among the keepers."""
        sizes = self.epoch.sizes
        dealer = dealer_for(holders=sizes.keepers, threshold=sizes.threshold)
        return seal_shares(secret, dealer=dealer, pads=pads, entropy=entropy)


def _advance(chains: Mapping[int, bytes], ahead: int) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """Pass over rounds slept through; return the chains after the next one, and its keys."""
    after, keys = ratchet(chains)
    for _ in range(ahead):
        after, keys = ratchet(after)
    return after, keys


def _check_range(request: MaskRequest, devices: int) -> None:
    """Check that no sum of so many devices can wrap around."""
    if request.word_bytes not in WORD_TYPES or request.bound < 1:
        raise RefusalError(
            f"words of {request.word_bytes} bytes for numbers of up to {request.bound}"
        )
    if not fits(request.bound, devices=devices, word_bytes=request.word_bytes):
        raise RefusalError(
            f"{devices} numbers of up to {request.bound} can wrap around"
            f" {request.word_bytes} bytes unseen"
        )
