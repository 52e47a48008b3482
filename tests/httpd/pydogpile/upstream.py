# SPDX-License-Identifier: Apache-2.0
"""A scripted WMS: counts, remembers, waits at a barrier, answers as told.

Without a script it renders pydogpile.picture for any GetMap. A script is a
queue of answers, each used once, or `always`, used for the rest:

    upstream.script(status(503), cut_body())
    upstream.always = redirect("/elsewhere")

hold() makes every request wait until release(). A request that is held
longer than its deadline is answered 504, so a failing test ends.
"""
import contextlib
import dataclasses
import http.server
import os
import socket
import socketserver
import struct
import threading
import time
import urllib.parse

from . import picture
from .wait import DEADLINE_SEC, until

HELD_SEC = 60
CHUNK = 1000  # bytes
XML = "application/vnd.ogc.se_xml"


@dataclasses.dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict     # names in upper case, last value wins
    headers: dict   # names in lower case
    target: str     # as it came
    time: float
    body: bytes = b""
    client: tuple = ()  # its address: equal for those of one connection

    def bbox(self):
        """minx, miny, maxx, maxy whatever the version's axis order."""
        edges = [float(edge) for edge in self.query["BBOX"].split(",")]
        if self.query.get("CRS", "").upper() == "EPSG:4326":
            edges = [edges[1], edges[0], edges[3], edges[2]]
        return tuple(edges)

    def pixels(self):
        return int(self.query["WIDTH"]), int(self.query["HEIGHT"])


@dataclasses.dataclass
class Answer:
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    cut: int = None     # send so many bytes of the body, then hang up
    drop: bool = False  # hang up without a byte
    chunked: bool = False  # in chunks, without a Content-Length
    reset: bool = False    # after that, as if the machine had crashed


def render(request, grow=0, headers=None):
    """The picture that was asked for, `grow` pixels too large."""
    width, height = request.pixels()
    media_type = request.query.get("FORMAT", "image/png").split(";")[0]
    image = picture.render(request.query.get("LAYERS", ""), request.bbox(),
                           width + grow, height + grow)
    return Answer(200, {"Content-Type": media_type, **(headers or {})},
                  picture.encode(image, media_type))


def rendered(**headers):
    """As without a script, with more headers (Cache_Control="no-store")."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: render(request, headers=named)


def status(code, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(code, {"Content-Type": "text/plain", **named}, b"broken\n")


def redirect(where, code=302):
    return Answer(code, {"Location": where})


def service_exception(text="no such layer", code=200):
    return Answer(code, {"Content-Type": XML}, (
        '<?xml version="1.0"?><ServiceExceptionReport version="1.1.1">'
        f"<ServiceException>{text}</ServiceException>"
        "</ServiceExceptionReport>").encode())


def garbage(media_type="image/png"):
    return Answer(200, {"Content-Type": media_type}, b"\x89PNG\r\n" * 100)


def wrong_size(request):
    return render(request, grow=1)


def cut_body(keep=100):
    """The right picture, of which only `keep` bytes arrive."""
    def answer(request):
        whole = render(request)
        whole.cut = keep
        return whole
    return answer


def dropped():
    return Answer(drop=True)


def reset():
    """The connection breaks instead of being closed."""
    return Answer(drop=True, reset=True)


class Fleeting:
    """Draws one picture a connection; closes it when the next request
    comes."""

    def __init__(self):
        self.served = set()
        self.closed = 0

    def __call__(self, request):
        if request.client in self.served:
            self.closed += 1
            return dropped()
        self.served.add(request.client)
        return render(request)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        upstream = self.server.upstream
        answer = upstream.answer_to(self._request())
        try:
            self._send(answer)
        except OSError:
            self.close_connection = True

    do_HEAD = do_POST = do_GET

    def _request(self):
        parts = urllib.parse.urlsplit(self.path)
        query = {name.upper(): value for name, value in
                 urllib.parse.parse_qsl(parts.query, keep_blank_values=True)}
        headers = {name.lower(): ", ".join(self.headers.get_all(name))
                   for name in self.headers}
        length = int(headers.get("content-length", 0))
        return Request(self.command, parts.path, query, headers, self.path,
                       time.monotonic(), self.rfile.read(length),
                       self.client_address)

    def _send(self, answer):
        self.close_connection |= answer.drop or answer.cut is not None
        if not answer.drop:
            self._send_head(answer)
            if self.command != "HEAD":
                self._send_body(answer, answer.body[:answer.cut])
        if answer.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

    def _send_head(self, answer):
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()

    def _send_body(self, answer, body):
        if not answer.chunked:
            self.wfile.write(body)
            return
        for at in range(0, len(body), CHUNK):
            part = body[at:at + CHUNK]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        if answer.cut is None:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, *_):
        pass  # a client that hung up


class Upstream:
    """Listens on `address`, in the network of place()."""

    def __init__(self, address="127.0.0.1", place=contextlib.nullcontext,
                 port=0):
        self.place = place
        self.always = None
        self.late = 0  # requests that were held beyond their deadline
        self._requests = []
        self._script = []
        self._held = []  # those at the barrier, first come first
        self._open = True
        self._changed = threading.Condition()
        with place():
            self._server = _Server((address, port), _Handler)
        self._server.upstream = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def url(self, path=""):
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def requests(self):
        with self._changed:
            return list(self._requests)

    @property
    def count(self):
        return len(self.requests)

    def forget(self):
        """Starts counting again."""
        with self._changed:
            self._requests.clear()

    def reset(self):
        """Forgets everything, the script too, and lets go."""
        self.release()
        with self._changed:
            self._requests.clear()
            self._script.clear()
        self.always = None

    def script(self, *answers):
        with self._changed:
            self._script.extend(answers)

    def hold(self):
        with self._changed:
            self._open = False

    def release(self):
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def release_first(self):
        """Lets go only the one that waits longest."""
        with self._changed:
            self._held.pop(0)
            self._changed.notify_all()

    @property
    def held(self):
        with self._changed:
            return len(self._held)

    def wait_held(self, n=1, deadline=DEADLINE_SEC):
        """Until n requests are waiting at the barrier."""
        until(lambda: self.held >= n,
              lambda: f"{n} requests held, there are {self.held}", deadline)

    def answer_to(self, request):
        """Called in the thread of a connection."""
        with self._changed:
            self._requests.append(request)
            answer = self._script.pop(0) if self._script else self.always
            self._held.append(request)
            opened = self._changed.wait_for(
                lambda: self._open or request not in self._held, HELD_SEC)
            if request in self._held:
                self._held.remove(request)
            self.late += not opened
        if not opened:
            return status(504)
        if answer is None:
            answer = render if "BBOX" in request.query else status(400)
        return answer(request) if callable(answer) else answer

    def stop(self):
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
