"""An answer that is cut off is no answer, wherever it is cut."""

import http.client
import socket
from threading import Thread

import pytest

from edge.flower.line import Line

BODY = b"x" * 100
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + BODY


def asked(answer: bytes) -> list[tuple[int, str, bytes]]:
    """Return what a line makes of a server that says this and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        line = Line(f"127.0.0.1:{server.getsockname()[1]}", None, 5.0)
        try:
            return line.exchange("/", {"host": "here"}, [b"question"], 5.0)
        finally:
            line.close()
            thread.join()


def test_a_whole_answer_is_returned() -> None:
    assert asked(ANSWER) == [(200, "", BODY)]


@pytest.mark.parametrize("missing", [1, 50, 99, 100, 101, len(ANSWER)])
def test_an_answer_that_is_cut_off_is_none(missing: int) -> None:
    with pytest.raises((http.client.HTTPException, OSError)):
        asked(ANSWER[:-missing])
