"""Protocol buffers as they are framed: the fields of one message, nothing of what they mean.

What a field number stands for is for the caller: :mod:`edge.flower.protobuf` reads the messages of
a fleet with it, :mod:`edge.model_guard` an ONNX file. Nothing is copied and nothing is built from a
length before that many bytes were seen to be there.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator
from typing import Final

from fieldvote.errors import WireError

VARINT: Final = 0
FIXED_64: Final = 1
BYTES: Final = 2
FIXED_32: Final = 5
_LAST_64 = (1 << 64) - 1


def read_fields(blob: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yield the number, the wire type and the content of each field, in order.

    A number is an int; anything else is a view of the bytes it is framed in.

    Raises:
        WireError: the bytes are no message; what came before was yielded.

    >>> list(read_fields(memoryview(bytes([8, 150, 1]))))
    [(1, 0, 150)]
    """
    place, end = 0, len(blob)
    while place < end:
        tag, place = read_varint(blob, place)
        wire_type = tag & 7
        if wire_type == VARINT:
            number, place = read_varint(blob, place)
            yield tag >> 3, wire_type, number
            continue
        if wire_type == BYTES:
            size, place = read_varint(blob, place)
        elif wire_type == FIXED_64:
            size = 8
        elif wire_type == FIXED_32:
            size = 4
        else:
            raise WireError(f"wire type {wire_type} is not in use")
        if size > end - place:
            raise WireError(f"a field of {size} bytes where {end - place} are left")
        yield tag >> 3, wire_type, blob[place : place + size]
        place += size


def read_varint(blob: memoryview, place: int) -> tuple[int, int]:
    """Return a number of at most 64 bits, and where it ends.

    Raises:
        WireError: it does not end, or is longer than any.

    >>> read_varint(memoryview(bytes([150, 1])), 0)
    (150, 2)
    """
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(blob):
            raise WireError("a number that does not end")
        byte = blob[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & _LAST_64, place
    raise WireError("a number of more than ten bytes")


def signed(number: int) -> int:
    """Return a number of 64 bits as the int64 it stands for.

    >>> signed((1 << 64) - 1)
    -1
    """
    return number - (1 << 64) if number >> 63 else number
