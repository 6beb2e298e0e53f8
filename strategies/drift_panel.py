"""Several histograms watched at once: a rule each that keeps the odds, and one for all together.

A change moves many histograms a little before it moves one of them a lot. So the mean of their
statistics, each over what quiet rounds bring it to, is watched too. Histograms of the same items
go together, how much is not known; the mean is taken for a gamma variable whose spread quiet rounds
tell, and a round for unusual that an F variable of as many degrees reaches once in so many rounds:
much more rarely than asked for by itself, or twice in a row. A round in doubt teaches nothing until
the next one has spoken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from strategies.arrivals import Layout, grown_classes
from strategies.drift import DriftRule, Watch, f_quantile

TOGETHER = "all together"
_SURELY = 8.0  # times the odds: one round alone raises an alarm then
_TWICE = 2.0  # times their root: two in a row do
_LEAST_ROUNDS = 5  # quiet ones, before their mean says anything
_REMEMBERED = 30  # quiet rounds by which a mean is judged
_PRIOR_ROUNDS, _PRIOR_DEGREES = 4.0, 6.0  # what is believed of its spread before any was seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """What is known of every histogram of new items; :meth:`saw` returns the next.

    Attributes:
        layout: Where each histogram stands in a vector of counts.
        watches: What is known of each, by name.
        quiet: Counts of rounds outside of alarms. Shape (length,).
        since: Counts since an alarm is on; zeros while none is. Shape (length,).
        held: Counts of a round that is in doubt: the next one says which of the two it is.
        doubt: Its mean statistic; 0 where none is.
        means: Mean statistic of each of the last quiet rounds, oldest first.
        together: Whether the alarm of all together is on.
        fired: What raised an alarm in the round seen last, while none was on.
    """

    layout: Layout
    watches: Mapping[str, Watch]
    quiet: tuple[float, ...]
    since: tuple[float, ...]
    held: tuple[float, ...]
    doubt: float = 0.0
    means: tuple[float, ...] = ()
    together: bool = False
    fired: tuple[str, ...] = ()

    @staticmethod
    def over(layout: Layout) -> "Panel":
        """Begin with nothing known."""
        nothing = (0.0,) * layout.length
        return Panel(
            layout=layout,
            watches={
                name: Watch(reference=(0.0,) * (part.stop - part.start))
                for name, part in layout.parts.items()
            },
            quiet=nothing,
            since=nothing,
            held=nothing,
        )

    @property
    def alarmed(self) -> tuple[str, ...]:
        """What has an alarm that is on."""
        names = tuple(name for name, watch in self.watches.items() if watch.alarmed)
        return (*names, TOGETHER) if self.together else names

    def saw(self, counts: NDArray[np.integer] | NDArray[np.floating], rule: DriftRule) -> "Panel":
        """Return the panel after one more round.

        Args:
            counts: What the round counted; noise may have made some negative. Shape (length,).
            rule: For all histograms together: each keeps to its share of the odds.

        >>> layout = Layout(classes=2, functions=0)
        >>> panel = Panel.over(layout).saw(np.zeros(layout.length, dtype=np.int64), DriftRule())
        >>> panel.fired, panel.alarmed
        ((), ())
        """
        each = replace(rule, odds=_SURELY * rule.odds * len(self.watches))
        parts = self.layout.parts
        seen = {name: watch.saw(counts[parts[name]], each) for name, watch in self.watches.items()}
        mean = float(np.mean([watch.ratio for watch in seen.values()]))
        farthest = max(watch.divergence for watch in seen.values())
        odd = farthest > rule.divergence and mean > self._most(_TWICE * sqrt(rule.odds))
        unusual = odd and (bool(self.doubt) or mean > self._most(_SURELY * rule.odds))
        # it ends with the last of them, and where none has one, when no histogram is far any more
        alone = any(watch.alarmed for watch in seen.values())
        together = unusual or (self.together and (alone or farthest > rule.divergence / 2))
        on = alone or together
        fired = [name for name, watch in seen.items() if watch.fired]
        fired += [TOGETHER] * (unusual and not fired)
        after = replace(
            self,
            watches=seen if not (on or odd) else self._unlearnt(seen),
            together=together,
            # a change that is seen in one histogram now and in another next round is one change
            fired=() if self.alarmed else tuple(fired),
        )
        return after._counted(np.asarray(counts, dtype=np.float64), mean, on=on, odd=odd)

    def _counted(self, counts: NDArray[np.float64], mean: float, *, on: bool, odd: bool) -> "Panel":
        """Return the panel with a round's counts where they belong: to an alarm, or to quiet."""
        nothing = np.zeros_like(counts)
        if on:
            since = np.asarray(self.since) + np.asarray(self.held) + counts
            return replace(self, since=_kept(since), held=_kept(nothing), doubt=0.0)
        if odd:
            return replace(self, held=_kept(counts), doubt=mean, since=_kept(nothing))
        quiet = np.asarray(self.quiet) + np.asarray(self.held) + counts
        means = (*self.means, *([self.doubt] if self.doubt else ()), *([mean] if mean else ()))
        return replace(
            self,
            quiet=_kept(quiet),
            held=_kept(nothing),
            doubt=0.0,
            since=_kept(nothing),
            means=means[-_REMEMBERED:],
        )

    def _unlearnt(self, seen: Mapping[str, Watch]) -> dict[str, Watch]:
        """Return what was seen, without what it taught: what may be a change is no example."""
        return {
            name: watch
            if watch.alarmed
            else replace(self.watches[name], divergence=watch.divergence, ratio=watch.ratio)
            for name, watch in seen.items()
        }

    def _most(self, odds: float) -> float:
        """Return what the mean statistic of a quiet round reaches once in so many rounds."""
        if len(self.means) < _LEAST_ROUNDS:
            return inf
        usual = float(np.mean(self.means))
        strayed = sum((mean / usual - 1) ** 2 for mean in self.means)
        rounds = len(self.means)
        variance = (_PRIOR_ROUNDS * 2 / _PRIOR_DEGREES + strayed) / (_PRIOR_ROUNDS + rounds - 1)
        degrees = 2 / variance
        return usual * f_quantile(1 - 1 / odds, degrees, degrees * rounds)

    def accepted(self) -> "Panel":
        """Return the panel with what came since the alarm as what is usual now."""
        counts, parts = np.asarray(self.since), self.layout.parts
        if not self.alarmed:
            return self
        watches = {
            name: watch.accepted(counts[parts[name]]) for name, watch in self.watches.items()
        }
        nothing = (0.0,) * self.layout.length
        return replace(
            self, watches=watches, quiet=self.since, since=nothing, together=False, fired=()
        )

    def grown(self) -> tuple[float, ...]:
        """Return the classes predicted more since the alarm, as shares that add up to 1."""
        return grown_classes(self.layout, np.asarray(self.quiet), np.asarray(self.since))


def _kept(counts: NDArray[np.float64]) -> tuple[float, ...]:
    """Return counts as a panel holds them."""
    return tuple(counts.tolist())
