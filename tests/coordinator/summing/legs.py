"""A coordinator that asks real agents leg by leg, and may lie in any of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from coordinator.summing_epoch import sizes_of
from edge.agent import Agent
from edge.payload import Payload
from fieldvote.errors import FieldvoteError
from fieldvote.records import DeviceId, Request, SurveyRequest, decode, encode
from fieldvote.summed_fields import FINE, name_of
from fieldvote.sums import (
    Confirmation,
    DepositRequest,
    EpochKey,
    EpochRequest,
    MaskedInput,
    Roster,
    SummedReply,
    SummedRequest,
    Unmasking,
)
from privacy.secagg import Summation, make_roster
from privacy.secagg.roster import epoch_of
from tests.coordinator.rounds.campaign import Fleet
from tests.coordinator.summing.fleets import SECURE

SURVEY = SurveyRequest(
    round=1, strategy="margin", offers=0, random_offers=1, first=True, model=None, task=""
)


class Liar:
    """Asks a fleet as it pleases; everything it learns is what agents gave it."""

    def __init__(self, fleet: Fleet, *, epoch: int = 1) -> None:
        """Know these devices; only those that train."""
        self.agents: Mapping[DeviceId, Agent] = {
            d: agent for d, agent in fleet.agents.items() if not agent._parts.evaluates
        }
        self.pools = {d: fleet.pools[d] for d in self.agents}
        self.policy, self.number = SECURE.policy.cohort, epoch
        self.rounds = 0

    def ask(self, device: DeviceId, message: object) -> bytes:
        """Ask one agent."""
        return self.agents[device].handle(encode(message))

    def keys(self, number: int | None = None) -> dict[DeviceId, EpochKey]:
        """Collect everybody's key."""
        request = EpochRequest(epoch=self.number if number is None else number)
        return {d: decode(self.ask(d, request), EpochKey) for d in self.agents}

    def roster(self, keys: Sequence[EpochKey] | None = None) -> Roster:
        """Return an honest roster."""
        found = list(self.keys().values()) if keys is None else list(keys)
        sizes = sizes_of(self.policy, len(found))
        return make_roster(found, sizes=sizes, least_cohort=self.policy.least_cohort)

    def enrol(self) -> None:
        """Begin an epoch with everybody."""
        made = self.keys()
        roster = self.roster(list(made.values()))
        self.epoch = epoch_of(roster)
        who = {key.device: device for device, key in made.items()}
        self.seats = {who[key.device]: seat for seat, key in enumerate(roster.keys)}
        for device in self.agents:
            self.ask(device, roster)

    def check_in(
        self, devices: Sequence[DeviceId], question: Request = SURVEY
    ) -> dict[DeviceId, SummedReply]:
        """Have these devices check in to a new round."""
        asked = DepositRequest(roster=self.epoch.digest, round=self.rounds)
        self.rounds += 1
        message = SummedRequest(question=encode(question), deposit=asked)
        return {d: decode(self.ask(d, message), SummedReply) for d in devices}

    def begin(
        self,
        devices: Sequence[DeviceId],
        question: Request = SURVEY,
        *,
        bound: int = FINE,
        about: bytes | None = None,
    ) -> Summation:
        """Check these devices in, and settle the cohort."""
        replies = self.check_in(devices, question)
        sections = next(iter(replies.values())).sections
        made = Summation(
            self.epoch,
            number=self.rounds - 1,
            length=sum(sections),
            bound=bound,
            about=name_of(question) if about is None else about,
        )
        for reply in replies.values():
            assert reply.deposit is not None
            made.add_deposit(reply.deposit)
        return made

    def mask(self, made: Summation, devices: Sequence[DeviceId]) -> None:
        """Take these devices' inputs."""
        for device in devices:
            made.add_input(decode(self.ask(device, made.mask_request()), MaskedInput))

    def open(self, made: Summation) -> NDArray[np.int64]:
        """Take keepers' words, then their pads, and open the sum."""
        keepers = {d: seat for d, seat in self.seats.items() if seat in made.keepers}
        for device in keepers:
            made.add_confirmation(decode(self.ask(device, made.confirm_request()), Confirmation))
        for device, seat in keepers.items():
            made.add_unmasking(decode(self.ask(device, made.unmask_request(seat)), Unmasking))
        return made.total()

    def total(self, devices: Sequence[DeviceId], question: Request = SURVEY) -> NDArray[np.int64]:
        """Play a whole round with these devices."""
        made = self.begin(devices, question)
        self.mask(made, devices)
        return self.open(made)

    def payload(self, device: DeviceId) -> Payload:
        """Return what a device had to add last; a test may look, a coordinator could not."""
        found = Payload.of(self.pools[device])
        assert found is not None
        return found


def refusal(agent: Agent, message: object) -> str:
    """Return what an agent says when it refuses; it must, and twice in the same words."""
    said = []
    for _ in range(2):
        try:
            agent.handle(encode(message))
        except FieldvoteError as err:
            said.append(str(err))
    assert said[0:1] * 2 == said
    return said[0]
