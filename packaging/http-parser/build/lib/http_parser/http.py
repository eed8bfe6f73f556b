"""``HttpParser``: reads one HTTP response, fed in pieces.

Only what pymesos 0.3.15 asks for (``pymesos/process.py``); the parsing itself is h11's.
"""
from __future__ import annotations

import h11


class HttpParser:
    """Parses the response to one request.

    ``execute`` never raises: a fault is kept, and shows in ``get_errno`` and in a result that is
    shorter than what was fed, as in the original.
    """

    def __init__(self) -> None:
        self._connection = h11.Connection(our_role=h11.CLIENT)
        # h11 reads a response only after a request; which one does not matter for POST.
        self._connection.send(h11.Request(method="POST", target="/", headers=[("host", "-")]))
        self._connection.send(h11.EndOfMessage())
        self._response: h11.Response | None = None
        self._body: list[bytes] = []
        self._complete = False
        self._error: h11.RemoteProtocolError | None = None

    def execute(self, data: bytes, length: int) -> int:
        """Take ``length`` bytes of ``data``; the number of bytes parsed, 0 after a fault."""
        if self._error is not None:
            return 0
        try:
            self._connection.receive_data(bytes(data[:length]))
            self._drain()
        except h11.RemoteProtocolError as error:
            self._error = error
            return 0
        return length

    def _drain(self) -> None:
        while not self._complete:
            event = self._connection.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.Response):
                self._response = event
            elif isinstance(event, h11.Data):
                self._body.append(bytes(event.data))
            elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
                self._complete = True

    def is_headers_complete(self) -> bool:
        """Whether the status line and all headers have been read."""
        return self._response is not None

    def get_status_code(self) -> int:
        """The status code; 0 before it is known."""
        return self._response.status_code if self._response is not None else 0

    def get_headers(self) -> dict[str, str]:
        """Header names (lower case) to values; empty before they are known."""
        if self._response is None:
            return {}
        return {name.decode("latin-1"): value.decode("latin-1")
                for name, value in self._response.headers}

    def is_chunked(self) -> bool:
        """Whether the body comes in chunks, as every Mesos event stream does."""
        return "chunked" in self.get_headers().get("transfer-encoding", "").lower()

    def is_partial_body(self) -> bool:
        """Whether ``recv_body`` has something to give."""
        return bool(self._body)

    def recv_body(self) -> bytes:
        """The body read since the last call."""
        body, self._body = b"".join(self._body), []
        return body

    def is_message_complete(self) -> bool:
        """Whether the body has ended."""
        return self._complete

    def get_errno(self) -> int:
        """0, or 1 after a fault."""
        return 0 if self._error is None else 1
