"""Arrays read in parts are those that NumPy reads whole."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.item_arrays import ArrayFile
from edge.item_file import item_parts, load_items
from fieldvote.errors import DataError
from fieldvote.task import TabularInput, TextInput

QUICK = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@QUICK
@given(
    shape=st.sampled_from([(), (0,), (7,), (0, 3), (5, 3), (4, 2, 3)]),
    kind=st.sampled_from(["<f8", ">f4", "i1", "u1", "U4", "?"]),
    rows=st.integers(1, 6),
    order=st.sampled_from(["C", "F"]),
    packed=st.booleans(),
)
def test_the_parts_of_an_array_are_the_array(
    tmp_path: Path, shape: tuple[int, ...], kind: str, rows: int, order: str, packed: bool
) -> None:
    rng = np.random.default_rng(len(shape) + rows)
    array = np.array(rng.integers(0, 2, size=shape), order=order).astype(kind, order="K")  # type: ignore[call-overload]  # C or F
    path = tmp_path / "a.npz"
    (np.savez_compressed if packed else np.savez)(path, a=array, b=np.arange(3))
    found = ArrayFile.look(path)
    assert found.shapes["a"] == (shape, array.dtype)
    parts = list(found.parts("a", rows=rows))
    assert all(part.dtype == array.dtype for part in parts)
    assert all(len(part) <= rows for part in parts if shape)
    whole = np.concatenate(parts) if shape else parts[0]
    assert np.array_equal(whole, array)
    assert np.array_equal(found.whole("a"), array)


@QUICK
@given(content=st.text(alphabet="aé \r\n", max_size=30), part=st.integers(1, 4))
def test_texts_in_parts_are_the_texts_of_the_whole(tmp_path: Path, content: str, part: int) -> None:
    given_input = TextInput(width=8)
    (tmp_path / "t.txt").write_bytes(content.encode())
    np.savez(tmp_path / "t.npz", utf8=np.frombuffer(content.encode(), np.uint8))
    lines = content.split("\n")
    for name, told in (
        ("t.txt", [line.rstrip("\r") for line in lines if line.strip()]),
        ("t.npz", lines),
    ):
        if not told:
            with pytest.raises(DataError, match="no items"):
                load_items(tmp_path / name, given_input, 2)
            continue
        parts = list(item_parts(tmp_path / name, given_input, 2, part=part))
        assert all(len(each.payloads) <= part for each in parts)
        together = tuple(payload for each in parts for payload in each.payloads)
        assert together == tuple(text.encode() for text in told)
        assert load_items(tmp_path / name, given_input, 2).payloads == together


def claiming(shape: tuple[int, ...], kind: str, content: bytes) -> bytes:
    """Return an archive whose one array claims to be of a shape."""
    header, archive = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": kind, "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("X.npy", header.getvalue() + content)
    return archive.getvalue()


@pytest.mark.parametrize(
    ("shape", "kind", "content"),
    [
        ((10**15, 2), "<f8", b"\0" * 64),
        ((10**15, 2), "|S0", b""),
        ((2, 2), "|O", b"\0" * 64),
        ((-3, 2), "<f8", b""),
        ((2**62, 2**62), "<f8", b""),
    ],
)
def test_a_header_that_claims_what_is_not_there_is_refused(
    tmp_path: Path, shape: tuple[int, ...], kind: str, content: bytes
) -> None:
    (tmp_path / "a.npz").write_bytes(claiming(shape, kind, content))
    with pytest.raises(DataError):
        load_items(tmp_path / "a.npz", TabularInput(fields=("a", "b")), 2)
