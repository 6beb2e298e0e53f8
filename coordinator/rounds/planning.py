"""When the next round begins, who is in it, and how much it may buy."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import ceil
from typing import Protocol

from coordinator.releases.tasks import note_running
from coordinator.rounds.allocation import aims_of
from coordinator.rounds.batch import answer_seconds, in_time, seconds_per_answer
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.choosing import choose_strategy
from coordinator.rounds.drift import layout_of, may_watch, read_counts
from coordinator.rounds.events import Planned, RoundKind
from coordinator.rounds.machine import Phase
from coordinator.rounds.parts import Parts
from coordinator.rounds.private_budget import short_reason, spent_reason
from coordinator.rounds.question import Rest
from coordinator.settings import CampaignSettings
from coordinator.store.budget import Resource
from coordinator.store.campaign import Store
from coordinator.store.schema import MONEY_UNIT
from coordinator.transport import exchange
from fieldvote.errors import FencedError, StoreError, UnavailableError
from fieldvote.records import (
    DeviceId,
    HelloRequest,
    encode,
)
from fieldvote.rng import stream

NO_LIMIT = 1 << 62  # of anything a campaign may spend
_PATIENCE_S = 10.0  # with strangers: a round does not wait for whoever cannot say who they are
_TELL_EVERY_S = 60.0  # who says nothing to the news is not asked at every turn
Cohort = Callable[[int, Sequence[DeviceId]], Sequence[DeviceId]]
"""Round number and reachable training devices to the ones that are surveyed."""

_MEETING = frozenset({Phase.PLANNED, Phase.SURVEYING, Phase.SELECTED, Phase.COLLECTING})


class Updates(Protocol):
    """Brings the campaign's task to devices that run another, beside the rounds."""

    def bring(self, devices: Collection[DeviceId]) -> None:
        """Begin with these devices; return at once."""

    def held(self) -> Collection[DeviceId]:
        """Return the devices that are not to be asked who they are at the moment."""


class Planner:
    """Begins rounds at the campaign's pace."""

    def __init__(
        self,
        parts: Parts,
        cohort: Cohort | None,
        *,
        quorum: int,
        updates: Updates | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Plan for these parts.

        Args:
            parts: What rounds work with.
            cohort: Who is surveyed; by default a random share of who is there.
            quorum: Training devices that must be there before a round begins.
            updates: What becomes of devices that run another task; by default nothing.
            say: Told why devices cannot be told what is new of the owner.
        """
        self._parts = parts
        self._say = say
        self._cohort = cohort or self._sample
        self._quorum = quorum
        self._updates = updates
        self._tell_again_s = 0.0

    def why_not(self, campaign: CampaignState) -> Rest | None:
        """Return why no round begins now, None if one may."""
        pace, store = self._parts.settings.pace, self._parts.store
        open_ = campaign.open
        if len(open_) >= pace.open_rounds:
            return Rest(about=f"{len(open_)} rounds are open, as many as may be")
        # two rounds that ask the same devices at once would each get half of their attention
        if any(state.phase in _MEETING or state.held in _MEETING for state in open_):
            return Rest(about="another round is still with the devices")
        now = self._parts.clock.now()
        if campaign.planned_at and pace.least_interval_s:
            due = datetime.fromisoformat(campaign.planned_at) + timedelta(
                seconds=pace.least_interval_s
            )
            soon = now < due <= now + timedelta(seconds=pace.least_interval_s)
            if soon and not (campaign.steering.drift.calls and self._parts.settings.drift.rounds):
                return Rest(about="the next round keeps its distance", until=due.isoformat())
        oldest = store.oldest_waiting()
        asked = campaign.asked_at.get(oldest, "")
        if asked and (now - datetime.fromisoformat(asked)).total_seconds() > pace.longest_queue_s:
            return Rest(about="people: candidates have waited too long, no new ones are asked for")
        if affordable(self._parts.settings, store) <= 0:
            return Rest(about="the budget for labels is spent")
        if reason := spent_reason(self._parts.task.policy.privacy, campaign.last):
            return Rest(about=reason)
        return None

    def plan(
        self, campaign: CampaignState, *, kind: RoundKind = "ordinary", budget: int | None = None
    ) -> Planned:
        """Return the event that begins the next round.

        Raises:
            UnavailableError: too few training devices are there, or the privacy budget is spent.
        """
        if reason := spent_reason(self._parts.task.policy.privacy, campaign.last):
            raise UnavailableError(reason)
        self._greet(campaign)
        training = self._parts.training()
        if not training:
            # a round planned for nobody could never be surveyed
            raise UnavailableError("no training device can be reached; start more, then call again")
        if reason := short_reason(self._parts.task, len(training)):
            raise UnavailableError(reason)
        number, steering = campaign.last + 1, campaign.steering
        first = not any(device.teaches for device in self._parts.store.devices().values())
        devices = training if first else list(self._cohort(number, training))
        settings = self._parts.settings
        per_device = 1 if first else settings.labels_per_device
        # what people have not got to yet, they need not be given more of
        waiting = len(self._parts.store.queue())
        if budget is None:
            budget = max(per_device * len(devices) - waiting, 1)
            answerable = None if first else in_time(self._parts.store, settings)
            budget = budget if answerable is None else min(budget, answerable)
        if kind == "ordinary" and settings.drift.rounds and steering.drift.calls:
            kind = "drift"
        shift = steering.drift.aims if kind == "drift" else ()
        aims = aims_of(
            settings.allocation,
            self._parts.task.classes,
            self._parts.store.labels_by_class(),
            budget,
            [share * settings.drift.share for share in shift],
        )
        return Planned(
            round=number,
            kind=kind,
            devices=tuple(int(device) for device in devices),
            budget=budget,
            first=first,
            at=self._parts.clock.now().isoformat(),
            watch=self._watched_since(campaign, number),
            strategy="" if first else choose_strategy(steering, settings, number),
            aims=() if first else aims,
        )

    def _watched_since(self, campaign: CampaignState, number: int) -> int:
        """Return which watch a round belongs to: its own where there is none that fits.

        There must be a head to count by, and the functions must be those that were counted.
        """
        drift = campaign.steering.drift
        if not self._parts.settings.drift.watch or not campaign.model:
            return 0
        if not may_watch(self._parts.task):
            return 0
        length, counts = layout_of(self._parts.task).length, drift.counts
        fits = not counts or len(read_counts(self._parts.store.artifact(counts))) == length
        return drift.since if drift.since and fits else number

    def _greet(self, campaign: CampaignState) -> None:
        """Ask devices that do not run the task yet, as far as is known, who they are.

        Those that were never met are given the fleet's head.

        Raises:
            UnavailableError: fewer training devices than the quorum are there.
        """
        transport, known = self._parts.transport, set(self._parts.known())
        known |= set(self._updates.held() if self._updates else ())
        strangers = [device for device in transport.devices() if device not in known]
        if strangers:
            self._ask(strangers, campaign)
        training = self._parts.training()
        needed = max(self._quorum, self._parts.least_asked)
        if len(training) < needed:
            raise UnavailableError(
                f"{len(training)} training devices are there, {needed} are needed: start more"
            )

    def tell(self, campaign: CampaignState) -> None:
        """Tell devices that take part what is new of the owner, long before the old is over."""
        keys, now_s = self._parts.keys, self._parts.clock.now().timestamp()
        if keys is None or now_s < self._tell_again_s:
            return
        self._tell_again_s = now_s + _TELL_EVERY_S
        try:
            untold = keys.untold(self._parts.reachable())
            if untold:
                self._ask(untold, campaign)
        except (StoreError, FencedError):
            raise
        except UnavailableError as err:
            # rounds go on as long as devices believe what they were told last
            self._say(f"devices are told nothing new: {err}")

    def _ask(self, devices: Collection[DeviceId], campaign: CampaignState) -> None:
        """Ask devices who they are, tell them the news, and meet those that run the task."""
        store, keys = self._parts.store, self._parts.keys
        met, name = set(store.devices()), self._parts.settings.name
        news = keys.news_for(devices) if keys else dict.fromkeys(devices, b"")
        door = self._parts.inbox.admission
        hello = HelloRequest(campaign=name, challenge=door.challenge() if door else b"")
        replies = exchange(
            self._parts.transport,
            {device: encode(replace(hello, news=news[device])) for device in devices},
            deadline_s=min(self._parts.settings.deadline_s, _PATIENCE_S),
            now_s=lambda: self._parts.clock.now().timestamp(),
        )
        astray, here = list[DeviceId](), list[DeviceId]()
        with store.transaction():
            self._parts.inbox.hello(
                replies,
                self._parts.task.digest,
                version=keys.version if keys else 0,
                astray=astray.append,
                here=here.append,
            )
            note_running(store, here)
            if keys:
                keys.note_told(here)
            self._bring_up_to_date(campaign, set(store.devices()) - met)
        if self._updates:
            self._updates.bring(astray)

    def _bring_up_to_date(self, campaign: CampaignState, devices: Collection[DeviceId]) -> None:
        """Owe new devices the head that the others serve."""
        if not campaign.served or not devices:
            return
        since = campaign.served_since
        serial = campaign.served_serial
        model = self._parts.shelf.get(campaign.served)
        request = self._parts.order(number=since, serial=serial, model=model)
        self._parts.store.expect_all(since, "roll_out", dict.fromkeys(devices, request))

    def _sample(self, number: int, training: Sequence[DeviceId]) -> list[DeviceId]:
        """Return a random share of the training devices, at least one, and the spare ones."""
        settings = self._parts.settings
        share = min(settings.surveyed_share * (1.0 + settings.pace.spare_share), 1.0)
        least = self._parts.least_asked
        # a quarter more than a sum needs: one that is lost on the way must not hold a round up
        count = max(least + least // 4, round(share * len(training)))
        rng = stream(settings.seed, "cohort", number)
        return sorted(training[place] for place in rng.permutation(len(training))[:count])


def affordable(settings: CampaignSettings, store: Store) -> int:
    """Return how many more labels a campaign may buy.

    A round holds a reservation until it has counted its answers. What its items may cost after that
    is kept back: an item may come late, wait for people, or be answered and not counted yet.
    """
    budget, account, held = settings.budget, store.budget(), store.unsettled()
    late = [claim for number, claim in store.may_cost().items() if labels_key(number) not in held]
    items, most = sum(claim.items for claim in late), NO_LIMIT
    if budget.labels is not None:
        spending, each = account[Resource.LABELS], settings.labeling.most
        given = sum(claim.answers for claim in late)
        left = budget.labels - spending.reserved - spending.spent - given
        most = left // each - items
    price = to_micro(settings.item_price)
    if budget.money is not None and price:
        spending, given = account[Resource.MONEY], sum(claim.micro for claim in late)
        left = to_micro(budget.money) - spending.reserved - spending.spent - given
        most = min(most, left // price - items)
    if budget.minutes is not None:
        spending, each = account[Resource.MINUTES], item_seconds(store, settings)
        given = each * sum(claim.answers for claim in late) // settings.labeling.most
        left = round(budget.minutes * 60) - spending.reserved - spending.spent - given
        most = min(most, left // each - items)
    return most


def item_seconds(store: Store, settings: CampaignSettings) -> int:
    """Return how long all answers to one item may take people, in whole seconds."""
    each = seconds_per_answer(answer_seconds(store.answer_times()), settings)
    return max(ceil(each * settings.labeling.most), 1)


def spent_seconds(store: Store, settings: CampaignSettings, number: int) -> int:
    """Return how long the answers that a round counted took people.

    Measured where one followed another; each of the rest lasted as long as an answer does.
    """
    times = store.answer_times(number)
    measured = answer_seconds(times, newest=len(times))
    each = seconds_per_answer(answer_seconds(store.answer_times()), settings)
    return round(sum(measured) + each * (len(times) - len(measured)))


def give_back(store: Store, number: int) -> None:
    """End the reservations of a round that is given up; what its items may cost is kept back."""
    for key in store.unsettled() & {labels_key(number), money_key(number), minutes_key(number)}:
        store.settle_budget(key, 0)


def labels_key(number: int) -> str:
    """Return what the budget calls the labels of a round."""
    return f"{number}/labels"


def money_key(number: int) -> str:
    """Return what the budget calls the price of a round's labels."""
    return f"{number}/money"


def minutes_key(number: int) -> str:
    """Return what the budget calls the time that a round's labels take people."""
    return f"{number}/minutes"


def to_micro(money: float) -> int:
    """Return money in millionths, which add up without drifting."""
    return round(money * MONEY_UNIT)
