"""Parsers of who is who in a fleet: certificates, enrolment, the directory, rosters of sums."""

from contextlib import suppress
from dataclasses import replace
from functools import cache

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from fieldvote.codec import decode, encode
from fieldvote.errors import FieldvoteError
from fieldvote.rng import keyed_entropy
from fieldvote.sums import Roster
from privacy.sealing import SealingKey, SigningKey
from privacy.sealing.authority import issue, make_intermediate, make_root, to_pem
from privacy.sealing.certificate import check_chain, read_certificate, read_certificates
from privacy.sealing.device_keys import (
    node_line,
    node_public,
    read_request,
    request_certificate,
)
from privacy.sealing.directory import Directory, Entry
from privacy.sealing.enrolment import (
    KINDS,
    Applicant,
    Grant,
    Introduction,
    admit,
    seal_grant,
)
from privacy.sealing.possession import check_hello, check_renewal, prove_hello
from privacy.sealing.token import Token, make_token, read_stub
from privacy.secagg.client import Participant
from privacy.secagg.floors import Floors
from privacy.secagg.parameters import Parameters
from privacy.secagg.roster import Epoch, check_roster, make_roster, sign_epoch_key
from privacy.secagg.server import Summation
from privacy.secagg.state import Leg, OpenRound, ParticipantState
from privacy.secagg.survivors import unpack_seats
from tests.fuzz.harness import Parser
from tests.fuzz.samples import NOW, READER, SENDER
from tests.privacy.secagg.fleet import enrol, everybody


@cache
def fleet() -> tuple[x509.Certificate, bytes, Applicant]:
    """Return a fleet's root, a device's chain, and the device as it asked for it."""
    root_key, key = SigningKey(b"1" * 32), SigningKey(b"2" * 32)
    entropy = keyed_entropy(4, "serials")
    root = make_root(root_key, "fleet", now=NOW, entropy=entropy)
    between = make_intermediate(
        key.public, "fleet", root=root, key=root_key, now=NOW, entropy=entropy
    )
    token = make_token(b"t" * 32, name="phone-1", root=bytes(32), address="here:1", now=NOW,
                       entropy=entropy)  # fmt: skip
    node = ec.derive_private_key(12345, ec.SECP384R1())
    applicant = Applicant(token=token, signing=SENDER, sealing=READER, node=node)
    chain = issue(applicant.keys, "phone-1", authority=between, key=key, now=NOW, entropy=entropy)
    return root, chain, applicant


def _chain(blob: bytes) -> None:
    read_certificates(blob)
    check_chain(blob, root=fleet()[0], now=NOW)


def _enrolled(blob: bytes) -> None:
    decode(blob, KINDS, tuple(KINDS.values()))


def _enrolment_seeds() -> list[bytes]:
    root, chain, _ = fleet()
    said = Introduction(root=to_pem(root), authority=chain)
    grant = Grant(certificate=chain, root=b"", sketch_secret=b"8 bytes!", superlink="here:2",
                  superlink_ca=b"", desk='desk = "x"')  # fmt: skip
    return [encode(said, KINDS), encode(grant, KINDS)]


def _directories() -> list[bytes]:
    keys = fleet()[2].keys
    entry = Entry(id="phone-1", signing=keys.signing, sealing=keys.sealing, node=keys.node,
                  serial="ab12")  # fmt: skip
    return [Directory(version=1, entries=(entry,)).to_bytes()]


def _device_key(blob: bytes) -> None:
    node_public(blob)
    node_line(blob, "phone-1")


def _stub(blob: bytes) -> None:
    read_stub(blob)


def _granted(blob: bytes) -> None:
    applicant = fleet()[2]
    with suppress(FieldvoteError):
        applicant.open_challenge(blob, authority=SENDER.public)
    applicant.open_grant(blob, authority=SENDER.public)


def grants() -> list[bytes]:
    """A grant as the registrar seals it to the device."""
    asked = admit(fleet()[2].ask(), key=b"t" * 32)
    grant = decode(_enrolment_seeds()[1], KINDS, (Grant,))
    return [seal_grant(grant, asked, signer=SENDER)]


def _shown(blob: bytes) -> None:
    """A proof and a chain, as a device shows them."""
    root, _, applicant = fleet()
    keys = (applicant.keys.signing, applicant.keys.sealing)
    with suppress(FieldvoteError):
        check_renewal(blob[:64], public=SENDER.public, serial=b"s" * 20, challenge=b"c" * 32)
    check_hello(blob[:64], keys, challenge=b"c" * 32, campaign="x", task="t",
                certificate=blob[64:], root=root, now=NOW)  # fmt: skip


def _proofs() -> list[bytes]:
    chain = fleet()[1]
    proof = prove_hello(SENDER, challenge=b"c" * 32, campaign="x", task="t", certificate=chain)
    return [proof + chain]


_SIZES = Parameters(degree=2, least_partners=1, keepers=3, threshold=2)


def _participants() -> list[bytes]:
    epoch = Epoch(number=1, digest=bytes(32), devices=6, sizes=_SIZES, least_cohort=3, robust=True)
    chains = {peer: bytes([peer]) * 32 for peer in range(1, 6)}
    opened = OpenRound(number=4, leg=Leg.MASKED, keys=chains, cohort=b"\x3f", digest=bytes(32))
    state_of = ParticipantState(epoch=epoch, seat=0, chains=chains, next_round=5, open=None)
    return [state_of.to_bytes(), replace(state_of, open=opened).to_bytes()]


def _roster(blob: bytes) -> None:
    """A roster as it comes, against a directory that knows its first devices."""
    found = decode(blob, {1: Roster}, (Roster,))
    with suppress(FieldvoteError):
        found = replace(found, keys=tuple(sorted(found.keys, key=lambda key: key.device)))
    check_roster(found, directory=dict.fromkeys(range(12), SENDER.public),
                 floors=Floors(max_corrupt=0.0), newer_than=0)  # fmt: skip


def _rosters() -> list[bytes]:
    keys = [
        sign_epoch_key(
            epoch=1, device=n, exchange=SealingKey(bytes([n]) * 32).public, signer=SENDER
        )
        for n in range(12)
    ]
    sizes = Parameters(degree=11, least_partners=6, keepers=12, threshold=7)
    return [encode(make_roster(keys, sizes=sizes, least_cohort=10), {1: Roster})]


@cache
def _unmasked() -> tuple[Epoch, bytes]:
    """A round of four devices, as it is written down before it is opened."""
    found = enrol(4, everybody(4, 3), robust=False, floors=None)
    made = Summation(found.epoch, number=0, length=3, bound=9, about=b"votes")
    entropy = keyed_entropy(4, "a round")
    for device in found.devices:
        made.add_deposit(device.deposit(made.deposit_request(), entropy=entropy))
    for device in found.devices[1:]:
        made.add_input(device.mask(made.mask_request(), np.arange(3), entropy=entropy))
    return found.epoch, made.to_bytes()


FLEET = (
    Parser("chains", _chain, lambda: [fleet()[1]],
           ("privacy.sealing.certificate:check_chain",
            "privacy.sealing.certificate:read_certificates"), share=4),
    Parser("certificates", read_certificate, lambda: [to_pem(fleet()[0])],
           ("privacy.sealing.certificate:read_certificate",), share=4),
    Parser("requests for certificates", read_request,
           lambda: [request_certificate(SENDER, fleet()[2].keys)],
           ("privacy.sealing.device_keys:read_request",), share=4),
    Parser("enrolments", lambda blob: admit(blob, key=b"t" * 32), lambda: [fleet()[2].ask()],
           ("privacy.sealing.enrolment:admit",), share=4),
    Parser("enrolment records", _enrolled, _enrolment_seeds, ()),
    Parser("stubs", _stub, lambda: [fleet()[2].token.stub],
           ("privacy.sealing.token:read_stub",), share=2),
    Parser("tokens", lambda blob: Token.from_text(blob.decode("latin-1")),
           lambda: [fleet()[2].token.text.encode()],
           ("privacy.sealing.token:Token.from_text",), share=4),
    Parser("directories", Directory.from_bytes, _directories,
           ("privacy.sealing.directory:Directory.from_bytes",), share=4),
    Parser("node keys", _device_key, lambda: [fleet()[2].keys.node],
           ("privacy.sealing.device_keys:node_public", "privacy.sealing.device_keys:node_line"),
           share=3),
    Parser("grants", _granted, grants,
           ("privacy.sealing.enrolment:Applicant.open_challenge",
            "privacy.sealing.enrolment:Applicant.open_grant"), share=2),
    Parser("proofs of possession", _shown, _proofs,
           ("privacy.sealing.possession:check_hello", "privacy.sealing.possession:check_renewal"),
           share=3),
    Parser("participants", Participant.from_bytes, _participants,
           ("privacy.secagg.client:Participant.from_bytes",
            "privacy.secagg.state:ParticipantState.from_bytes"), share=4),
    Parser("rounds", lambda blob: Summation.from_bytes(_unmasked()[0], blob).keepers,
           lambda: [_unmasked()[1]], ("privacy.secagg.server:Summation.from_bytes",), share=4),
    Parser("rosters", _roster, _rosters, ("privacy.secagg.roster:check_roster",), share=4),
    Parser("sets of seats", lambda blob: unpack_seats(blob, devices=20),
           lambda: [bytes((255, 1, 15))], ("privacy.secagg.survivors:unpack_seats",), share=2),
)  # fmt: skip
