"""Settings files say what a dataclass declares, and nothing else."""

import re
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import SettingsError
from fieldvote.settings import load_settings, parse_settings


class Mode(Enum):
    STRICT = "strict"
    LOOSE = "loose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    kind: Literal["circle"] = "circle"
    radius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    kind: Literal["square"] = "square"
    side: float

    def __post_init__(self) -> None:
        if self.side <= 0:
            raise SettingsError(f"side: expected more than 0, got {self.side}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    depth: int
    label: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    name: str
    share: float = 0.5
    on: bool = False
    mode: Mode = Mode.STRICT
    words: tuple[str, ...] = ()
    table: tuple[tuple[str, int], ...] = ()
    pair: tuple[int, float] = (1, 2.0)
    inner: Inner = Inner(depth=1)
    inners: tuple[Inner, ...] = ()
    limit: int | None = None
    place: Path | None = None
    given: str | tuple[tuple[str, float], ...] = ""
    shape: Circle | Square = Circle(radius=1.0)
    class_name: str = field(default="a", metadata={"key": "class"})


def read(**said: object) -> Outer:
    return parse_settings({"name": "x", **said}, Outer, "file.toml")


def test_everything_a_file_can_say_arrives_as_its_type(tmp_path: Path) -> None:
    file = tmp_path / "all.toml"
    file.write_text(
        'name = "n"\nshare = 1\non = true\nmode = "loose"\nwords = ["b", "a"]\n'
        'table = { z = 1, a = 2 }\npair = [3, 4]\nlimit = 7\nplace = "a/b"\nclass = "c"\n'
        'given = { speed = 1 }\nshape = { kind = "square", side = 2 }\n'
        "inners = [{ depth = 1 }, { depth = 2 }]\n[inner]\ndepth = 3\n"
    )
    assert load_settings(file, Outer) == Outer(
        name="n",
        share=1.0,
        on=True,
        mode=Mode.LOOSE,
        words=("b", "a"),
        table=(("z", 1), ("a", 2)),
        pair=(3, 4.0),
        inner=Inner(depth=3),
        inners=(Inner(depth=1), Inner(depth=2)),
        limit=7,
        place=Path("a/b"),
        given=(("speed", 1.0),),
        shape=Square(side=2.0),
        class_name="c",
    )


def test_what_is_left_out_has_its_default() -> None:
    assert read() == Outer(name="x")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"nmae": "x"}, "unknown key 'nmae'; did you mean 'name'?"),
        ({"class_name": "x"}, "unknown key 'class_name'"),
        ({"inner": {"depht": 1}}, "unknown key 'inner.depht'; did you mean 'depth'?"),
        ({"inners": [{"depth": 1}, {}]}, "missing key 'inners[1].depth'"),
        ({"inner": {}}, "missing key 'inner.depth'"),
        ({"inner": 3}, "inner: expected a table, got an integer"),
        ({"on": 1}, "on: expected true or false, got an integer"),
        ({"limit": True}, "limit: expected an integer, got true or false"),
        ({"limit": 1.0}, "limit: expected an integer, got a number"),
        ({"share": "1"}, "share: expected a number, got a string"),
        ({"share": True}, "share: expected a number, got true or false"),
        ({"name": ["x"]}, "name: expected a string, got an array"),
        ({"place": 3}, "place: expected a string, got an integer"),
        ({"mode": "strcit"}, "mode: unknown word 'strcit'; did you mean 'strict'?"),
        ({"mode": 3}, "mode: expected one of loose, strict, got an integer"),
        ({"words": "a"}, "words: expected an array, got a string"),
        ({"words": ["a", 1]}, "words[1]: expected a string, got an integer"),
        ({"table": ["a"]}, "table: expected a table, got an array"),
        ({"table": {"a": "b"}}, "table.a: expected an integer, got a string"),
        ({"pair": [1]}, "pair: expected an array of 2, got an array"),
        ({"given": 3}, "given: expected a string or a table, got an integer"),
        ({"shape": {"side": 1}}, "missing key 'shape.kind'"),
        ({"shape": {"kind": "sqare"}}, "shape.kind: unknown word 'sqare'; did you mean 'square'?"),
        ({"shape": {"kind": "square", "radius": 1}}, "unknown key 'shape.radius'; known: kind, si"),
        ({"shape": {"kind": "square", "side": -1}}, "shape: side: expected more than 0, got -1.0"),
    ],
)
def test_a_refusal_names_the_file_the_key_and_what_to_write(
    said: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"file.toml: {message}")):
        read(**said)


def test_a_missing_required_key_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^file.toml: missing key 'name'$"):
        parse_settings({}, Outer, "file.toml")


def test_a_message_never_quotes_the_value() -> None:
    with pytest.raises(SettingsError) as caught:
        read(limit="0171 555")
    assert "555" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = \n", "not valid TOML: .*line 1"),
        (b'name = "a"\nname = "b"\n', "not valid TOML: .*line 2"),
        (b'name = "a"\n# \xff\n', r"not UTF-8 \(at line 2\)"),
        (b"a = " + b"[" * 5000, "not valid TOML"),
    ],
)
def test_a_file_that_is_not_toml_is_refused_with_its_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=f"^{file}: {message}"):
        load_settings(file, Outer)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none.toml: cannot be read \(No such file"):
        load_settings(tmp_path / "none.toml", Outer)
    with pytest.raises(SettingsError, match=r"cannot be read \(Is a directory"):
        load_settings(tmp_path, Outer)


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {"depth": st.integers()}, optional={"label": st.text(), "extra": st.integers()}
    )
)
def test_a_table_is_read_whole_or_refused(said: dict[str, object]) -> None:
    if "extra" in said:
        with pytest.raises(SettingsError, match="extra"):
            parse_settings(said, Inner, "f")
    else:
        assert asdict(parse_settings(said, Inner, "f")) == {"label": "none", **said}
