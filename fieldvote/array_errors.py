"""What NumPy raises for a file that is none of its own: found by breaking files, not promised.

An `.npz` is a zip of files whose headers are Python literals, so that zipfile, zlib, tokenize and
ast all have a say in it. A claim of more entries than there are bytes ends in a MemoryError.
"""

import struct
import tokenize
import zlib
from typing import Final
from zipfile import BadZipFile

UNREADABLE: Final[tuple[type[Exception], ...]] = (
    OSError,
    ValueError,
    EOFError,
    BadZipFile,
    zlib.error,
    tokenize.TokenError,
    SyntaxError,
    struct.error,
    AttributeError,
    TypeError,
    KeyError,
    OverflowError,
    MemoryError,
    # an encrypted member; NotImplementedError: packed in a way Python's zip does not know
    RuntimeError,
)
