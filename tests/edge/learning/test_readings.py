"""Battery, heat and memory, read from a made-up kernel."""

from pathlib import Path

import pytest

from edge.learning.readings import KernelReadings, why_not
from fieldvote.errors import SettingsError
from fieldvote.training_limits import TrainingLimits

LIMITS = TrainingLimits(battery_percent=30, celsius=70.0)


def kernel(folder: Path, **said: str) -> KernelReadings:
    """Write files as the kernel shows them."""
    for name, content in said.items():
        path = folder.joinpath(*name.split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return KernelReadings(system=folder, process=folder)


def battery(charge: str, status: str, number: int = 0) -> dict[str, str]:
    return {
        f"power_supply__BAT{number}__type": "Battery",
        f"power_supply__BAT{number}__status": status,
        f"power_supply__BAT{number}__capacity": charge,
    }


def heat(*millidegrees: int) -> dict[str, str]:
    return {f"thermal__thermal_zone{n}__temp": str(value) for n, value in enumerate(millidegrees)}


CASES: dict[str, tuple[dict[str, str], str]] = {
    "nothing to read": ({}, ""),
    "a full battery": (battery("80", "Discharging"), ""),
    "a low battery": (battery("29", "Discharging"), "the battery is at 29 %"),
    "a low battery on the wall": (battery("5", "Charging"), ""),
    "the lower of two": (
        {**battery("90", "Discharging"), **battery("10", "Discharging", 1)}, "at 10 %"
    ),
    "a mains adapter": ({"power_supply__AC__type": "Mains"}, ""),
    "a battery that says nonsense": (battery("many", "Discharging"), ""),
    "cool": (heat(41_000, 69_900), ""),
    "one part too warm": (heat(41_000, 71_000), "it is 71 degrees warm"),
    "a thermometer that says nonsense": ({"thermal__thermal_zone0__temp": "hot"}, ""),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_a_device_says_why_it_does_not_train(what: str, tmp_path: Path) -> None:
    said, why = CASES[what]
    found = why_not(LIMITS, kernel(tmp_path, **said))
    assert (why in found) if why else not found


def test_memory_is_what_the_kernel_says_of_this_process(tmp_path: Path) -> None:
    assert kernel(tmp_path, status="Name: x\nVmRSS:\t  2048 kB").memory_bytes() == 2 << 20
    assert kernel(tmp_path / "none").memory_bytes() is None
    assert 5 << 20 < (KernelReadings().memory_bytes() or 0) < 64 << 30


@pytest.mark.parametrize(
    "said",
    [{"seconds": 0.0}, {"memory_mb": 0}, {"battery_percent": 101}, {"celsius": float("nan")}],
)
def test_limits_that_are_none_are_refused(said: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="training"):
        TrainingLimits(**said)  # type: ignore[arg-type]  # a table of wrong values
