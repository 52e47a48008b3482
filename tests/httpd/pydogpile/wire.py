# SPDX-License-Identifier: Apache-2.0
"""One connection whose requests and answers are told apart: several requests
may be under way, the client may leave between them, or read nothing."""
import http.client
import io
import socket
import ssl
import struct
import urllib.parse

from .client import TIMEOUT_SEC, Answer


class _Unclosed(io.BufferedReader):
    """What http.client reads from; further answers come from it too."""

    def close(self):
        pass


class _Source:
    def __init__(self, sock):
        self.reader = _Unclosed(socket.SocketIO(sock, "r"))

    def makefile(self, _mode):
        return self.reader


def _insecure():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Wire:
    """Connected to a port of this host; `receive` bounds what the kernel
    takes for a client that doesn't read."""

    def __init__(self, port, tls=False, receive=None):
        self.sock = socket.socket()
        self.sock.settimeout(TIMEOUT_SEC)
        if receive:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.sock.connect(("127.0.0.1", port))
        if tls:
            self.sock = _insecure().wrap_socket(self.sock)
        self._source = _Source(self.sock)
        self._methods = []

    def ask(self, *paths, method="GET", version="1.1", **headers):
        """Sends a request for each path, all at once."""
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n"
                        for name, value in headers.items())
        self.sock.sendall("".join(
            f"{method} {urllib.parse.quote(path, safe='/?&=,:%+')} "
            f"HTTP/{version}\r\nHost: localhost\r\n{lines}\r\n"
            for path in paths).encode())
        self._methods += [method] * len(paths)
        return self

    def answer(self):
        """The next one; status 0 where the connection ended instead."""
        try:
            response = http.client.HTTPResponse(
                self._source, method=self._methods.pop(0))
            response.begin()
            return Answer(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, http.client.HTTPMessage(), repr(error).encode())

    def wait_readable(self):
        """Until something has come, which stays unread."""
        assert self.sock.recv(1, socket.MSG_PEEK)

    def is_ended(self):
        """Waits for something to come; whether it is the end."""
        try:
            return self._source.reader.read(1) == b""
        except ConnectionResetError:
            return True

    def half_close(self):
        """Won't send any more, and still wants its answers."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """Gone, as if the machine had crashed."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        if self.sock is not None:
            self._source.reader.detach()
            self.sock.close()
            self.sock = None


class Dial:
    """Makes connections, and closes those that are left in the end."""

    def __init__(self):
        self.wires = []

    def __call__(self, port, tls=False, receive=None):
        self.wires.append(Wire(port, tls, receive))
        return self.wires[-1]

    def crowd(self, n, port, path, **options):
        """n connections, on each of which the path is asked."""
        return [self(port).ask(path, **options) for _ in range(n)]

    def close(self):
        for wire in self.wires:
            wire.close()
