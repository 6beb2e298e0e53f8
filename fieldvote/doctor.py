"""`fieldvote doctor`: what is installed, what is missing, and which command brings it."""

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

_PYTHON = (3, 11)

REQUIRED = ("click", "cryptography", "google-re2", "msgpack", "numpy", "onnxruntime", "typer")

# optional distributions, and the smallest extra that brings each
OPTIONAL = {
    "flwr": "flower",
    "onnx": "coordinator",
    "numba": "coordinator",
    "sqlalchemy": "coordinator",
    "matplotlib": "simulations",
    "scikit-learn": "simulations",
    "pyarrow": "parquet",
    "psycopg": "postgres",
    "keyring": "keyring",
}


class Verdict(Enum):
    """How a part is."""

    FINE = "fine"
    NOTE = "note"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One part and how it is.

    Attributes:
        part: What was looked at.
        verdict: MISSING only where a device cannot run without it.
        found: What is there.
        advice: What to do; empty where nothing is to be done.
    """

    part: str
    verdict: Verdict
    found: str
    advice: str = ""


def examine(environment: Mapping[str, str]) -> tuple[Finding, ...]:
    """Look at this machine.

    Args:
        environment: The process environment.
    """
    return tuple(_findings(environment))


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is installed, what is missing, and how to get it.

    Ends with 4 where a part is missing that every device needs.

    Example: fieldvote doctor --json
    """
    findings = examine(os.environ)
    fine = not any(each.verdict is Verdict.MISSING for each in findings)
    if as_json:
        parts = [{**asdict(each), "verdict": each.verdict.value} for each in findings]
        typer.echo(json.dumps({"fine": fine, "parts": parts}, indent=2))
    else:
        typer.echo(to_table(findings))
        typer.echo("ready" if fine else "not ready: see what is missing above")
    if not fine:
        raise typer.Exit(4)


def to_table(findings: tuple[Finding, ...]) -> str:
    """Return the findings as aligned columns."""
    rows = [(each.part, each.verdict.value, each.found, each.advice) for each in findings]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = []
    for *cells, advice in rows:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        lines.append("  ".join([*padded, advice]).rstrip())
    return "\n".join(lines)


def _findings(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield a finding for each part, required ones first."""
    yield _python(sys.version_info[:2])
    for name in REQUIRED:
        yield _distribution(name, None)
    for name, extra in OPTIONAL.items():
        yield _distribution(name, extra)
    yield _data(environment.get("FIELDVOTE_DATA"))
    yield _temporary_folder()
    yield _telemetry(environment.get("FLWR_TELEMETRY_ENABLED"))


def _python(running: tuple[int, int]) -> Finding:
    """Look at the interpreter."""
    fine = running >= _PYTHON
    return Finding(
        part="Python",
        verdict=Verdict.FINE if fine else Verdict.MISSING,
        found=platform.python_version(),
        advice="" if fine else "install Python {}.{} or later".format(*_PYTHON),
    )


def _distribution(name: str, extra: str | None) -> Finding:
    """Look for an installed distribution; extra is None where it is required."""
    try:
        return Finding(part=name, verdict=Verdict.FINE, found=version(name))
    except PackageNotFoundError:
        wanted = "fieldvote" if extra is None else f"fieldvote[{extra}]"
        return Finding(
            part=name,
            verdict=Verdict.MISSING if extra is None else Verdict.NOTE,
            found="not installed",
            advice=f"pip install '{wanted}'",
        )


def _data(folder: str | None) -> Finding:
    """Look at the folder of data sets."""
    part = "FIELDVOTE_DATA"
    if folder is None:
        advice = "set it to a folder of data sets, else they are downloaded when needed"
        return Finding(part=part, verdict=Verdict.NOTE, found="not set", advice=advice)
    if not Path(folder).is_dir():
        advice = "point it at a folder that exists"
        return Finding(part=part, verdict=Verdict.NOTE, found=f"{folder}: no folder", advice=advice)
    return Finding(part=part, verdict=Verdict.FINE, found=folder)


def _temporary_folder() -> Finding:
    """Try to write where temporary files go."""
    part = "temporary folder"
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"fieldvote")
    except OSError as err:
        advice = "set TMPDIR to a folder that can be written to"
        found = f"not writable ({err.strerror or 'none usable'})"
        return Finding(part=part, verdict=Verdict.MISSING, found=found, advice=advice)
    return Finding(part=part, verdict=Verdict.FINE, found=f"{tempfile.gettempdir()}: writable")


def _telemetry(setting: str | None) -> Finding:
    """Look at whether Flower would report usage to its makers."""
    part = "FLWR_TELEMETRY_ENABLED"
    if setting == "0":
        return Finding(part=part, verdict=Verdict.FINE, found="0: off")
    found = "not set: on" if setting is None else f"{setting}: on"
    advice = "set it to 0, else Flower reports usage to its makers"
    return Finding(part=part, verdict=Verdict.NOTE, found=found, advice=advice)
