"""The guide's deployment over a real SuperLink, on loopback, by the commands the guide prints."""

import json
import re
import subprocess
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deployment.messages import NAME, NUMBER, messages
from tests.deployment.processes import call, environment, free_port, nobody_left, running, wait_for
from tests.deployment.site import Site
from tests.doubles.needles import found_in

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "first-deployment.md"
PLANTED = [NAME, NUMBER]
TEXTS, _ = messages("first", 24)


def blocks(kind: str) -> list[str]:
    """Return the guide's blocks of one kind, in its order."""
    return re.findall(rf"```{kind}\n(.*?)```", GUIDE.read_text("utf-8"), flags=re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who does what the guide says, in an empty folder, on other ports than everybody."""

    folder: Path
    port: int
    node_port: int

    def types(self, command: str, *, answers: str = "") -> str:
        """Run a command of the guide to its end; return what it printed."""
        done = subprocess.run(
            self.meant(command), shell=True, cwd=self.folder, env=environment(self.folder),
            input=answers, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def leaves_open(
        self, command: str, log: str
    ) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Run a command of the guide in a terminal of its own."""
        words = ["/bin/sh", "-c", f"exec {self.meant(command)}"]
        return running(words, self.folder, log)

    def meant(self, text: str) -> str:
        """Return the guide's text with this reader's ports."""
        return text.replace("9092", str(self.port)).replace("9094", str(self.node_port))

    def writes_settings(self, coordinator: str, device: str) -> None:
        """Write the coordinator's file and the first phone's, with the keys of the desk."""
        address = f'address = "127.0.0.1:{self.port}"\n'
        (self.folder / "coordinator.toml").write_text(address + coordinator)
        found = dict(re.findall(r'(\w+) = "(\w+)"', (self.folder / "desk.pub").read_text("utf-8")))
        said = re.sub(
            r'(\w+_key) = "the line from desk.pub"', lambda m: f'{m[1]} = "{found[m[1]]}"', device
        )
        (self.folder / "phone1.toml").write_text(self.meant(said))
        (self.folder / "phone1.txt").write_text("\n".join(TEXTS[::2]))

    def copies_them(self, *, light: bool) -> None:
        """Write the second phone's, with a place in the fleet or without."""
        text = (self.folder / "phone1.toml").read_text("utf-8").replace("phone1", "phone2")
        own, flower, place = text.partition("[flower]")
        (self.folder / "phone2.toml").write_text(own + (flower + place if light else ""))
        (self.folder / "phone2.txt").write_text("\n".join(TEXTS[1::2]))


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.parametrize("second", ["light", pytest.param("stock", marks=pytest.mark.nightly)])
def test_six_commands_of_the_guide_lead_to_a_round_and_one_more_to_a_second_device(
    tmp_path: Path, second: str
) -> None:
    reader, site = Reader(tmp_path, free_port(), free_port()), Site(tmp_path)
    made, up, label, look, more, stock = (block.splitlines() for block in blocks("sh"))
    assert len([*made, *up, *label]) <= 6
    with nobody_left(tmp_path), ExitStack() as stack:
        for command in made:
            reader.types(command)
        reader.writes_settings(*blocks("toml"))
        serve, phone = up
        serving = stack.enter_context(reader.leaves_open(serve, "coordinator.log"))
        stack.enter_context(reader.leaves_open(phone, "phone1.log"))
        site.await_said("round 1: waiting for people", 90)
        [answer] = label
        shown = reader.types(answer, answers="0\n")
        assert "1 answer given" in shown
        site.await_said("round 1: done")
        assert all(reader.types(command) for command in look)

        # the second phone is there before the third round
        reader.copies_them(light=second == "light")
        [phone] = more
        stack.enter_context(reader.leaves_open(phone, "phone2.log"))
        if second == "stock":
            wait_for((tmp_path / "phone2" / "agent.sock").is_socket, 30, tmp_path)
            *quiet, node = stock
            assert all(line.startswith("export FLWR_") for line in quiet)
            stack.enter_context(reader.leaves_open(node, "node2.log"))
        link = tmp_path / "state" / "superlink.log"
        wait_for(lambda: link.read_text("utf-8").count("Activated node") == 2, 60, tmp_path)
        site.await_said("round 2: waiting for people")
        shown += reader.types(answer, answers="0\n1\n")
        site.await_said("round 3: waiting for people", 120)
        shown += reader.types(answer, answers="0\n1\n0\n1\n")
        assert "4 answers given" in shown
        assert not any(secret in shown for secret in PLANTED)
        wait_for(lambda: serving.poll() is not None, 120, tmp_path)
        assert serving.returncode == 0, site.said
        assert "round 3: done" in site.said
        assert json.loads(call(tmp_path, "coordinator", "status", "--json"))["labels"] == 7
        shipped = 0
        for number in (1, 2):
            words = ("edge", "ledger", "--config", f"phone{number}.toml", "--json")
            shipped += sum(row["candidates"] for row in json.loads(call(tmp_path, *words)))
        assert shipped == 7  # how many from which phone is partly drawn by lot
    # the coordinator's files, Flower's own among them, and what every program has printed
    outside = [*(tmp_path / "state").rglob("*"), *tmp_path.glob("*.log")]
    for path in outside:
        assert not (path.is_file() and found_in(PLANTED, path.read_bytes())), path
    assert not list(tmp_path.rglob("agent.sock"))
