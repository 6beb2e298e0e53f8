"""Flower's SuperLink and run around a campaign: started, watched, started again, ended.

A run ends with its SuperLink and cannot be resumed (its late replies are refused). So everything
that lasts is in the campaign's store, and whatever ends early is followed by a new run.
"""

import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from urllib.error import URLError
from urllib.request import urlopen

from coordinator.processes import end_all, stopping
from coordinator.service import LOG_FILE, CoordinatorSettings, check_task, is_finished
from coordinator.site import LINK, Site, program
from coordinator.supervision import supervise
from fieldvote.errors import UnavailableError
from fieldvote.locks import lock_file
from fieldvote.task import Task

_START_S = 60.0
_COMMAND_S = 8.0
_LOOK_S = 0.2
_RUN_LOG = "run.log"
_STARTED_RUN = re.compile(r"Successfully started run (\d+)")


def serve(config: Path, say: Callable[[str], None]) -> None:
    """Run a campaign over Flower until it is finished or a signal comes.

    Raises:
        InputError: the settings, the task or a file they name cannot be used.
        UnavailableError: another coordinator serves this folder, or nothing stays up.
    """
    settings = CoordinatorSettings.load(config)
    settings.flower.check_files()
    task = Task.load(Path(settings.task))
    site = Site.at(config.resolve(), settings)
    refusal = f"a coordinator is serving {site.folder}; stop it first"
    with stopping() as stop, lock_file(site.folder / "serve.lock", refusal):
        check_task(settings, task)
        site.prepare()
        if left := end_all(site.mark):
            say(f"ended {left} programs a coordinator before this one had left behind")
        if not settings.flower.join and _is_taken(site.address):
            # its answers would be taken for our SuperLink's, and our run given to it
            raise UnavailableError(
                f"something listens at {site.address} already: set another address, or flower.join"
                " if it is a SuperLink this campaign should share"
            )
        if settings.flower.authenticate_devices:
            say(f"each device is registered once: {site.registration}")
            if settings.enrolment:
                say("their public keys: 'fieldvote keys nodes', where the owner's keys are")
        supervise(
            lambda: _attempt(site, say, stop),
            finished=lambda: is_finished(settings),
            stop=stop,
            say=say,
            now_s=time.monotonic,
        )
        say("stopped" if stop.is_set() else "the campaign is finished")


def _attempt(site: Site, say: Callable[[str], None], stop: Event) -> str:
    """Drive the campaign in one run of Flower's. Return why it ended; leave nothing running."""
    with _Attempt(site, say) as attempt:
        if site.settings.flower.join:
            _stop_run(site)
            say(f"joining the SuperLink at {site.address}")
        else:
            link = attempt.start_superlink()
            if reason := _await_health(site, link, stop):
                return reason
            say(f"devices reach the campaign at {site.settings.address}")
        attempt.submit()
        while not stop.is_set():
            if attempt.repeat() and is_finished(site.settings):
                return "the campaign is finished"
            if reason := attempt.over():
                return reason
            stop.wait(_LOOK_S)
        return "stopped"


class _Attempt:
    """What was started for one run; all of it is ended with it."""

    def __init__(self, site: Site, say: Callable[[str], None]) -> None:
        """Start nothing yet."""
        self._site = site
        self._say = say
        self._link: subprocess.Popen[bytes] | None = None
        self._run: subprocess.Popen[bytes] | None = None
        self._heard = 0

    def __enter__(self) -> "_Attempt":
        return self

    def __exit__(self, *_: object) -> None:
        if self._site.settings.flower.join and not is_finished(self._site.settings):
            _stop_run(self._site)
        end_all(self._site.mark, [p for p in (self._link, self._run) if p is not None])
        self.repeat()

    def start_superlink(self) -> subprocess.Popen[bytes]:
        """Start the SuperLink, in a session of its own, so that Ctrl-C reaches us and not it."""
        with (self._site.folder / "superlink.log").open("ab") as log:
            self._link = subprocess.Popen(  # noqa: S603  # our own command line
                self._site.superlink_command(),
                stdout=log,
                stderr=log,
                env=self._site.environment,
                start_new_session=True,
            )
        return self._link

    def submit(self) -> None:
        """Submit a run, and keep what Flower says of it."""
        site = self._site
        said = site.folder / LOG_FILE
        self._heard = said.stat().st_size if said.is_file() else 0
        with (site.folder / _RUN_LOG).open("ab") as log:
            self._run = subprocess.Popen(  # noqa: S603  # our own command line
                [
                    *(program("flwr"), "run", str(site.app), LINK, "--stream"),
                    *("--run-config", f'config="{site.config}"'),
                ],
                stdout=log,
                stderr=log,
                env=site.environment,
                start_new_session=True,
            )

    def over(self) -> str:
        """Return why the attempt is over; an empty string while it is not."""
        if self._link is not None and self._link.poll() is not None:
            return f"the SuperLink ended: see {self._site.folder / 'superlink.log'}"
        if self._run is not None and self._run.poll() is not None:
            return f"the run ended early: see {self._site.folder / _RUN_LOG}"
        return ""

    def repeat(self) -> bool:
        """Say what the campaign has said since the last look. Return whether there was anything.

        It says it in a file of its own: Flower's log stream may stall, or end with the SuperLink.
        """
        try:
            with (self._site.folder / LOG_FILE).open("rb") as log:
                log.seek(self._heard)
                whole, line_end, _ = log.read().rpartition(b"\n")
        except FileNotFoundError:
            return False
        self._heard += len(whole) + len(line_end)
        for line in whole.decode("utf-8", errors="replace").splitlines():
            self._say(line)
        return bool(line_end)


def _is_taken(address: str) -> bool:
    """Return whether somebody answers at an address."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1.0):
            return True
    except (OSError, OverflowError):
        return False


def _await_health(site: Site, link: subprocess.Popen[bytes], stop: Event) -> str:
    """Return an empty string once the SuperLink answers, or why it does not."""
    log = site.folder / "superlink.log"
    ca = site.settings.flower.ca
    trust = ssl.create_default_context(cafile=ca) if ca else None
    url = f"{'https' if ca else 'http'}://{site.address}/health"
    end = time.monotonic() + _START_S
    while time.monotonic() < end and not stop.is_set():
        if link.poll() is not None:
            return f"the SuperLink did not start: see {log}"
        try:
            with urlopen(url, timeout=2.0, context=trust):  # noqa: S310  # the operator's address
                return ""
        except (URLError, OSError):
            stop.wait(_LOOK_S)
    return "stopped" if stop.is_set() else f"no answer from {site.address} in time: see {log}"


def _stop_run(site: Site) -> None:
    """Stop the run we submitted last, if it still runs; nobody else would."""
    place = site.folder / _RUN_LOG
    started = _STARTED_RUN.findall(place.read_text("utf-8", "replace")) if place.is_file() else []
    if not started:
        return
    with place.open("ab") as log:
        try:
            subprocess.run(  # noqa: S603  # our own command line
                [program("flwr"), "stop", started[-1], LINK],
                stdout=log,
                stderr=log,
                env=site.environment,
                timeout=_COMMAND_S,
                check=False,  # it may have ended by itself
            )
        except subprocess.TimeoutExpired:
            return
