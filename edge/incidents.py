"""How often something at the door had to be stopped: counted from 0, and kept across restarts."""

import json
from collections.abc import Iterator, Mapping
from typing import Protocol

STAGES = ("second_scan", "masking", "replayed_answers")
"""What is counted. `second_scan`: items with something personal left after redaction. `masking`:
items that could not be masked at all. `replayed_answers`: answers that had been here before."""

_NOTE = "incidents"


class Notes(Protocol):
    """Where small values are kept; :class:`edge.pool.Pool` is one."""

    def note(self, name: str) -> bytes | None:
        """Return the value under a name."""
        ...

    def keep_note(self, name: str, value: bytes) -> None:
        """Keep a value under a name."""
        ...


class Incidents(Mapping[str, int]):
    """Counts by stage; every stage is there from the start, so that a first hit is seen as one.

    >>> incidents = Incidents()
    >>> incidents["second_scan"] += 1
    >>> dict(incidents)
    {'second_scan': 1, 'masking': 0, 'replayed_answers': 0}
    """

    def __init__(self, notes: Notes | None = None) -> None:
        """Go on counting where these notes stopped; None counts in memory only."""
        self._notes = notes
        kept = None if notes is None else notes.note(_NOTE)
        self._counts: dict[str, int] = dict.fromkeys(STAGES, 0)
        self._counts |= {} if kept is None else json.loads(kept)

    def __getitem__(self, stage: str) -> int:
        """Return how often something was stopped there."""
        return self._counts[stage]

    def __setitem__(self, stage: str, count: int) -> None:
        """Count on; written down before this returns."""
        self._counts[stage] = count
        if self._notes is not None:
            self._notes.keep_note(_NOTE, json.dumps(self._counts).encode())

    def __iter__(self) -> Iterator[str]:
        """Iterate over the stages."""
        return iter(self._counts)

    def __len__(self) -> int:
        """Return how many stages there are."""
        return len(self._counts)
