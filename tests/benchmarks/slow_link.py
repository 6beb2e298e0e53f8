"""A 9 MB task over 64 kbit/s, 300 ms each way, 5 % lost segments and cuts: how long, how often.

    python tests/benchmarks/slow_link.py [--quick] [--json]

A real SuperLink with TLS, a real coordinator and a real device, whose connections go through
tests/deployment/slow_link.py, where it is said what that link is. The device runs version 1 of a
task; the campaign brings it version 2, and then turns a round with it. About half an hour; with
--quick 1 Mbit/s, 30 ms and 0.6 MB.
"""

import re
import sys
import tempfile
import time
from pathlib import Path

from _table import Options, Row, run

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only
from tests.deployment.delivery import delivering
from tests.deployment.slow_link import Link

_TRUE = (Link(rate_bit_s=64e3, delay_s=0.3, loss=0.05, cut_every_bytes=1_500_000), 9_000_000)
_QUICK = (Link(rate_bit_s=1e6, delay_s=0.03, loss=0.05, cut_every_bytes=200_000), 600_000)
_SENT = re.compile(r"has installed .*: (\d+) bytes sent in (\d+) s")


def measure(options: Options) -> list[Row]:
    """Deliver once."""
    link, size_bytes = _QUICK if options.quick else _TRUE
    fastest_s = size_bytes * 8 / link.rate_bit_s
    with (
        tempfile.TemporaryDirectory(prefix="fv") as name,
        delivering(Path(name), link, size_bytes=size_bytes) as made,
    ):
        began_s = time.monotonic()
        made.site.await_said("has installed", 60 + 5 * fastest_s)
        [(sent, _)] = _SENT.findall(made.site.said)
        took_s, down, bundle = time.monotonic() - began_s, made.link.down_bytes, made.bundle
        lost, cuts, again = made.link.lost_segments, made.link.cuts, made.confirmed_again
        exchanges = len(made.pieces)
        made.site.await_said("waiting for people", 300)
        made.site.answer(lambda text: int("prize" in text))
        ended = made.campaign.wait(300)
        turned = float(ended == 0 and "round 1: done" in made.site.said)
    ratio = down / bundle.size_bytes
    # the quick link is cut more often than its pieces are long
    target, met = (None, None) if options.quick else ("<= 1.25", ratio <= 1.25)
    return [
        Row(what="bundle", ours=bundle.size_bytes / 1e6, unit="MB"),
        Row(what="from start to installed", ours=took_s, unit="s"),
        Row(what="share of the link's rate used", ours=fastest_s / took_s, unit=""),
        Row(what="bytes down the link / bundle", ours=ratio, unit="times", target=target, met=met),
        Row(what="confirmed bytes that came again", ours=float(again), unit="bytes", target="0",
            met=again == 0),
        Row(what="other bytes sent again", ours=float(int(sent) - bundle.size_bytes), unit="bytes"),
        Row(what="exchanges", ours=float(exchanges), unit=""),
        Row(what="connections cut", ours=float(cuts), unit="times"),
        Row(what="segments lost", ours=float(lost), unit=""),
        Row(what="round turned afterwards", ours=turned, unit="", target="1", met=turned == 1.0),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(run("slow_link", str(__doc__).splitlines()[0], measure))
