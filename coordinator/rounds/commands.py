"""What people ask of rounds: written into the store, and done by whoever leads.

The command that a person types may run anywhere the store can be reached; only the leader changes
a round. What it did is in the stream, with the reason that was given.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from coordinator.rounds.campaign import CampaignState, load_state
from coordinator.rounds.clock import Clock
from coordinator.rounds.events import RoundKind
from coordinator.rounds.machine import HELD, served
from coordinator.store.campaign import Store
from coordinator.store.written import ask_leader, dump_wish, load_wish
from fieldvote.errors import InputError

COMMAND = "command"
"""What the store calls such a row among what it owes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One thing a person asked for.

    Attributes:
        what: Which.
        round: To which round; 0 for a new one.
        reason: Why, for the record.
        kind: What kind of round is to begin.
        budget: How many labels it may buy; without it, as many as any other.
    """

    what: Literal["plan", "pause", "resume", "abort"]
    round: int = 0
    reason: str = ""
    kind: RoundKind = "ordinary"
    budget: int | None = None

    def to_json(self) -> bytes:
        """Return this as the store keeps it."""
        return dump_wish(self)

    @staticmethod
    def from_json(body: bytes) -> "Command":
        """Undo to_json.

        Raises:
            DataError: it is no command of this program's.
        """
        return load_wish(body, Command)


def ask(
    store: Store, command: Command, *, wait_s: float, clock: Clock, entropy: Callable[[int], bytes]
) -> bool:
    """Ask the leader to do something; return whether it was done while we waited.

    Args:
        store: Of the campaign.
        command: What to do.
        wait_s: How long to wait; what is not done then is done when a coordinator next leads.
        clock: The time.
        entropy: Names the request.

    Raises:
        InputError: the round is not where that can be done.
    """
    check(load_state(store)[1], command)
    return ask_leader(
        store, COMMAND, command.to_json(), wait_s=wait_s, sleep=clock.sleep, entropy=entropy
    )


def check(campaign: CampaignState, command: Command) -> None:
    """Return if a command can be obeyed now.

    Raises:
        InputError: the round is not where that can be done.
    """
    if command.what == "plan":
        return
    state = campaign.rounds.get(command.round)
    if state is None:
        known = f"the last is {campaign.last}" if campaign.last else "none has begun"
        raise InputError(f"there is no round {command.round} that could be changed; {known}")
    overtaken = served(state) and state.over and campaign.served_since != state.number
    if command.what == "abort" and overtaken:
        raise InputError(
            f"round {state.number}'s head is served no more: devices have that of round"
            f" {campaign.served_since}, abort that one"
        )
    heirs = [other for other in campaign.rounds.values() if other.parent == state.model != ""]
    if command.what == "abort" and (child := next((o for o in heirs if not o.over), None)):
        raise InputError(
            f"round {child.number} has begun from the head of round {state.number}: abort round"
            f" {child.number} first"
        )
    able = {
        "pause": state.active,
        "resume": state.phase in HELD,
        "abort": not state.over or served(state),
    }
    if not able[command.what]:
        raise InputError(f"round {command.round} is {state.phase.value}: {_HINTS[command.what]}")


_HINTS = {
    "pause": "only a round that is under way can be paused",
    "resume": "only a paused or quarantined round can be resumed",
    "abort": "it is over, and no device serves its model",
}
