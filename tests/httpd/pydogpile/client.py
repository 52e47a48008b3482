# SPDX-License-Identifier: Apache-2.0
"""Plain HTTP clients, one and many at once. Standard library only."""
import dataclasses
import http.client
import socket
import threading
import time
import urllib.parse

TIMEOUT_SEC = 60


@dataclasses.dataclass
class Answer:
    status: int  # 0: no answer at all, then body is the reason
    headers: http.client.HTTPMessage
    body: bytes
    latency: float = 0.0  # seconds; never asserted on

    def header(self, name):
        return self.headers.get(name)

    def __repr__(self):
        return (f"<{self.status} {dict(self.headers)} "
                f"{len(self.body)} bytes {self.body[:200]!r}>")


def connect(url):
    """An open connection to the server of url, and the path to ask for."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname, parts.port, timeout=TIMEOUT_SEC)
    connection.connect()
    path = parts.path + ("?" + parts.query if parts.query else "")
    return connection, path


def ask(connection, path, method="GET", headers=None, body=None):
    start = time.monotonic()
    try:
        connection.request(method, path, headers=headers or {}, body=body)
        with connection.getresponse() as response:
            return Answer(response.status, response.headers, response.read(),
                          time.monotonic() - start)
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, http.client.HTTPMessage(), repr(error).encode(),
                      time.monotonic() - start)


def get(url, method="GET", headers=None, body=None):
    """One request on a connection of its own."""
    connection, path = connect(url)
    try:
        return ask(connection, path, method, headers, body)
    finally:
        connection.close()


def raw(port, data, shutdown=False):
    """Sends bytes as they are; returns all that comes until the end."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SEC) as sock:
        sock.sendall(data)
        if shutdown:
            sock.shutdown(socket.SHUT_WR)
        chunks = []
        while True:
            try:
                chunk = sock.recv(65536)
            except ConnectionResetError:
                break
            if not chunk:
                break
            chunks.append(chunk)
    return b"".join(chunks)


class Herd:
    """n clients that ask at the same moment, client i for urls[i % len].

    All connections are open before the first request leaves. start() fires
    and returns; answers() waits for all of them, in order.
    """

    def __init__(self, urls, n=None, headers=None):
        self.urls = [urls[i % len(urls)] for i in range(n or len(urls))]
        self.headers = headers
        self.connections = []
        self._answers = [None] * len(self.urls)
        self._gate = threading.Barrier(len(self.urls) + 1)
        try:
            for url in self.urls:
                self.connections.append(connect(url))
        except OSError:
            self.close()
            raise
        self._threads = [threading.Thread(target=self._run, args=(i,),
                                          daemon=True)
                         for i in range(len(self.urls))]

    def _run(self, i):
        connection, path = self.connections[i]
        self._gate.wait()
        self._answers[i] = ask(connection, path, headers=self.headers)

    def start(self):
        for thread in self._threads:
            thread.start()
        self._gate.wait()
        return self

    def leave(self, i):
        """Client i hangs up without waiting for its answer."""
        connection, _ = self.connections[i]
        connection.sock.shutdown(socket.SHUT_RDWR)

    def answers(self):
        for thread in self._threads:
            thread.join(TIMEOUT_SEC + 5)
        self.close()
        return list(self._answers)

    def close(self):
        for connection, _ in self.connections:
            connection.close()


def herd(urls, n=None, headers=None):
    """The answers of n clients that ask all at once."""
    return Herd(urls, n, headers).start().answers()
