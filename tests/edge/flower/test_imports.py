"""What a device does not load: a whole exchange without Flower, or anything Flower brings."""

import subprocess
import sys
from pathlib import Path

from edge.pool import Pool
from tests.deployment.processes import wait_for
from tests.doubles.superlink import SuperLinkDouble, listening

HEAVY = (
    "flwr", "google", "grpc", "fastapi", "starlette", "uvicorn", "sqlalchemy", "alembic", "httpx",
    "requests", "pydantic", "rich", "asyncio", "onnx", "numba", "ray",
)  # fmt: skip
_NODE = """
import sys
from pathlib import Path
from threading import Event
import edge.service
from edge.flower.running import on_flower
from edge.settings import FlowerSettings
folder, done = Path(sys.argv[2]), Event()
settings = FlowerSettings(superlink=sys.argv[1], insecure=True, key=str(folder / "node.key"))
with on_flower(settings, folder / "pool.sqlite", bytes, say=print, stop=Event()):
    sys.stdin.readline()
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_a_whole_exchange_loads_nothing_of_flower_and_nothing_it_brings(tmp_path: Path) -> None:
    Pool(tmp_path / "pool.sqlite").close()
    link = SuperLinkDouble()
    with (
        listening(link),
        subprocess.Popen(
            [sys.executable, "-c", _NODE, link.address, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        wait_for(lambda: bool(link.online), 20, tmp_path)
        name = link.send(b"x")
        wait_for(lambda: link.reply_to(name) is not None, 20, tmp_path)
        said, _ = process.communicate("\n", timeout=20)
    loaded = set(said.splitlines()[-1].split())
    assert "cryptography" in loaded
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)
