"""A line to a PostgreSQL server that goes dead at the worst moment."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from sqlalchemy import make_url

__all__ = ["Line", "line"]


class Line:
    """A relay of bytes between clients and the server, which can be told when to go dead, once.

    Args:
        trigger: Bytes of a client's at which the line goes dead.
        delivered: Whether the server still gets them, and does what they say; the answer is never seen either way.
    """

    def __init__(self, listener: socket.socket, server: tuple[str, int]) -> None:
        self._listener = listener
        self._server = server
        self.trigger: bytes | None = None
        self.delivered = False
        self.cuts = 0

    def serve(self) -> None:
        """Take clients until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        mute = Event()
        with client, socket.create_connection(self._server) as server, suppress(OSError), _hung_up(server):
            Thread(target=self._answer, args=(server, client, mute), daemon=True).start()
            while sent := client.recv(65536):
                if self.trigger is not None and self.trigger in sent:
                    self.trigger, self.cuts = None, self.cuts + 1
                    if not self.delivered:
                        return
                    mute.set()
                    # The client waits for an answer, so when it is silent the server has all that it sends.
                    client.settimeout(0.3)
                server.sendall(sent)

    def _answer(self, server: socket.socket, client: socket.socket, mute: Event) -> None:
        with suppress(OSError):
            while got := server.recv(65536):
                if not mute.is_set():
                    client.sendall(got)


@contextmanager
def _hung_up(server: socket.socket) -> Iterator[None]:
    """Tell the server in the end: a socket that is only closed stays open for as long as another thread waits for it."""
    try:
        yield
    finally:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


@contextmanager
def line(url: str) -> Iterator[tuple[str, Line]]:
    """Give a URL that leads to the same database over a line that can be cut."""
    real = make_url(url)
    assert real.host is not None
    assert real.port is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Line(listener, (real.host, real.port))
        taking = Thread(target=made.serve, daemon=True)
        taking.start()
        here = real.set(host="127.0.0.1", port=listener.getsockname()[1])
        yield here.render_as_string(hide_password=False), made
        listener.shutdown(socket.SHUT_RDWR)
    taking.join(5)
