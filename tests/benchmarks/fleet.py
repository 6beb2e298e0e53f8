"""Many light nodes at one real SuperLink: how long a survey takes, and what it costs.

    python tests/benchmarks/fleet.py [--quick] [--json]

One hundred devices (ten with --quick), TLS, a key of its own for each. What is real: the SuperLink,
pinned to a core of its own; the coordinator's transport in a run of Flower's; each device's agent,
pool, model session, journal, node key, heartbeat and connection. What is multiplexed: one device is
`fieldvote edge run`, a process as deployed; the others are threads of a few worker processes, since
a hundred processes would measure this machine's memory. All of them and the coordinator share the
cores that the SuperLink leaves. Keys register themselves: the operator's command takes a second or
two for each.

Between exchanges there is a pause, so that each finds the nodes at rest. The first one, which
carries every vote, is reported apart.
"""

import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import numpy as np
from _table import Options, Row, run

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only
from edge.device import opened
from edge.flower.running import on_flower
from edge.settings import EdgeSettings
from edge.stores import POOL_FILE
from fieldvote.errors import SettingsError
from tests.deployment.fleet import Fleet, fleet
from tests.deployment.messages import messages
from tests.deployment.processes import BIN, make_certificates, wait_for

_ITEMS = 60
_WORKERS = 4
_START_S, _LONGEST_S = 240.0, 240.0
_PAUSE_S = 22.0  # a node is at rest 20 s after its last message
_DEADLINE_S = 120.0
_MB = 1024.0


def measure(options: Options) -> list[Row]:
    """Run the exchanges."""
    count, exchanges = (10, 2) if options.quick else (100, 3)
    with tempfile.TemporaryDirectory(prefix="fv") as name, fleet(Path(name)) as made:
        make_certificates(made.folder)
        link = made.start_superlink(registered=False)
        _write_devices(made, count)
        _keep_cores(link.pid, _last_core())
        began = time.monotonic()
        agent = made.start(
            [str(BIN / "fieldvote"), "edge", "run", "--config", "0/device.toml"], "0.log"
        )
        workers = [
            made.start([sys.executable, __file__, "worker", *names], f"worker{place}.log")
            for place, names in enumerate(_shared_out(count))
        ]
        for process in (agent, *workers):
            _keep_cores(process.pid, _other_cores())
        wait_for(lambda: _online(made) >= count, _START_S, made.folder)
        online_s = time.monotonic() - began
        idle = _idle_share(link.pid)
        made.start_run(
            "out",
            exchanges=exchanges,
            devices=count,
            survey=1,
            pause=_PAUSE_S,
            deadline=_DEADLINE_S,
        )
        busy_s = _watch(made, link.pid, exchanges)
        rows = made.rows("out")
        first, later = rows[0], rows[1:]
        seconds = np.array([row["seconds"] for row in later])
        each = np.array([after_s for row in later for after_s in row["each"]])
        answered = float(np.mean([row["answered"] / row["asked"] for row in rows]))
        asked = float(np.mean([row["asked"] for row in rows]))
        return [
            Row(what="devices asked", ours=asked, unit="devices"),
            Row(what="devices that answered", ours=answered, unit="share", target="1",
                met=answered == 1.0),
            Row(what="first survey, every vote in", ours=first["seconds"], unit="s"),
            Row(what="survey, last reply in, median", ours=float(np.median(seconds)), unit="s"),
            Row(what="survey, last reply in, slowest", ours=float(seconds.max()), unit="s"),
            Row(what="a reply, p50", ours=float(np.quantile(each, 0.5)), unit="s"),
            Row(what="a reply, p95", ours=float(np.quantile(each, 0.95)), unit="s"),
            Row(what="replies a second", ours=asked / float(np.median(seconds)), unit="1/s",
                target=">= 4", met=None if options.quick else asked / np.median(seconds) >= 4.0),
            Row(what="SuperLink, CPU in an exchange", ours=100 * busy_s, unit="% of one"),
            Row(what="SuperLink, CPU at rest", ours=100 * idle, unit="% of one"),
            Row(what="SuperLink, peak RSS", ours=_status_mb(link.pid, "VmHWM"), unit="MB"),
            Row(what="a device as a process, RSS", ours=_status_mb(agent.pid, "VmRSS"), unit="MB"),
            Row(what="a device as threads, RSS", unit="MB",
                ours=sum(_status_mb(w.pid, "VmRSS") for w in workers) / (count - 1)),
            Row(what="from start to online, all devices", ours=online_s, unit="s"),
            Row(what="load average", ours=os.getloadavg()[0], unit=""),
        ]  # fmt: skip


def _write_devices(made: Fleet, count: int) -> None:
    """Write devices 0 to count - 1; each has messages, a key and a task of its own."""
    for number in range(count):
        made.add_device(str(number), register=False)
        texts, _ = messages(f"device {number}", _ITEMS)
        (made.folder / str(number) / "items.txt").write_text("\n".join(texts))


def _shared_out(count: int) -> list[list[str]]:
    """Return the names of all devices but the first, by worker."""
    return [[str(n) for n in range(1 + place, count, _WORKERS)] for place in range(_WORKERS)]


def _online(made: Fleet) -> int:
    """Return how many devices have said that they are online."""
    return sum(log.read_text().count("is online") for log in made.folder.glob("*.log"))


def _watch(made: Fleet, pid: int, exchanges: int) -> float:
    """Wait for the exchanges. Return which share of one core the SuperLink used in them."""
    used: list[float] = []
    for number in range(exchanges):
        wait_for(lambda n=number: len(made.rows("out")) > n, _LONGEST_S, made.folder)  # type: ignore[misc]  # waited for at once
        used.append(_cpu_s(pid))
        if number < exchanges - 1:
            time.sleep(_PAUSE_S - 1.0)
            used.append(_cpu_s(pid))
    seconds = [row["seconds"] + 1.0 for row in made.rows("out")[1:]]
    spent = [after - before for before, after in zip(used[1::2], used[2::2], strict=True)]
    return sum(spent) / sum(seconds)


def _idle_share(pid: int, wait_s: float = _PAUSE_S, over_s: float = 5.0) -> float:
    """Return which share of one core the SuperLink uses while nothing is asked."""
    time.sleep(wait_s)
    before = _cpu_s(pid)
    time.sleep(over_s)
    return (_cpu_s(pid) - before) / over_s


def _cpu_s(pid: int) -> float:
    """Return the processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status_mb(pid: int, name: str) -> float:
    """Return a figure of a process's memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / _MB for line in lines if line.startswith(name))


def _last_core() -> set[int]:
    return {max(os.sched_getaffinity(0))}


def _other_cores() -> set[int]:
    """Return the cores the SuperLink leaves; all of them where there is one."""
    return os.sched_getaffinity(0) - _last_core() or _last_core()


def _keep_cores(pid: int, cores: set[int]) -> None:
    """Keep every thread of a process on these cores, and those it starts later."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def work(names: list[str]) -> None:
    """Be several devices at once, until a signal says stop."""
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with ExitStack() as held:
        for name in names:
            settings = EdgeSettings.load(Path(name) / "device.toml")
            if settings.flower is None:
                raise SettingsError(f"{name}: no [flower]")
            device = held.enter_context(opened(settings))
            database = Path(settings.folder) / POOL_FILE
            answer = device.agent.handle
            held.enter_context(on_flower(settings.flower, database, answer, say=_say, stop=Event()))
        stop.wait()
        os._exit(0)  # leaving politely takes each a second, and the SuperLink is ended next


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        work(sys.argv[2:])
    else:
        sys.exit(run("fleet", str(__doc__).splitlines()[0], measure))
