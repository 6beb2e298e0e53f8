"""No parser is forgotten: what is called like one and takes bytes is in the table, or says why."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.fuzz.table import EXEMPT, PARSERS

ROOT = Path(__file__).parents[2]
ROOMS = ("fieldvote", "strategies", "privacy", "edge", "coordinator", "simulations")
# how what reads bytes is called here, whatever comes after the first word
CALLED = re.compile(
    r"(admit|begin|check|decode|from|load|loads|marks|node|open|parse|portions|read|receive"
    r"|recipient|refreshed|reopen|request|rows|settle|texts|unlock|unpack|unpacked|unwrap|unwrapped"
    r"|verify|with)(_[a-z0-9_]+)?"
)
# what it takes: bytes, alone or by name; text that was bytes; a file; a vector off the wire
TAKES = re.compile(r"\bbytes\b|\bmemoryview\b|\bBinaryIO\b|\bsocket\b")
TEXT = re.compile(r"(from_text|from_json|read_statement|load_event|load_settings_text|parse_\w+)")
FILE = re.compile(r"(load|read)(_[a-z0-9_]+)?")
VECTOR = re.compile(r"from_vector")


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield every public function and method of the rooms as module:name."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            module = module.removesuffix(".__init__")
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.FunctionDef):
                    yield f"{module}:{node.name}", node
                elif isinstance(node, ast.ClassDef) and not _is_protocol(node):
                    for inner in node.body:
                        if isinstance(inner, ast.FunctionDef):
                            yield f"{module}:{node.name}.{inner.name}", inner


def _is_protocol(node: ast.ClassDef) -> bool:
    return any("Protocol" in ast.unparse(base) for base in node.bases)


def reads_bytes(node: ast.FunctionDef) -> bool:
    """Return whether a function is called and fed as a parser is."""
    if node.name.startswith("_") or not CALLED.fullmatch(node.name):
        return False
    hints = [
        ast.unparse(each.annotation)
        for each in (*node.args.args, *node.args.kwonlyargs)
        if each.annotation
    ]
    plain = [hint for hint in hints if "Callable" not in hint]
    if any(TAKES.search(hint) for hint in plain):
        return True
    return (
        (bool(TEXT.fullmatch(node.name)) and "str" in plain)
        or (bool(FILE.fullmatch(node.name)) and any("Path" in hint for hint in plain))
        or (bool(VECTOR.fullmatch(node.name)))
    )


FOUND = {name for name, node in functions() if reads_bytes(node)}


def test_every_function_that_reads_bytes_is_fuzzed_or_says_why_not() -> None:
    covered = {name for parser in PARSERS for name in parser.covers}
    forgotten = FOUND - covered - EXEMPT.keys()
    assert not forgotten, "\n".join(["add these to a table in tests/fuzz:", *sorted(forgotten)])


def test_no_exemption_is_left_of_something_that_is_gone_or_fuzzed() -> None:
    covered = {name for parser in PARSERS for name in parser.covers}
    assert not EXEMPT.keys() & covered
    assert EXEMPT.keys() <= FOUND
    assert all(len(reason) > 20 for reason in EXEMPT.values())


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_what_a_parser_covers_exists(parser: object) -> None:
    for name in parser.covers:  # type: ignore[attr-defined]  # a Parser
        module, _, inner = name.partition(":")
        held: object = import_module(module)
        for part in inner.split("."):
            held = getattr(held, part)
        assert callable(held)


def test_names_of_parsers_are_their_own() -> None:
    names = [parser.name for parser in PARSERS]
    assert len(set(names)) == len(names)
