"""One exchange over a real SuperLink with TLS: coordinator to two light nodes and back.

    python tests/benchmarks/exchange.py [--peers] [--quick] [--json]

Everything runs on loopback and on this machine's cores. The driver is a ServerApp that sends both
devices a hello through `coordinator.app.GridTransport` and waits for both replies; the devices are
`fieldvote edge run` with a real ONNX session. The first exchange of a run is left out of the
percentiles. The peer's figure needs stock SuperNodes and is not measured here: it was 5.9 s.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _table import Options, Row, run

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only
from tests.deployment.fleet import fleet
from tests.deployment.processes import BIN, make_certificates, wait_for

_LONGEST_S = 300.0


def measure(options: Options) -> list[Row]:
    """Run the exchanges."""
    exchanges = 5 if options.quick else 60
    with tempfile.TemporaryDirectory(prefix="fv") as name, fleet(Path(name)) as made:
        make_certificates(made.folder)
        made.start_superlink()
        names = ("one", "two")
        for device in names:
            made.add_device(device, register=False)
        made.register(*names)
        began = time.monotonic()
        for device in names:
            command = [str(BIN / "fieldvote"), "edge", "run", "--config", f"{device}/device.toml"]
            made.start(command, f"{device}.log")
        logs = [made.folder / f"{device}.log" for device in names]
        wait_for(lambda: all("is online" in log.read_text() for log in logs), 60, made.folder)
        online_s = time.monotonic() - began
        made.start_run("out", exchanges=exchanges + 1)
        wait_for(lambda: len(made.rows("out")) == exchanges + 1, _LONGEST_S, made.folder)
        rows = made.rows("out")[1:]
    seconds = np.array([row["seconds"] for row in rows])
    answered = float(np.mean([row["answered"] / row["asked"] for row in rows]))
    p50, p95 = (float(np.quantile(seconds, share)) for share in (0.5, 0.95))
    return [
        Row(what="exchange, p50", ours=p50, unit="s", target="<= 0.6 s", met=p50 <= 0.6),
        Row(what="exchange, p95", ours=p95, unit="s", target="<= 1.5 s", met=p95 <= 1.5),
        Row(what="devices that answered", ours=answered, unit="share", target="1",
            met=answered == 1.0),
        Row(what="from start to online, both devices", ours=online_s, unit="s"),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(run("exchange", str(__doc__).splitlines()[0], measure))
