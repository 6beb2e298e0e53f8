"""How an embedding becomes the input of the head.

Standardise, re-centre on the device, lean on neighbours, add Fourier features, quantise.

The fleet agrees on one frozen ``Representation``, made from summed moments and a seed. A device
adds only what it knows about itself: the mean of its own unlabeled pool (``centre``), which takes
out how this sensor or this person differs from the fleet, and which of its items are alike
(:mod:`strategies.neighbours`). Everything up to the whole numbers that
come out is the same bits on any machine: the projection is a matrix product of whole numbers and
the cosine a table.

Sources: Rahimi and Recht 2007, "Random features for large-scale kernel machines", for the Fourier
    layer.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream
from strategies.aggregation.fixed_point import INPUT_FRACTION, INPUT_LIMIT, MAX_WIDTH
from strategies.aggregation.moments import Moments, finite
from strategies.neighbours import lean_on_neighbours

__all__ = ["Moments", "Representation"]

# A device's own mean counts n / (n + 5): selection research, re-centring with few items.
_CENTRE_PRIOR = 5.0

# Features of one unit stay within this ratio of overall to median spread (measured: 1.0 to 1.5 on
# accelerometer windows, images and hashed text, over 100 on tables of mixed units).
_SAME_UNIT = 4.0

_CENTRE_FRACTION = 16
_TURN_BITS = 12
_FREQUENCY_FRACTION = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """The fleet's way from an embedding to the input of the head.

    Attributes:
        mean: Subtracted from each feature. Shape (d,).
        scale: Each feature is divided by it; 0 drops a constant feature. Shape (d,).
        gain: What a standardised feature is multiplied by.
        clip: Largest standardised value let through.
        recentre: Share of the device's own centre that is subtracted, 0 to 1.
        fourier: How many random Fourier features follow the linear ones; 0 for none.
        bandwidth: Standard deviation of the Gaussian kernel, in units of the linear inputs.
        amplitude: Largest value of a Fourier feature.
        seed: Names the random frequencies.
        smooth: How far an item's linear inputs are moved to the mean of its nearest neighbours in
            the device's pool, 0 to 1.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    gain: float
    clip: float
    recentre: float
    fourier: int
    bandwidth: float
    amplitude: float
    seed: int
    smooth: float = 0.0

    def __post_init__(self) -> None:
        """Refuse settings under which an input would not fit its 13 bits."""
        if self.mean.ndim != 1 or not len(self.mean) or self.scale.shape != self.mean.shape:
            raise ShapeError("scale", self.scale.shape, self.mean.shape)
        if not (np.isfinite(self.mean).all() and np.isfinite(self.scale).all()):
            raise InputError("mean and scale of a representation must be finite")
        if np.any(self.scale < 0):
            raise InputError("scale of a representation must not be negative")
        limit = INPUT_LIMIT * 2.0**-INPUT_FRACTION
        if not 0 < self.gain * self.clip <= limit or not 0 < self.amplitude <= limit:
            raise InputError(f"gain * clip and amplitude must lie in 0..{limit:g}")
        for name in ("recentre", "smooth"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if self.fourier < 0 or self.width > MAX_WIDTH:
            raise InputError(f"inputs of the head must number 1..{MAX_WIDTH}, got {self.width}")
        if not 1e-2 <= self.bandwidth < math.inf:
            raise InputError(f"bandwidth must be at least 0.01, got {self.bandwidth}")

    @classmethod
    def from_moments(
        cls,
        moments: Moments,
        *,
        recentre: float = 0.0,
        smooth: float = 0.0,
        fourier: int = 0,
        seed: int = 0,
        whiten: float | None = None,
        norm: float = 8.0,
        clip: float = 5.0,
        bandwidth_share: float = 0.5,
        fourier_share: float = 2.0,
    ) -> Self:
        """Make a representation from summed moments alone.

        Args:
            moments: Summed over the unlabeled pools of the fleet.
            recentre: Share of a device's own centre that is subtracted. 1 where devices differ by
                an offset (sensors, people), 0 where they differ by their mix of classes.
            smooth: How far an item is moved to its neighbours in its device's pool.
            fourier: How many Fourier features; 0 for none, 400 where classes are not linear.
            seed: Names the random frequencies.
            whiten: 1 brings every feature to the same spread, right for columns in different
                units; 0 keeps their relative spread, right for embeddings, images and texts. None
                decides by the moments: 1 where the overall spread is over 4 times the median one.
            norm: Root mean squared length of the linear inputs, whatever their number.
            clip: Largest deviation let through, in (overall) standard deviations.
            bandwidth_share: Kernel width relative to the distance of two random items.
            fourier_share: Length of the Fourier inputs relative to norm.

        Raises:
            InputError: There is no item, or a setting does not fit the 13 bits of an input.
        """
        if not 0.0 < norm < math.inf:
            raise InputError(f"norm must be positive and finite, got {norm}")
        mean, stddev = moments.mean_and_stddev()
        spreads = stddev[stddev > 0]
        live = max(len(spreads), 1)
        overall = math.sqrt(float((spreads**2).sum()) / live)
        if whiten is None:
            whiten = float(len(spreads) > 0 and overall > _SAME_UNIT * np.median(spreads))
        scale = np.where(stddev > 0, stddev**whiten * overall ** (1.0 - whiten), 0.0)
        limit = INPUT_LIMIT * 2.0**-INPUT_FRACTION
        bandwidth, amplitude = kernel_of(
            norm, fourier=fourier, bandwidth_share=bandwidth_share, fourier_share=fourier_share
        )
        return cls(
            mean=mean,
            scale=scale,
            gain=norm / math.sqrt(live),
            clip=min(clip, limit * math.sqrt(live) / norm),
            recentre=recentre,
            fourier=fourier,
            bandwidth=bandwidth,
            amplitude=amplitude,
            seed=seed,
            smooth=smooth,
        )

    @property
    def width(self) -> int:
        """How many inputs the head takes, p, the bias (last) included."""
        return len(self.mean) + self.fourier + 1

    def centre(self, embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the mean of the device's own unlabeled items, shrunk by n / (n + 5).

        Args:
            embeddings: The device's pool; labels are not needed. Shape (n, d), n may be 0.

        Returns:
            In standardised units. Shape (d,).
        """
        standard = np.clip(self._standardise(embeddings), -self.clip, self.clip)
        steps = np.rint(standard * 2.0**_CENTRE_FRACTION).astype(np.int64)
        total = steps.sum(axis=0).astype(np.float64) * 2.0**-_CENTRE_FRACTION
        return np.asarray(total / (len(steps) + _CENTRE_PRIOR))

    def inputs(
        self,
        embeddings: NDArray[np.floating],
        centre: NDArray[np.float64],
        *,
        pool: NDArray[np.floating] | None = None,
    ) -> NDArray[np.float64]:
        """Return inputs of the head as whole numbers in steps of 2^-9.

        Args:
            embeddings: Shape (n, d).
            centre: What ``centre`` gave on this device; zeros for none. Shape (d,).
            pool: The device's items, where neighbours are found; None where these are they. Shape
                (m, d).

        Returns:
            Linear inputs, Fourier inputs, bias. Shape (n, p), float64.
        """
        if centre.shape != self.mean.shape:
            raise ShapeError("centre", centre.shape, self.mean.shape)
        linear = self._linear(embeddings, centre)
        if self.smooth:
            among = None if pool is None else self._linear(pool, centre)
            linear = lean_on_neighbours(linear, self.smooth, pool=among)
        inputs = np.empty((len(linear), self.width))
        inputs[:, : len(self.mean)] = linear
        if self.fourier:
            inputs[:, len(self.mean) : -1] = self._fourier(linear)
        inputs[:, -1] = 2.0**INPUT_FRACTION
        return inputs

    def _linear(
        self, embeddings: NDArray[np.floating], centre: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the linear inputs before they lean on any neighbour. Shape (n, d)."""
        shifted = self._standardise(embeddings) - self.recentre * centre
        clipped = np.clip(shifted, -self.clip, self.clip)
        return np.asarray(np.rint(clipped * (self.gain * 2.0**INPUT_FRACTION)))

    def _standardise(self, embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return standardised features, 0 for a dropped one. Shape (n, d)."""
        values = finite(embeddings)
        if values.shape[1] != len(self.mean):
            raise ShapeError("embeddings", values.shape, ("n", len(self.mean)))
        live = self.scale > 0
        return np.where(live, (values - self.mean) / np.where(live, self.scale, 1.0), 0.0)

    def _fourier(self, linear: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Fourier features of whole-number inputs, as whole numbers. Shape (n, fourier)."""
        frequencies, phases = _frequencies(len(self.mean), self.fourier, self.bandwidth, self.seed)
        turns = linear @ frequencies * 2.0 ** (_TURN_BITS - INPUT_FRACTION - _FREQUENCY_FRACTION)
        index = (np.floor(turns).astype(np.int64) + phases) & ((1 << _TURN_BITS) - 1)
        table = np.rint(_cosines() * (self.amplitude * 2.0**INPUT_FRACTION))
        return np.asarray(table[index])


def kernel_of(
    norm: float, *, fourier: int, bandwidth_share: float = 0.5, fourier_share: float = 2.0
) -> tuple[float, float]:
    """Return bandwidth and amplitude of a Fourier layer over linear inputs of this length.

    >>> kernel_of(8.0, fourier=2)
    (5.656854249492381, 16.0)
    """
    amplitude = fourier_share * norm * math.sqrt(2.0 / max(fourier, 1))
    # Two random items are norm * sqrt(2) apart whatever d is: the bandwidth needs no data.
    bandwidth = bandwidth_share * norm * math.sqrt(2.0)
    return bandwidth, min(amplitude, INPUT_LIMIT * 2.0**-INPUT_FRACTION)


@lru_cache(maxsize=4)
def _frequencies(
    width: int, count: int, bandwidth: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return frequencies in steps of 2^-24 turns per unit, and phases in table steps.

    Budget: a frequency is at most 6 / (2π · 0.01) < 2^7 turns, 31 bits; times 13 bits of input
        and 11 bits of width is 55 bits only where every one of 2,048 terms is extreme; sums are
        checked against 2^53 here, once.
    """
    rng = stream(seed, "fourier", width, count)
    waves = rng.standard_normal((width, count)) / (2.0 * math.pi * bandwidth)
    frequencies = np.rint(waves * 2.0**_FREQUENCY_FRACTION)
    if np.abs(frequencies).sum(axis=0).max() * INPUT_LIMIT >= 2.0**53:
        raise InputError(f"bandwidth {bandwidth} is too small for {width} features")
    return frequencies, rng.integers(0, 1 << _TURN_BITS, size=count)


@lru_cache(maxsize=1)
def _cosines() -> NDArray[np.float64]:
    """Return one turn of the cosine in 4,096 steps, taken at the middle of each."""
    steps = 1 << _TURN_BITS
    return np.array([math.cos(2.0 * math.pi * (i + 0.5) / steps) for i in range(steps)])
