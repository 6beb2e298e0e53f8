"""Parsers of files and of what programs keep for themselves: a disk is not to be trusted either."""

import json
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np

from coordinator.labels.label_tables import PROVENANCE, read_labels
from coordinator.labels.vote_files import read_votes, write_votes
from coordinator.models.asking import InputQuestion
from coordinator.models.one_input import read_input
from coordinator.models.totals import (
    Snapshot,
    dump_settings,
    load_settings_text,
    read_parameters,
    write_parameters,
)
from coordinator.models.trace import Trace
from coordinator.releases.asking import ReleaseCommand
from coordinator.releases.events import EVENTS as RELEASE_EVENTS
from coordinator.releases.events import load_event as load_release_event
from coordinator.releases.report import FunctionRow, Report
from coordinator.rounds.campaign import CampaignState, dump_campaign, load_campaign
from coordinator.rounds.commands import Command
from coordinator.rounds.drift import read_counts, read_panel, write_counts, write_panel
from coordinator.rounds.events import EVENTS, load_event
from coordinator.rounds.judging import LegSums, dump_sums, read_sums
from coordinator.rounds.selection import pack_offers, unpack_offers
from coordinator.service import CoordinatorSettings
from coordinator.settings import CampaignSettings
from coordinator.store.rows import StoredOffer
from edge import selection as edge_selection
from edge.flower.journal import NodeStatus
from edge.item_file import load_items
from edge.released import Released
from edge.settings import EdgeSettings
from fieldvote.expression_parser import parse_expression
from fieldvote.function_file import parse_functions
from fieldvote.records import DeviceId
from fieldvote.task import TabularInput, Task, TextInput
from privacy.pii.vocabulary import MAGIC, Vocabulary
from simulations.datasets import load_npz
from simulations.scenario import Scenario
from strategies.arrivals import Layout
from strategies.drift_panel import Panel
from tests.doubles.tasks import tabular_files, text_files
from tests.fuzz.harness import Parser
from tests.fuzz.samples import as_file, label_model, plain, record_of, votes

_FIELDS = ("heat", "speed", "age")
_CLASSES = ("normal", "worn", "broken")
_PANEL = Panel.over(Layout(classes=2, functions=1))


def _tasks(blob: bytes) -> None:
    """Break one file of a task; the first byte says which."""
    files = {b"t": text_files, b"r": tabular_files}.get(blob[:1], text_files)
    names = ("task.toml", "functions.toml", "policy.toml")
    name = names[blob[1] % len(names)] if len(blob) > 1 else names[0]
    Task.parse({**files(), name: blob[2:]}, "task")


def _task_seeds() -> list[bytes]:
    return [
        letter + bytes([place]) + files()[name]
        for letter, files in ((b"t", text_files), (b"r", tabular_files))
        for place, name in enumerate(("task.toml", "functions.toml", "policy.toml"))
    ]


_FUNCTIONS = b"""
[[function]]
id = "hot"
kind = "expression"
class = "worn"
owner = "ann"
when = "heat > 0.5 and not missing(speed)"
[[function]]
id = "slow"
kind = "threshold"
class = "normal"
owner = "ann"
field = "speed"
below = 0.5
examples = [{ input = { speed = 0.1 }, vote = "normal" }]
"""


def _event(read: Callable[[str, str], object]) -> Callable[[bytes], None]:
    """Return a reader of stored events: the kind, a line's end, the body."""

    def parse(blob: bytes) -> None:
        kind, _, body = blob.decode("utf-8", "replace").partition("\n")
        read(kind, body)

    return parse


def _events(kinds: dict[str, type]) -> list[bytes]:
    return [f"{name}\n{plain(record_of(kind))}".encode() for name, kind in kinds.items()]


def _from_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    """Return a reader of files as a parser of bytes."""

    def parse(blob: bytes) -> None:
        read(as_file(blob, name))

    return parse


def _npz(**arrays: np.ndarray) -> bytes:
    file = BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _rows() -> bytes:
    device = np.repeat(np.arange(6), 5)
    return _npz(X=np.ones((30, 3)), y=np.arange(30) % 3, device=device)


def _texts() -> bytes:
    said = np.frombuffer(b"a prize\nsee you\nhome", dtype=np.uint8)
    return _npz(utf8=said, y=np.array([1, 0, 0]), device=np.array([0, 1, 2]))


def _items(blob: bytes) -> None:
    """Items of either input; the first byte says which."""
    given = TextInput(width=8) if blob[:1] == b"t" else TabularInput(fields=_FIELDS)
    load_items(as_file(blob[1:], "items.npz"), given, 3)


@cache
def _rows_task() -> Task:
    return Task.parse(tabular_files(), "task")


def _one_row(path: Path) -> None:
    read_input(_rows_task(), file=path)


def _written_votes(suffix: str) -> bytes:
    path = as_file(b"", f"written{suffix}")
    write_votes(path, votes(), classes=2)
    return path.read_bytes()


def _vote_file(suffix: str, share: int) -> Parser:
    return Parser(
        f"votes as {suffix}", _from_file(f"votes{suffix}", read_votes),
        lambda: [_written_votes(suffix)], ("coordinator.labels.vote_files:read_votes",),
        share=share,
    )  # fmt: skip


def _labels() -> bytes:
    row = dict.fromkeys(PROVENANCE, "x")
    return f"{json.dumps(row)}\n{json.dumps(row)}\n".encode()


def _wish(*wishes: object) -> Callable[[], list[bytes]]:
    return lambda: [wish.to_json() for wish in wishes]  # type: ignore[attr-defined]  # a wish


def _stored_offers() -> list[StoredOffer]:
    return [
        StoredOffer(
            device=DeviceId(n), item=bytes([n] * 16), arm=0, score=9, predicted=1, sketch=b"s"
        )
        for n in (1, 2)
    ]


def _report() -> list[bytes]:
    row = FunctionRow(function="hot", change="new", version="v", items=3, coverage=0.5)
    return [Report(devices=2, items=9, kept=1, conflict=(0.1, 0.2), accuracy=(0.8, 0.9), error=0.01,
                   functions=(row,)).to_json()]  # fmt: skip


def _vocabulary() -> bytes:
    """A small one: what ships is too long to break over and over."""
    return f"{MAGIC}en\nab word other\ncd third\n:l password\n. mr mrs\n+ new_york\n".encode()


_EDGE = b"""
folder = "state"
task = "task"
labeling_key = "%s"
desk_key = "%s"
sketch_secret = "secret"
items = "items.npz"
""" % ((b"09" + b"00" * 31,) * 2)
_SCENARIO = b'name = "x"\ndata = "items.npz"\ndevices = 20\nrounds = 8\nonline_share = 0.5\n'
_COORDINATOR = b'folder = "state"\ntask = "task"\nrounds = 3\nquorum = 2\n[campaign]\nname = "x"\n'

FILES = (
    Parser("files of tasks", _tasks, _task_seeds,
           ("fieldvote.task:Task.parse", "fieldvote.settings:parse_toml"), share=4),
    Parser("functions",
           lambda blob: parse_functions(blob, "f.toml", classes=_CLASSES, fields=_FIELDS),
           lambda: [_FUNCTIONS], ("fieldvote.function_file:parse_functions",), share=4),
    Parser("expressions", lambda blob: parse_expression(blob.decode("utf-8", "replace"), ("day",)),
           lambda: [b"speed>2*limit and not missing(limit)", b"a in (1, 2, -3)"],
           ("fieldvote.expression_parser:parse_expression",)),
    Parser("edge settings", _from_file("device.toml", EdgeSettings.load), lambda: [_EDGE],
           ("edge.settings:EdgeSettings.load", "fieldvote.settings:load_settings"), share=2),
    Parser("coordinator settings", _from_file("coordinator.toml", CoordinatorSettings.load),
           lambda: [_COORDINATOR], ("coordinator.service:CoordinatorSettings.load",), share=2),
    Parser("scenarios", _from_file("scenario.toml", Scenario.load), lambda: [_SCENARIO],
           ("simulations.scenario:Scenario.load",), share=2),
    Parser("item files", _items, lambda: [b"t" + _texts(), b"r" + _rows()],
           ("edge.item_file:load_items", "edge.item_file:read_arrays"), share=2),
    Parser("data sets", _from_file("data.npz", load_npz), lambda: [_texts(), _rows()],
           ("simulations.datasets:load_npz", "simulations.datasets:read_arrays"), share=2),
    _vote_file(".csv", 2),
    _vote_file(".npz", 2),
    _vote_file(".npy", 1),
    _vote_file(".json", 2),
    Parser("traces", Trace.from_bytes, lambda: [record_of(Trace).to_bytes()],  # type: ignore[attr-defined]  # a Trace
           ("coordinator.models.trace:Trace.from_bytes",), share=2),
    Parser("questions about inputs", InputQuestion.from_json,
           lambda: [InputQuestion(round=1, label=0, embedding=(0.5, -1.0)).to_json()],
           ("coordinator.models.asking:InputQuestion.from_json",)),
    Parser("rows to explain", _from_file("row.json", _one_row),
           lambda: [b'{"heat": 1.5, "speed": -2, "age": 1e3}'],
           ("coordinator.models.one_input:read_input",)),
    Parser("tables of labels", _from_file("labels.jsonl", read_labels), lambda: [_labels()],
           ("coordinator.labels.label_tables:read_labels",), share=2),
    Parser("events of rounds", _event(load_event), lambda: _events(EVENTS),
           ("coordinator.rounds.events:load_event", "coordinator.store.written:load_event"),
           share=4),
    Parser("events of releases", _event(load_release_event), lambda: _events(RELEASE_EVENTS),
           ("coordinator.releases.events:load_event",), share=2),
    Parser("commands", Command.from_json, _wish(Command(what="plan", budget=3)),
           ("coordinator.rounds.commands:Command.from_json", "coordinator.store.written:load_wish",
            "fieldvote.settings:parse_settings"), share=3),
    Parser("commands to release", ReleaseCommand.from_json,
           _wish(ReleaseCommand(what="propose", share=0.5)),
           ("coordinator.releases.asking:ReleaseCommand.from_json",), share=3),
    Parser("reports of releases", Report.from_json, _report,
           ("coordinator.releases.report:Report.from_json",), share=3),
    Parser("snapshots of campaigns", load_campaign, lambda: [dump_campaign(CampaignState())],
           ("coordinator.rounds.campaign:load_campaign",), share=3),
    Parser("what is known of new items", read_panel, lambda: [write_panel(_PANEL)],
           ("coordinator.rounds.drift:read_panel",), share=3),
    Parser("counts of new items", read_counts, lambda: [write_counts(np.arange(9))],
           ("coordinator.rounds.drift:read_counts",), share=2),
    Parser("sums of a leg", read_sums, lambda: [dump_sums(record_of(LegSums))],  # type: ignore[arg-type]  # LegSums
           ("coordinator.rounds.judging:read_sums",), share=3),
    Parser("what was chosen from", unpack_offers, lambda: [pack_offers(_stored_offers())],
           ("coordinator.rounds.selection:unpack_offers",), share=3),
    Parser("sums to train on", Snapshot.from_bytes, lambda: [record_of(Snapshot).to_bytes()],  # type: ignore[attr-defined]  # Snapshot
           ("coordinator.models.totals:Snapshot.from_bytes",), share=3),
    Parser("parameters", read_parameters, lambda: [write_parameters(label_model())],
           ("coordinator.models.totals:read_parameters",), share=2),
    Parser("kept settings", lambda blob: load_settings_text(blob.decode("utf-8", "replace")),
           lambda: [dump_settings(CampaignSettings(name="x")).encode()],
           ("coordinator.models.totals:load_settings_text",), share=3),
    Parser("offers of a device", edge_selection.unpack_offers, lambda: [bytes(range(17)) * 2],
           ("edge.selection:unpack_offers",), share=2),
    Parser("a node's status", NodeStatus.from_note, lambda: [NodeStatus(node_id=7).to_note()],
           ("edge.flower.journal:NodeStatus.from_note",), share=2),
    Parser("released sums", Released.from_note,
           lambda: [Released().joined(["a", "b"]).joined(["c"]).to_note()],
           ("edge.released:Released.from_note",), share=2),
    Parser("vocabularies", Vocabulary.from_bytes, lambda: [_vocabulary()],
           ("privacy.pii.vocabulary:Vocabulary.from_bytes",), share=4),
)  # fmt: skip
