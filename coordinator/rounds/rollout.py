"""From a judged head to the devices that serve it: a few first, then all, or back again."""

from collections.abc import Callable
from math import ceil

from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.events import (
    ExchangeName,
    Passed,
    Refused,
    Reverted,
    RolledOut,
    Tried,
)
from coordinator.rounds.gate import compared, is_clearly_worse, verdict_of
from coordinator.rounds.legs import Legs
from coordinator.rounds.machine import RoundState
from coordinator.rounds.question import Question, Rest
from fieldvote.records import DeviceId
from fieldvote.rng import stream

_SERVE, _JUDGE_NEW, _JUDGE_OLD = 0, 1, 2  # the legs of a canary


class Rollout:
    """The work of a round from its judged head to its end, one method a phase."""

    def __init__(self, legs: Legs) -> None:
        """Ask by these legs."""
        self._exchanges, self._judging, self._record = legs.exchanges, legs.judging, legs.record
        self._parts, self._settings, self._store = legs.parts, legs.parts.settings, legs.parts.store

    def gate(self, state: RoundState, campaign: CampaignState) -> Rest | None:
        """Refuse a head that is clearly worse than the one before, or has forgotten too much."""
        rollout = self._settings.rollout
        verdict = verdict_of(
            campaign.scored,
            campaign.judged,
            campaign.fates,
            self._settings.retention,
            self._parts.task.classes,
            worse=is_clearly_worse(campaign.scored, campaign.judged, doubt=rollout.doubt),
        )
        with self._store.transaction():
            if verdict.refused:
                self._record(Refused(round=state.number, reason=verdict.reason))
            else:
                serial = campaign.next_serial() if rollout.enabled else 0
                passed = Passed(
                    round=state.number,
                    reason=verdict.reason,
                    roll_out=rollout.enabled,
                    serial=serial,
                )
                self._record(passed)
        return None

    def canary(self, state: RoundState, campaign: CampaignState) -> Rest | None:
        """Give the head to a few devices, and count on them how it does beside the one before."""
        exchange = state.exchange
        if exchange is None or (exchange.leg == _SERVE and exchange.open):
            return self._serve(state, "canary", self._canaries)
        devices = [DeviceId(device) for device in exchange.devices]
        if self._parts.task.policy.privacy.on:
            # counts of a few devices would hold too little noise to be told
            with self._store.transaction():
                reason = f"served by {len(exchange.came)} devices; counts of so few are not told"
                self._record(Tried(round=state.number, reason=reason))
            return None
        if exchange.leg == _SERVE:
            devices = [DeviceId(device) for device in exchange.came]
        if exchange.leg == _SERVE or (exchange.leg == _JUDGE_NEW and exchange.open):
            return self._judging.step(state, "canary", _JUDGE_NEW, state.model, devices)
        if state.parent and (exchange.leg == _JUDGE_NEW or exchange.open):
            return self._judging.step(state, "canary", _JUDGE_OLD, state.parent, devices)
        new, *old = [self._all_counts(digest) for digest in state.legs]
        before = old[0] if old else ()
        verdict = f"on {len(devices)} devices {compared(before, new)}"
        if is_clearly_worse(before, new, doubt=self._settings.rollout.doubt):
            self.take_back(state, campaign, verdict)
            return None
        with self._store.transaction():
            self._record(Tried(round=state.number, reason=verdict))
        return None

    def roll_out(self, state: RoundState, _: CampaignState) -> Rest | None:
        """Give the head to everybody; whoever is away gets it when they are back."""
        exchange = state.exchange
        if exchange is None or exchange.open:
            return self._serve(state, "roll_out", lambda: list(self._store.devices()))
        with self._store.transaction():
            self._record(RolledOut(round=state.number, devices=len(exchange.came)))
        return None

    def take_back(
        self, state: RoundState, campaign: CampaignState, reason: str, settles: str = ""
    ) -> None:
        """Give every device that may have the head the one before it."""
        model = self._parts.shelf.get(state.parent) if state.parent else None
        serial = campaign.next_serial(taken_back=True)
        blob = self._parts.order(number=state.number, serial=serial, model=model)
        with self._store.transaction():
            for phase in ("canary", "roll_out"):
                self._store.withdraw(state.number, phase)
            self._store.expect_all(
                state.number, "revert", dict.fromkeys(self._store.devices(), blob)
            )
            self._record(Reverted(round=state.number, reason=reason, serial=serial))
            if settles:
                self._store.settle(settles)

    def _canaries(self) -> list[DeviceId]:
        """Return the devices that try a head first."""
        here = self._parts.reachable()
        share = ceil(self._settings.rollout.canary_share * len(here))
        count = max(share, self._parts.least_asked)
        rng = stream(self._settings.seed, "canary")
        return sorted(here[place] for place in rng.permutation(len(here))[:count].tolist())

    def _serve(
        self, state: RoundState, name: ExchangeName, choose: Callable[[], list[DeviceId]]
    ) -> Rest | None:
        """Ask devices to serve the round's head."""

        def requests() -> dict[DeviceId, bytes]:
            model = self._parts.shelf.get(state.model)
            blob = self._parts.order(number=state.number, serial=state.serial, model=model)
            return dict.fromkeys(choose(), blob)

        return self._exchanges.step(
            state,
            Question(
                name=name,
                requests=requests,
                count=lambda replies: self._parts.inbox.served(state.number, name, replies),
                keeps=True,
                least=1 if name == "canary" else 0,
            ),
        )

    def _all_counts(self, digest: str) -> tuple[int, ...]:
        """Return confusion counts over held-out devices and the random arm together."""
        sums = self._judging.read(digest)
        return tuple((sums.held_out + sums.random_arm).tolist())
