"""What becomes of a good message on a bad line, or in bad hands: one change or several, drawn."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

LONGEST: Final = 1 << 16  # what a mutation adds or repeats never passes this
_HUGE = (2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)
# what bytes mean in msgpack, protocol buffers, TOML and JSON: beginnings of deep or long things
_TOKENS = (
    b"\xdd\xff\xff\xff\xff", b"\xdc\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\x7f\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff", b"\x91", b"\x81", b"\xc1", b"\xc0", b"\xc3",
    b"\xcb\x7f\xf8" + bytes(6), b"\xcf" + b"\xff" * 8, b"\xd3\x80" + bytes(7), b"\xd4\x01\x00",
    b"\xff" * 9 + b"\x01",
    b"\x0a", b"\x12", b"\x3a", b"[", b"{", b'"', b"'''", b"[[", b"=", b"\n", b"\\u0000", b"\\",
    b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x00", b"1e999", b"nan", b"-0",
    b"9" * 400, b"true", b"null", b"0x", b"1979-05-27",
)  # fmt: skip

Mutation = Callable[[bytearray, Sequence[bytes], Random], None]


def mutated(seed: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    """Return a seed with one to four changes.

    Args:
        seed: A message its parser takes.
        others: More of the same parser, to splice with.
        rng: Decides everything.
    """
    message = bytearray(seed)
    for _ in range(1 if rng.random() < 0.5 else rng.randint(2, 4)):
        rng.choice(_CHOICES)(message, others, rng)
    return bytes(message[: len(seed) + LONGEST])


def _place(message: bytearray, rng: Random) -> int:
    return rng.randrange(len(message) + 1)


def _flip(message: bytearray, _: Sequence[bytes], rng: Random) -> None:
    if message:
        message[rng.randrange(len(message))] ^= 1 << rng.randrange(8)


def _byte(message: bytearray, _: Sequence[bytes], rng: Random) -> None:
    if message:
        message[rng.randrange(len(message))] = rng.randrange(256)


def _cut(message: bytearray, _: Sequence[bytes], rng: Random) -> None:
    del message[_place(message, rng) :]


def _drop(message: bytearray, _: Sequence[bytes], rng: Random) -> None:
    start = _place(message, rng)
    del message[start : start + rng.randint(1, 16)]


def _splice(message: bytearray, others: Sequence[bytes], rng: Random) -> None:
    other = rng.choice(others)
    message[_place(message, rng) :] = other[rng.randrange(len(other) + 1) :]


def _insert(message: bytearray, _: Sequence[bytes], rng: Random) -> None:
    place = _place(message, rng)
    message[place:place] = rng.choice(_TOKENS)


def _replace(message: bytearray, _: Sequence[bytes], rng: Random) -> None:
    place, token = _place(message, rng), rng.choice(_TOKENS)
    message[place : place + len(token)] = token


def _lie(message: bytearray, _: Sequence[bytes], rng: Random) -> None:
    """Put a number where a length could be, at any width and in either order."""
    place, width = _place(message, rng), rng.choice((1, 2, 4, 8))
    number = rng.choice((*_HUGE, len(message), len(message) + 1, 0)) % (1 << 8 * width)
    message[place : place + width] = number.to_bytes(width, rng.choice(("big", "little")))


def _repeat(message: bytearray, _: Sequence[bytes], rng: Random) -> None:
    """Say a part of it again, up to a few hundred times."""
    start = _place(message, rng)
    part = bytes(message[start : start + rng.choice((1, 2, 4, 8, 32, 128))])
    times = rng.choice((1, 2, 3, 10, 300))
    message[start:start] = (part * times)[:LONGEST]


def _nest(message: bytearray, _: Sequence[bytes], rng: Random) -> None:
    """Go deep: thousands of beginnings without an end."""
    place, token = (
        _place(message, rng),
        rng.choice((b"\x91", b"\x81", b"[", b"{", b"(", b"\x0a\x80")),
    )
    message[place:place] = token * rng.choice((20, 600, 3000))


def _swap(message: bytearray, _: Sequence[bytes], rng: Random) -> None:
    a, b, size = _place(message, rng), _place(message, rng), rng.choice((1, 4, 16))
    one, two = bytes(message[a : a + size]), bytes(message[b : b + size])
    message[a : a + size] = two
    message[b : b + size] = one


def _noise(message: bytearray, _: Sequence[bytes], rng: Random) -> None:
    message[:] = rng.randbytes(rng.choice((0, 1, 3, 40, 300)))


MUTATIONS: Final[Mapping[Mutation, int]] = {
    _flip: 6, _byte: 5, _cut: 3, _drop: 3, _splice: 3, _insert: 4, _replace: 4, _lie: 4, _repeat: 3,
    _nest: 1, _swap: 2, _noise: 1,
}  # fmt: skip
"""Every change there is, and how often of all it is drawn."""
_CHOICES = [mutation for mutation, share in MUTATIONS.items() for _ in range(share)]
