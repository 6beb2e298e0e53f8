"""A new task version arrives over a slow link that is cut again and again; a round follows."""

from pathlib import Path

import pytest

from coordinator.delivery import Parcel
from tests.deployment.delivery import DEVICE, delivering
from tests.deployment.processes import call
from tests.deployment.slow_link import Link

# the true link is 64 kbit/s with 0.3 s each way and a bundle of 9 MB: tests/benchmarks/slow_link.py
SCALED = Link(rate_bit_s=2e6, delay_s=0.03, loss=0.05, cut_every_bytes=200_000)


@pytest.mark.slow
def test_a_bundle_arrives_over_a_slow_link_by_resuming_and_the_device_then_takes_part(
    tmp_path: Path,
) -> None:
    with delivering(tmp_path, SCALED, size_bytes=600_000) as made:
        thin = Parcel.of(made.bundle, "offers").thin
        assert thin is not None
        sent = made.bundle.size_bytes + thin.size_bytes
        made.site.await_said(f"has installed offers v2: {sent} bytes sent", 60)
        assert made.link.cuts >= 2
        assert made.confirmed_again == 0
        assert made.pieces[-1][2] == made.bundle.size_bytes

        made.site.await_said("waiting for people")
        call(tmp_path, "labels", "answer", typed="1\n")
        assert made.campaign.wait(60) == 0, made.site.said
        assert made.site.status(DEVICE)["task_version"] == 2
    assert "round 1: done" in made.site.said
    assert (tmp_path / DEVICE / "task.previous" / "targets.msgpack").exists()
