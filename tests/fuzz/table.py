"""Every parser of bytes in the project: what it is called, what it takes, and what to begin from.

A new parser joins the table of its neighbours, or is named in EXEMPT with a reason.
"""

from collections.abc import Mapping

from tests.fuzz.file_parsers import FILES
from tests.fuzz.fleet_parsers import FLEET
from tests.fuzz.role_parsers import ROLES
from tests.fuzz.sealed_parsers import SEALED
from tests.fuzz.step_parsers import STEPS
from tests.fuzz.sum_parsers import SUMS
from tests.fuzz.wire_parsers import WIRE

PARSERS = (*WIRE, *SUMS, *SEALED, *ROLES, *FLEET, *FILES, *STEPS)

_READS_FILES = "reads files by name and hands their bytes to parsers that are in the table"
_OWN_SECRETS = "a secret of this program's own, of one fixed length, in a folder nobody else reads"
_BUILDS = "reads word lists where a vocabulary is built, by hand and far from any fleet"
_FETCHES = "called by fetch alone, which turns whatever it raises into a MissingDataError"

EXEMPT: Mapping[str, str] = {
    "coordinator.delivery:Parcel.load": _READS_FILES,
    "coordinator.keys.authority:Authority.load": _OWN_SECRETS,
    "coordinator.keys.registrar_settings:RegistrarSettings.load": _READS_FILES,
    "coordinator.keys.secret_files:read_secret": _OWN_SECRETS,
    "coordinator.labels.desk_keys:read_keys": _OWN_SECRETS,
    "coordinator.models.compiling:check_compiled": "compares a file with bytes it has just made",
    "coordinator.summing:Summing.with_cohort": "requests this program has just made",
    "coordinator.secured:with_cohort": "requests this program has just made",
    "coordinator.store.exchanges:ExchangeTables.admit_envelope": "takes a number, not a message",
    "edge.answering:open_answers": "opens envelopes and reads records, both in the table",
    "edge.items:rows_of": "payloads of the device's own pool, checked when they were added",
    "edge.items:texts_of": "payloads of the device's own pool, checked when they were added",
    "edge.locked:Locker.open": "rows of the device's own pool; DataKey.open does the work",
    "edge.model_guard.session:open_session": "ONNX Runtime itself; check_model has let it through",
    "edge.trust:Trust.load": _READS_FILES,
    "fieldvote.bundle:Bundle.load": _READS_FILES,
    "fieldvote.custody:Custody.settle": "takes a key that this program has just made",
    "fieldvote.durable:read_whole": _READS_FILES,
    "fieldvote.task:Task.load": _READS_FILES,
    "privacy.pii.vocabularies.build:read_lists": _BUILDS,
    "privacy.pii.vocabularies.build:read_sources": _BUILDS,
    "privacy.sealing.role_bytes:unpack": "the first step of decode_body, which is in the table",
    "privacy.secagg.roster:check_epoch_key": "takes a record; check_roster, in the table, calls it",
    "privacy.secagg.boxes:open_boxes": "boxes and pads whose lengths the server has checked",
    "simulations.archives:parse_har": _FETCHES,
    "simulations.archives:parse_sms": _FETCHES,
}
