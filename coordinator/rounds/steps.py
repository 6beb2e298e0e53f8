"""What each phase of a round does: ask devices, count what comes back, say what happened.

Every step ends in one transaction that holds the replies' sums and the event, so that a crash
leaves the round at the phase before or the phase after, and asking again brings the same replies.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coordinator.inbox import ANSWERS, COLLECT, SURVEY, Inbox
from coordinator.labels.desk import Labeling
from coordinator.models.shelf import Shelf
from coordinator.models.totals import Totals
from coordinator.models.training import Trained as Solved
from coordinator.models.training import average, is_reply, solve
from coordinator.rounds.machine import (
    Collected,
    Evaluated,
    Event,
    Fitted,
    Labeled,
    Phase,
    RoundState,
    Selected,
    Surveyed,
    Trained,
)
from coordinator.rounds.selection import choose, random_offers
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from coordinator.transport import Transport
from fieldvote.errors import UnavailableError
from fieldvote.records import (
    AnswersRequest,
    CollectRequest,
    DeviceId,
    EvaluateRequest,
    GradientRequest,
    HeadModel,
    Request,
    SurveyRequest,
    encode,
)
from fieldvote.rng import stream
from fieldvote.task import Task

_NO_INTEGERS = np.empty(0, dtype=np.int64)
_NO_FLOATS = np.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the steps work with.

    Attributes:
        task: What the fleet has installed.
        settings: What the campaign is set to do.
        store: What must survive.
        inbox: The door in.
        shelf: Model versions.
        labeling: How answers come.
        transport: How devices are reached.
    """

    task: Task
    settings: CampaignSettings
    store: Store
    inbox: Inbox
    shelf: Shelf
    labeling: Labeling
    transport: Transport


class Steps:
    """The work of a round, one method a phase."""

    def __init__(self, parts: Parts, record: Callable[[Event], None]) -> None:
        """Keep the parts; record appends an event inside the current transaction."""
        self._parts = parts
        self._record = record
        self._settings = parts.settings
        self._store = parts.store
        self._totals = Totals(parts.store, parts.task, parts.settings)

    def take(self, state: RoundState) -> None:
        """Do what follows the phase of this state.

        Raises:
            UnavailableError: nobody answered; the same step can be taken again.
        """
        work = {
            Phase.PLANNED: self.survey,
            Phase.SURVEYED: self.select,
            Phase.SELECTED: self.collect,
            Phase.COLLECTED: self.label,
            Phase.LABELED: self.fit,
            Phase.FITTED: self.train,
            Phase.TRAINED: self.evaluate,
        }
        work[state.phase](state)

    def survey(self, state: RoundState) -> None:
        """Ask for votes and offers."""
        lots = 1 if state.first else self._random_offers(state)
        request = SurveyRequest(
            round=state.number,
            strategy=self._settings.strategy,
            offers=0 if state.first else self._settings.offers,
            random_offers=lots,
            first=state.first,
            model=self._parts.shelf.get(state.model) if state.model else None,
        )
        self.catch_up(state)
        self._expect(state, SURVEY, {DeviceId(device): request for device in state.devices})
        replies = self._errand(state.number, SURVEY)
        with self._store.transaction():
            counted, offers = self._parts.inbox.survey(state.number, replies)
            if not counted:
                raise UnavailableError("no device answered the survey; the round can be retried")
            self._record(Surveyed(round=state.number, replies=counted, offers=offers))

    def select(self, state: RoundState) -> None:
        """Choose over the whole fleet at once; a first round takes every seed."""
        offers = self._store.offers(state.number)
        if not state.first:
            offers = choose(
                offers,
                strategy=self._settings.strategy,
                budget=state.budget,
                random_share=self._settings.random_share,
                rng=stream(self._settings.seed, "select", state.number),
            )
        items = [offer.item for offer in offers]
        with self._store.transaction():
            self._store.grant(state.number, items)
            self._record(Selected(round=state.number, items=tuple(item.hex() for item in items)))

    def collect(self, state: RoundState) -> None:
        """Ask for the chosen items."""
        grants: dict[DeviceId, list[bytes]] = {}
        for offer in self._store.offers(state.number, granted=True):
            grants.setdefault(offer.device, []).append(offer.item)
        requests = {
            device: CollectRequest(round=state.number, grants=tuple(items))
            for device, items in grants.items()
        }
        self._expect(state, COLLECT, requests)
        replies = self._errand(state.number, COLLECT)
        with self._store.transaction():
            sealed, refused = self._collected(state.number, replies)
            self._record(Collected(round=state.number, sealed=sealed, refused=refused))

    def label(self, state: RoundState) -> None:
        """Let people answer. Answers given before a crash stay, and are not asked for again."""
        self._parts.labeling.work(self._store)
        with self._store.transaction():
            count, cost = self._store.count_labels(state.number)
            self._record(Labeled(round=state.number, answers=count, cost=round(cost, 6)))

    def fit(self, state: RoundState) -> None:
        """Deliver every answer that waits, and add what they bring to the sums."""
        waiting = self._store.undelivered()
        representation = replace(self._current(state), weights=_NO_INTEGERS)
        requests = {
            device: AnswersRequest(
                round=state.number,
                answers=tuple(envelope for _, envelope in answers),
                representation=representation,
            )
            for device, answers in waiting.items()
        }
        self._expect(
            state,
            ANSWERS,
            requests,
            carrying=[item for answers in waiting.values() for item, _ in answers],
        )
        replies = self._errand(state.number, ANSWERS)
        with self._store.transaction():
            delivered = self._answered(state, state.number, replies)
            self._record(
                Fitted(
                    round=state.number,
                    delivered=delivered,
                    functions=len(self._parts.task.functions),
                )
            )

    def train(self, state: RoundState) -> None:
        """Solve the head from sums over everything that teaches."""
        model = self._current(state)
        vote_weight = self._totals.vote_weight()
        sums = self._totals.head_sums(model, vote_weight)
        ask = self._gradients(state, vote_weight, sums.total_weight)
        if not any(device.teaches for device in self._store.devices().values()):
            # every candidate stayed on its device: the head waits, the campaign does not
            trained = Solved(model=model, exchanges=0)
        elif self._settings.learner == "averaged":
            trained = average(model, ask, exchanges=self._settings.exchanges)
        else:
            trained = solve(
                model,
                sums,
                ask,
                l2=self._settings.l2,
                exchanges=self._settings.exchanges,
            )
        digest = self._parts.shelf.put(replace(trained.model, parent=state.model))
        with self._store.transaction():
            self._record(
                Trained(
                    round=state.number,
                    model=digest,
                    parent=state.model,
                    exchanges=trained.exchanges,
                )
            )

    def evaluate(self, state: RoundState) -> None:
        """Count right and wrong on devices and items that never train."""
        known = self._store.devices()
        request = EvaluateRequest(round=state.number, model=self._parts.shelf.get(state.model))
        asked = [d for d in self._reachable() if known[d].evaluates or known[d].teaches]
        replies = self._ask(dict.fromkeys(asked, request))
        k = len(self._parts.task.classes)
        sums = {kind: np.zeros((k, k), dtype=np.int64) for kind in (True, False)}
        counted = self._parts.inbox.confusion(state.number, replies)
        if not counted and any(device.evaluates or device.teaches for device in known.values()):
            # an evaluation by nobody would read as a score of nothing
            raise UnavailableError("no device evaluated the head; the round can be retried")
        for device, counts in counted.items():
            sums[known[device].evaluates] += counts
        with self._store.transaction():
            self._record(
                Evaluated(
                    round=state.number,
                    held_out=tuple(int(n) for n in sums[True].ravel()),
                    random_arm=tuple(int(n) for n in sums[False].ravel()),
                )
            )

    def _gradients(
        self, state: RoundState, vote_weight: float, total_weight: float
    ) -> Callable[[int, HeadModel], list[NDArray[np.int64]]]:
        """Return one exchange of the solver as a function of step and model."""
        settings = self._settings
        parameters = self._totals.label_model().to_vector() if vote_weight > 0 else _NO_FLOATS
        known = self._store.devices()

        def ask(step: int, model: HeadModel) -> list[NDArray[np.int64]]:
            request = GradientRequest(
                round=state.number,
                step=step,
                model=model,
                vote_weight=vote_weight,
                label_model=parameters,
                epochs=settings.epochs if settings.learner == "averaged" else 0,
                l2_per_item=settings.l2 / max(total_weight, 1.0),
            )
            teachers = [device for device in self._reachable() if known[device].teaches]
            replies = self._ask(dict.fromkeys(teachers, request))
            return self._parts.inbox.gradients(
                state.number,
                step,
                replies,
                fits=lambda vector: is_reply(
                    model, vector, averaged=settings.learner == "averaged"
                ),
            )

        return ask

    def _current(self, state: RoundState) -> HeadModel:
        """Return the newest head, or the one every campaign starts from."""
        if state.model:
            return self._parts.shelf.get(state.model)
        return self._totals.first_model()

    def _random_offers(self, state: RoundState) -> int:
        return random_offers(state.budget, self._settings.random_share, len(state.devices))

    def _reachable(self) -> list[DeviceId]:
        """Return the known devices that can be reached now."""
        known = self._store.devices()
        return [device for device in self._parts.transport.devices() if device in known]

    def catch_up(self, state: RoundState) -> None:
        """Ask again, with the same bytes, for replies of earlier rounds that never came.

        A device that had handled the request answers from its journal, so what it summed, shipped
        or learned then is counted now, and once.
        """
        for number, phase in self._store.overdue(state.number):
            replies = self._errand(number, phase)
            with self._store.transaction():
                match phase:
                    case "survey":
                        self._parts.inbox.survey(number, replies)
                    case "collect":
                        self._collected(number, replies)
                    case "answers":
                        self._answered(state, number, replies)

    def _expect(
        self,
        state: RoundState,
        phase: str,
        requests: Mapping[DeviceId, Request],
        carrying: Sequence[bytes] = (),
    ) -> None:
        """Keep requests that change a device before they are sent."""
        with self._store.transaction():
            for device, request in requests.items():
                self._store.expect(state.number, phase, device, encode(request))
            self._store.mark_sent(state.number, carrying)

    def _errand(self, number: int, phase: str) -> Mapping[DeviceId, bytes]:
        """Send the kept requests of an exchange that have no counted reply to who is there."""
        here = set(self._parts.transport.devices())
        expected = self._store.expected(number, phase)
        return self._send({device: blob for device, blob in expected.items() if device in here})

    def _collected(self, number: int, replies: Mapping[DeviceId, bytes]) -> tuple[int, int]:
        """Put candidates away. Return how many came and how many stay."""
        offers = self._store.offers(number, granted=True)
        granted = {offer.item: offer for offer in offers}
        return self._parts.inbox.collect(number, replies, granted)

    def _answered(self, state: RoundState, number: int, replies: Mapping[DeviceId, bytes]) -> int:
        """Add what the answers of a round brought. Return how many were delivered."""
        model = self._current(state)
        width = len(model.mean) + model.fourier + 1
        return self._parts.inbox.answers(number, replies, self._store.sent(number), width=width)

    def _ask(self, requests: Mapping[DeviceId, Request]) -> Mapping[DeviceId, bytes]:
        """Send every device its request; one that goes to many is encoded once."""
        blobs = {id(request): encode(request) for request in requests.values()}
        return self._send({device: blobs[id(request)] for device, request in requests.items()})

    def _send(self, blobs: Mapping[DeviceId, bytes]) -> Mapping[DeviceId, bytes]:
        """Carry requests and replies, within the campaign's deadline."""
        if not blobs:
            return {}
        return self._parts.transport.exchange(blobs, deadline_s=self._settings.deadline_s)
