"""What a device agent with its transport weighs: memory, and time from start to first answer.

    python tests/benchmarks/footprint.py [--peers] [--quick] [--json]

The agent is `fieldvote edge run` on a text task with a real ONNX session, joined to a SuperLink
over TLS (the double in this process, which keeps Flower's rules). RSS is read from the kernel after
twenty exchanges. What is not ours in it is measured in processes of its own: ONNX Runtime with the
same model, and the vocabulary that redaction asks. The first train step is made by a process that
begins with nothing: it imports what an agent does, reads and checks a compiled task, loads its two
graphs, and steps; the time runs from the process's own start, as the kernel noted it. Beside it
stands processor time, which busy neighbours do not lengthen as much, and what of it a process takes
that imports NumPy and ONNX Runtime and does nothing.
"""

import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _table import Options, Row, run

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only
from coordinator.models.compile_cli import compile_folder
from fieldvote.records import HelloRequest, SurveyRequest, encode
from tests.deployment.fleet import Fleet, fleet
from tests.deployment.processes import BIN, make_certificates, wait_for
from tests.doubles.superlink import SuperLinkDouble, listening

_RSS = """
import sys
def rss():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
"""
_MODEL = (
    _RSS
    + """
import numpy
before = rss()
from edge.scorer import Scorer
from edge.install import installed_in
from pathlib import Path
task = installed_in(Path(sys.argv[1])).task
names = (task.names.input, task.names.probabilities, task.names.embedding)
tasks = rss()
scorer = Scorer(task.model, names=names)
scorer.score(numpy.zeros((8, scorer.width), dtype=numpy.float32))
print(rss() - tasks)
"""
)
_WORDS = (
    _RSS
    + """
import edge.device
from edge.install import installed_in
from edge.redaction import redaction_of
from pathlib import Path
task = installed_in(Path(sys.argv[1])).task
before = rss()
kept = redaction_of(task)
print(rss() - before)
"""
)


_STEP = """
import os, sys, time
from pathlib import Path
import edge.agent
import numpy
from edge.learning.network import Network
from fieldvote.task import Task
task = Task.load(Path(sys.argv[1]))
network = Network(task)
rows, classes = 32, len(task.classes)
network.runner(network.first).step({
    "input": numpy.ones((rows, task.input.width), numpy.float32),
    "target": numpy.full((rows, classes), 1 / classes, numpy.float32),
    "weight": numpy.ones(rows, numpy.float32),
}, rate=0.1)
started = int(open("/proc/self/stat").read().rpartition(")")[2].split()[19])
print(time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK"))
print(time.process_time())
"""
_FLOOR = "import numpy, onnxruntime, time\nprint(time.process_time())"
_SURVEY = SurveyRequest(
    round=0, strategy="fleet", offers=1, random_offers=1, first=True, model=None
)
_FIRST_STEP_S = 0.4


def measure(options: Options) -> list[Row]:
    """Weigh one agent."""
    with tempfile.TemporaryDirectory(prefix="fv") as name, fleet(Path(name)) as made:
        make_certificates(made.folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.folder / "server.pem", made.folder / "server.key")
        link = SuperLinkDouble(port=made.port)
        with listening(link, context):
            exchanges, starts = (5, 1) if options.quick else (20, 5)
            return _weigh(made, link, exchanges=exchanges, starts=starts)


def _weigh(made: Fleet, link: SuperLinkDouble, *, exchanges: int, starts: int) -> list[Row]:
    """Start an agent, exchange, and read what the kernel says of it."""
    made.add_device("one", register=False)
    command = [str(BIN / "fieldvote"), "edge", "run", "--config", "one/device.toml"]
    made.start([*command], "warm.log")
    wait_for(lambda: bool(link.online), 60, made.folder)
    made.stop(made.started[-1])
    began = time.monotonic()
    process = made.start(command, "one.log")
    wait_for(lambda: bool(link.online), 60, made.folder)
    first_s = 0.0
    for number in range(exchanges):
        name = link.send(encode(HelloRequest(campaign=f"c{number}")))
        while link.reply_to(name) is None:
            time.sleep(0.005)
        first_s = first_s or time.monotonic() - began
    rss_mb, private_mb = _kernel_says(process.pid)
    name = link.send(encode(_SURVEY))
    wait_for(lambda: link.reply_to(name) is not None, 60, made.folder)
    surveyed_mb, _ = _kernel_says(process.pid)
    [model_mb], [words_mb] = (_alone(made, script) for script in (_MODEL, _WORDS))
    bare_mb = rss_mb - model_mb
    compile_folder(made.folder / "one" / "task")
    # the fastest of a few: whatever else the machine does only ever adds
    runs = [(*_alone(made, _STEP), *_alone(made, _FLOOR)) for _ in range(starts)]
    step_s, step_cpu_s, floor_s = (min(column) for column in zip(*runs, strict=True))
    return [
        Row(what="agent, model and transport, RSS", ours=rss_mb, unit="MB", target="<= 90 MB",
            met=rss_mb <= 90),
        Row(what="  of it private", ours=private_mb, unit="MB"),
        Row(what="  of it ONNX Runtime and the model", ours=model_mb, unit="MB"),
        Row(what="  of it the redaction vocabulary", ours=words_mb, unit="MB"),
        Row(what="agent and transport without the model, RSS", ours=bare_mb, unit="MB",
            target="<= 75 MB", met=bare_mb <= 75),
        Row(what="agent, model and transport after a survey, RSS", ours=surveyed_mb, unit="MB"),
        Row(what="from start to first exchange", ours=first_s, unit="s"),
        Row(what="from start to first train step", ours=step_s, unit="s",
            target=f"<= {_FIRST_STEP_S} s", met=step_s <= _FIRST_STEP_S),
        Row(what="  of it processor time", ours=step_cpu_s, unit="s",
            target=f"<= {_FIRST_STEP_S} s", met=step_cpu_s <= _FIRST_STEP_S),
        Row(what="  of that NumPy and ONNX Runtime alone", ours=floor_s, unit="s"),
    ]  # fmt: skip


def _kernel_says(pid: int) -> tuple[float, float]:
    """Return resident and private memory of a process, in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return found["Rss"], found["Private_Clean"] + found["Private_Dirty"]


def _alone(made: Fleet, script: str) -> list[float]:
    """Return the numbers a script prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(made.folder / "one" / "task")],
        env=made.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [float(line) for line in done.stdout.split()]


if __name__ == "__main__":
    sys.exit(run("footprint", str(__doc__).splitlines()[0], measure))
