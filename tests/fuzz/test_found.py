"""What breaking messages has found, one by one: each was another exception once."""

import json
from collections.abc import Callable
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest

from coordinator.compiler import files as compiler_files
from coordinator.labels.label_tables import read_labels
from coordinator.labels.vote_files import read_votes
from coordinator.models.totals import load_settings_text, read_parameters
from coordinator.releases.report import Conduct, Report
from coordinator.rounds.campaign import load_campaign
from coordinator.rounds.commands import Command
from coordinator.rounds.events import load_event
from coordinator.rounds.selection import _KINDS, _Offers, unpack_offers
from edge.flower.journal import NodeStatus
from edge.flower.wire import _code_in
from edge.item_file import read_arrays
from edge.released import Released
from fieldvote.codec import encode
from fieldvote.errors import FieldvoteError, InternalError
from fieldvote.policy import RoundPolicy
from fieldvote.settings import parse_settings, parse_toml
from privacy.pii.vocabulary import MAGIC, Vocabulary
from privacy.sealing.certificate import read_certificates
from privacy.sealing.device_keys import read_request, request_certificate
from privacy.secagg.state import ParticipantState
from simulations.datasets import load_npz
from strategies.labeling.exchanges import VoteQuestion
from tests.doubles.models import model_of, written
from tests.fuzz.fleet_parsers import _participants, fleet
from tests.fuzz.samples import SENDER, as_file, label_model

DEEP = "[" * 100_000


def zipped(content: bytes, name: str = "X.npy") -> bytes:
    file = BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def packed_otherwise() -> bytes:
    """An archive whose member is said to be packed in a way that Python does not know."""
    whole = bytearray(zipped(b"x" * 50))
    for head, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = whole.index(head) + place
        whole[start : start + 2] = (99).to_bytes(2, "little")
    return bytes(whole)


def torn() -> bytes:
    """An archive whose packed bytes are not what was packed."""
    whole = bytearray(zipped(b"".join(b"%d," % n for n in range(300))))
    whole[60:80] = b"\xff" * 20
    return bytes(whole)


def of_python_2() -> bytes:
    """An array whose header is no literal that ends."""
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (3L,".ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def vast() -> bytes:
    """An array that claims more entries than any machine has."""
    file = BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<i8", "fortran_order": False, "shape": (1 << 44,)}
    )
    return file.getvalue()


def of_another_version(der: bytes) -> bytes:
    """A certificate or a request that says it is of version 10."""
    place = der.index(b"\x02\x01", 4)
    return der[: place + 2] + b"\x0a" + der[place + 3 :]


def pem_of_another_version() -> bytes:
    import base64

    from cryptography.hazmat.primitives.serialization import Encoding

    der = of_another_version(fleet()[0].public_bytes(Encoding.DER))
    lines = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + lines + b"-----END CERTIFICATE-----\n"


def of_no_type() -> bytes:
    model = model_of()
    model.graph.input[0].type.tensor_type.elem_type = 99
    return written(model)


def uneven_offers() -> bytes:
    one, two = np.zeros(1, np.int64), np.zeros(2, np.int64)
    said = _Offers(device=two, arm=one, score=two, predicted=two, items=b"i" * 32, sketches=b"ss")
    return encode(said, _KINDS)


def changed_state() -> bytes:
    import msgpack

    said = msgpack.unpackb(_participants()[0])
    said[1][1] = {}  # where a digest should be
    return bytes(msgpack.packb(said))


FOUND: dict[str, Callable[[], object]] = {
    "deep JSON in an event": lambda: load_event("Planned", DEEP),
    "deep JSON in a command": lambda: Command.from_json(DEEP.encode()),
    "deep JSON in a report": lambda: Report.from_json(DEEP.encode()),
    "deep JSON in a snapshot": lambda: load_campaign(DEEP.encode()),
    "deep JSON in settings": lambda: load_settings_text(DEEP),
    "no JSON in settings": lambda: load_settings_text("{"),
    "deep JSON in a node's status": lambda: NodeStatus.from_note(DEEP.encode()),
    "another status": lambda: NodeStatus.from_note(b'{"state": "asleep"}'),
    "deep JSON in released sums": lambda: Released.from_note(DEEP.encode()),
    "numbers in released sums": lambda: Released.from_note(b"[[1]]"),
    "deep JSON in a table of labels": lambda: read_labels(as_file(DEEP.encode(), "l.jsonl")),
    "deep JSON in votes": lambda: read_votes(as_file(DEEP.encode(), "v.json")),
    "a number without end": lambda: parse_toml(b"x = " + b"9" * 5000, "f.toml"),
    "a number no float holds": lambda: parse_settings({"price": 10**400}, RoundPolicy, "p.toml"),
    "conduct of others": lambda: Conduct.from_vector(np.arange(7), 3),
    "half a parameter": lambda: read_parameters(bytes(12)),
    "offers of two lengths": lambda: unpack_offers(uneven_offers()),
    "a state of another type": lambda: ParticipantState.from_bytes(changed_state()),
    "a certificate of version 10": lambda: read_certificates(pem_of_another_version()),
    "a request of version 84": lambda: read_request(
        of_another_version(request_certificate(SENDER, fleet()[2].keys))
    ),
    "a model of no type": lambda: compiler_files.read(of_no_type()),
    "a vocabulary's empty line": lambda: Vocabulary.from_bytes(f"{MAGIC}en\nab\n".encode()),
}
ARCHIVES = {
    "packed otherwise": packed_otherwise,
    "torn": torn,
    "no array": lambda: zipped(b"text"),
    "of Python 2": lambda: zipped(of_python_2()),
    "vast": lambda: zipped(vast()),
}


@pytest.mark.parametrize("what", list(FOUND))
def test_what_was_found_is_a_typed_error_now(what: str) -> None:
    with pytest.raises(FieldvoteError) as raised:
        FOUND[what]()
    assert not isinstance(raised.value, InternalError)
    assert len(str(raised.value)) < 500


@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")
@pytest.mark.parametrize("what", list(ARCHIVES))
@pytest.mark.parametrize("read", [read_arrays, load_npz, read_votes])
def test_archives_that_are_none_are_said_so(what: str, read: Callable[..., object]) -> None:
    with pytest.raises(FieldvoteError):
        read(as_file(ARCHIVES[what](), "file.npz"))


def test_long_words_of_others_are_not_quoted_whole() -> None:
    for say in (
        lambda: VoteQuestion.unpacked("x" * 9000, label_model(), copies=b"", one_in=1),
        lambda: load_event("x" * 9000, "{}"),
        lambda: Command.from_json(json.dumps({"x" * 9000: 1}).encode()),
    ):
        with pytest.raises(FieldvoteError) as raised:
            say()
        assert len(str(raised.value)) < 500


def test_a_deep_answer_of_a_superlink_has_no_code() -> None:
    assert _code_in(DEEP.encode()) == 0
