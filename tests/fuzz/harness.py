"""Feeds a parser what it should never get, and watches: typed errors only, in time, in bounds.

Message number n of a parser is always the same, however many are asked for, so what the nightly
count finds is found again with one line: `message(parser, number)`.
"""

import gc
import resource
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from types import FrameType

from fieldvote.errors import FieldvoteError, InternalError
from tests.fuzz.mutations import mutated

SPARE_BYTES = 256 * 2**20
"""Address space a batch may take beyond the process's; a length that is believed wants more."""
RESIDENT_BYTES = 96 * 2**20
SLOWEST_S = 2.0
"""For one message, in processor time; the longest are 100 kB."""
LONGEST_SAID = 4096
"""Characters of an error."""
BATCH = 250


@dataclass(frozen=True)
class Parser:
    """One parser of bytes.

    Attributes:
        name: For people.
        parse: Takes the message; raises an error of our tree where it is none.
        make_seeds: Gives messages it takes.
        covers: The functions this reaches with the message as it is, as module:name.
        share: How many messages it gets, relative to others; slow ones get fewer.
    """

    name: str
    parse: Callable[[bytes], object]
    make_seeds: Callable[[], list[bytes]]
    covers: tuple[str, ...]
    share: int = 8

    @cached_property
    def seeds(self) -> list[bytes]:
        """The seeds, made once."""
        return self.make_seeds()


def messages(parser: Parser, count: int) -> Iterator[tuple[int, bytes]]:
    """Yield the first mutated messages of a parser with their numbers."""
    for number in range(count):
        if number % BATCH == 0:
            rng = Random(f"{parser.name} {number // BATCH}")  # noqa: S311  # reproducible noise
        yield number, mutated(rng.choice(parser.seeds), parser.seeds, rng)


def message(parser: Parser, number: int) -> bytes:
    """Return one message again."""
    return next(blob for place, blob in messages(parser, number + 1) if place == number)


def shares(parsers: tuple[Parser, ...], total: int) -> dict[str, int]:
    """Return how many of all messages each parser gets; none gets nothing."""
    whole = sum(parser.share for parser in parsers)
    return {parser.name: -(-total * parser.share // whole) for parser in parsers}


def fuzz(parser: Parser, count: int) -> None:
    """Give a parser so many messages.

    Raises:
        AssertionError: one of them did what no message may do; its number is said.
    """
    parser.seeds  # noqa: B018  # made before anything is bounded
    gc.collect()
    at: tuple[int, bytes] = (-1, b"")
    try:
        with _bounded(), warnings.catch_warnings():
            # NumPy's words about files of Python 2 and old names of types; in a program each is a
            # line on standard error
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            for at in messages(parser, count):
                began = time.process_time()
                with _in_time():
                    _try(parser, at[1])
                took = time.process_time() - began
                assert took < SLOWEST_S, f"{took:.1f} s"
    except AssertionError as err:
        raise AssertionError(f"{_called(parser, *at)}: {err}") from err
    except BaseException as err:
        raise AssertionError(f"{_called(parser, *at)}: {type(err).__name__}") from err


def _called(parser: Parser, number: int, blob: bytes) -> str:
    return f"{parser.name}, message {number} of {len(blob)} bytes, {blob[:80].hex()}"


def _try(parser: Parser, blob: bytes) -> None:
    """Parse; an error of our tree is an answer, a bug of ours is not."""
    try:
        parser.parse(blob)
    except InternalError:
        raise
    except FieldvoteError as err:
        said = len(str(err))
    else:
        said = 0
    # it may be logged, or travel
    assert said < LONGEST_SAID, f"an error of {said} characters"


@contextmanager
def _bounded() -> Iterator[None]:
    """Let no more memory be asked for, or touched, than messages of this size can be worth."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE_BYTES, hard))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _peak()
    try:
        yield
        grown = _peak() - before
        assert grown < RESIDENT_BYTES, f"{grown >> 20} MB more than before"
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


@contextmanager
def _in_time() -> Iterator[None]:
    """Stop what does not end."""
    signal.setitimer(signal.ITIMER_VIRTUAL, 5 * SLOWEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _over(_: int, __: FrameType | None) -> None:
    raise TimeoutError


signal.signal(signal.SIGVTALRM, _over)
