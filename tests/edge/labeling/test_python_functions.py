"""Python functions run only where they are installed and pinned, and never longer than they may."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.labeling import CompiledFunctions, Items, compile_functions
from edge.labeling.python_functions import installed_digest
from fieldvote.errors import RefusalError, UnavailableError
from fieldvote.functions import KeywordFunction, PythonFunction
from fieldvote.task import TabularInput, TextInput

CLASSES = ("ordinary", "offer")
TEXT = TextInput(width=8)
ROWS = TabularInput(fields=("speed", "heat"))

SOURCE = """
import os, subprocess, sys, time
from pathlib import Path

print("imported, and talkative")

def shouts(texts):
    print("to nobody")
    return ["offer" if text.isupper() else None for text in texts]

def fast(items):
    return ["offer" if v > 1 else None if v != v else "ordinary" for v in items["speed"]]

def raises(texts): raise ValueError(texts[0])
def short(texts): return ["offer"]
def stranger(texts): return ["elsewhere"] * len(texts)
def sleeps(texts): time.sleep(30)
def exits(texts): os._exit(0)
def spawns(texts):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    time.sleep(30)
def counts(texts):
    with open(Path(__file__).with_name("calls"), "a") as file:
        file.write(f"{len(texts)} ")
    return ["offer"] * len(texts)
def looks(texts): return ["offer" if os.environ.get("SECRET") else "ordinary" for _ in texts]
"""
NAMES = (
    "shouts", "fast", "raises", "short", "stranger", "sleeps", "exits", "spawns", "counts", "looks"
)  # fmt: skip


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution, as a wheel leaves it."""
    (tmp_path / "acme_rules").mkdir()
    (tmp_path / "acme_rules" / "__init__.py").write_text("")
    (tmp_path / "acme_rules" / "votes.py").write_text(SOURCE)
    info = tmp_path / "acme_rules-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-rules\nVersion: 1.0\n")
    listed = "\n".join(f"{name} = acme_rules.votes:{name}" for name in NAMES)
    (info / "entry_points.txt").write_text(f"[fieldvote.functions]\n{listed}\n")
    files = ["acme_rules/__init__.py", "acme_rules/votes.py"]
    files += [f"{info.name}/{name}" for name in ("METADATA", "entry_points.txt", "RECORD")]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def function(name: str, *inputs: str, timeout_s: float = 20.0) -> PythonFunction:
    return PythonFunction(
        id="p", owner="ann", votes_for=CLASSES, entry_point=name, digest=installed_digest(name),
        inputs=inputs, timeout_s=timeout_s,
    )  # fmt: skip


def compiled(
    each: PythonFunction, *more: KeywordFunction, pins: dict[str, str] | None = None
) -> CompiledFunctions:
    pins = {each.entry_point: each.digest} if pins is None else pins
    return compile_functions([each, *more], ROWS if each.inputs else TEXT, CLASSES, pins=pins)


@pytest.mark.usefixtures("site")
def test_a_pinned_function_votes() -> None:
    ready = compiled(function("shouts"))
    assert ready.vote(Items(texts=["WIN", "hello", "É"]))[:, 0].tolist() == [1, -1, 1]
    rows = Items(rows=np.array([[2.0, 0.0], [0.0, 0.0], [np.nan, 0.0]]), names=ROWS.fields)
    assert compiled(function("fast", "speed")).vote(rows)[:, 0].tolist() == [1, 0, -1]
    assert "acme_rules" not in sys.modules


@pytest.mark.parametrize(
    ("pins", "message"),
    [
        ({}, "function 'p': this device pins no Python function 'shouts'; installed is [0-9a-f]"),
        ({"other": "0" * 64}, "this device pins no Python function 'shouts'"),
        ({"shouts": "0" * 64}, "must be one thing to all three: this device pins 0000"),
    ],
)
@pytest.mark.usefixtures("site")
def test_what_this_device_does_not_pin_is_refused(pins: dict[str, str], message: str) -> None:
    with pytest.raises(RefusalError, match=message):
        compiled(function("shouts"), pins=pins)
    with pytest.raises(RefusalError):
        compile_functions([function("shouts")], TEXT, CLASSES)


@pytest.mark.parametrize(
    "change",
    [
        lambda site: (site / "acme_rules" / "votes.py").write_text(SOURCE + "\n"),
        lambda site: (site / "acme_rules" / "__init__.py").write_text("x = 1"),
        lambda site: (site / "acme_rules-1.0.dist-info" / "entry_points.txt").write_text(
            "[fieldvote.functions]\nshouts = acme_rules.votes:stranger\n"
        ),
    ],
)
def test_what_is_installed_and_no_longer_what_was_pinned_is_refused(
    site: Path, change: Callable[[Path], object]
) -> None:
    pinned = function("shouts")
    compiled(pinned)
    change(site)
    with pytest.raises(RefusalError, match="must be one thing to all three"):
        compiled(pinned)


def test_a_task_that_names_another_digest_than_the_device_is_refused(site: Path) -> None:
    pinned = function("shouts")
    (site / "acme_rules" / "votes.py").write_text(SOURCE + "\n")
    other = function("shouts")
    assert pinned.digest != other.digest
    with pytest.raises(RefusalError, match="must be one thing to all three"):
        compiled(other, pins={"shouts": pinned.digest})


def test_what_is_imported_from_elsewhere_cannot_be_pinned(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadow = site / "shadow"
    (shadow / "acme_rules").mkdir(parents=True)
    for name in ("__init__.py", "votes.py"):
        (shadow / "acme_rules" / name).write_text(SOURCE)
    monkeypatch.syspath_prepend(str(shadow))
    with pytest.raises(RefusalError, match="not imported from the files of its distribution"):
        installed_digest("shouts")


def test_what_is_not_installed_is_not_available() -> None:
    with pytest.raises(UnavailableError, match="no Python function 'nobody' is installed"):
        installed_digest("nobody")


@pytest.mark.parametrize("name", ["raises", "short", "stranger", "exits"])
@pytest.mark.usefixtures("site")
def test_a_function_that_fails_abstains_is_counted_and_stops_nobody(name: str) -> None:
    keyword = KeywordFunction(id="k", owner="ann", class_name="offer", words=("a",))
    ready = compiled(function(name), keyword)
    assert ready.vote(Items(texts=["a", "b"])).tolist() == [[-1, 1], [-1, -1]]
    assert ready.abstained_by_error == {"p": 2}


@pytest.mark.parametrize("name", ["sleeps", "spawns"])
@pytest.mark.usefixtures("site")
def test_a_function_that_does_not_end_is_stopped_abstains_and_is_counted(name: str) -> None:
    ready = compiled(function(name, timeout_s=0.5))
    began = time.monotonic()
    assert ready.vote(Items(texts=["a"])).tolist() == [[-1]]
    assert time.monotonic() - began < 10.0
    assert ready.abstained_by_error == {"p": 1}


def test_a_function_that_goes_on_failing_is_given_up(site: Path) -> None:
    ready = compiled(function("raises"))
    for _ in range(3):
        ready.vote(Items(texts=["a"]))
    (site / "acme_rules" / "votes.py").unlink()  # nobody looks any more
    began = time.monotonic()
    for _ in range(50):
        ready.vote(Items(texts=["a"]))
    assert time.monotonic() - began < 4.0  # starting fifty processes takes longer
    assert ready.abstained_by_error == {"p": 53}


def test_what_was_answered_once_is_not_asked_again(site: Path) -> None:
    ready = compiled(function("counts"))
    for texts in (["a", "b"], ["b", "a"], ["c", "a"]):
        assert ready.vote(Items(texts=texts))[:, 0].tolist() == [1, 1]
    assert (site / "acme_rules" / "calls").read_text() == "2 1 "


@pytest.mark.usefixtures("site")
def test_a_function_does_not_see_the_agent_s_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    assert compiled(function("looks")).vote(Items(texts=["a"])).tolist() == [[0]]


@pytest.mark.usefixtures("site")
def test_a_fallback_votes_where_a_python_function_fails() -> None:
    keyword = KeywordFunction(
        id="k", owner="ann", class_name="offer", words=("a",), fallback_for="p"
    )
    texts = Items(texts=["a", "A"])
    assert compiled(function("raises"), keyword).vote(texts)[:, 1].tolist() == [1, 1]
    assert compiled(function("shouts"), keyword).vote(texts)[:, 1].tolist() == [-1, -1]
