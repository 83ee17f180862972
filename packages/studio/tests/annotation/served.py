"""A session behind a server that runs in this process, and the WebSocket of a page."""

import json
import threading
from contextlib import ExitStack

import httpx
import numpy as np
from websockets.sync.client import connect

from aotlab_studio.server import app as web
from aotlab_testing.processes import WAIT_SECONDS

TOKEN = "secret"


class Served:
    """A session behind a running server."""

    def __init__(self, session, app=None, *, port=0, token=TOKEN):
        self.session, self.sockets = session, ExitStack()
        self.server = web.Server(
            app or web.build_app(lambda _: session), web.bind_socket("127.0.0.1", port), token=token
        )
        self.address = self.server.address
        self.host = self.address.removeprefix("http://")
        self.url = self.server.url
        self.cookie = f"aotlab_{self.host.split(':')[1]}={token}"
        self.thread = threading.Thread(target=self.server.run_on_socket, daemon=True)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            self.thread.join(0.02)

    def get(self, path, method="GET", *, cookie=True, content=None, **headers):
        """Send a request, by default with the cookie of a browser; return its answer."""
        defaults = {"cookie": self.cookie} if cookie else {}
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        # reading the list of certificates takes 40 ms; an answer takes more than httpx's 5 s on a busy machine
        options = {"headers": defaults | named, "content": content, "verify": False, "timeout": WAIT_SECONDS}
        return httpx.request(method, self.address + path, **options)

    def post(self, path, content):
        """Send bytes, or a value as JSON, as a page does; return the answer."""
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.get(path, "POST", origin=self.address, content=content)

    def open(self, path="socket", **headers):
        """Open the WebSocket of a page."""
        defaults = {"Cookie": self.cookie, "Origin": self.address} | headers
        extra = {key: value for key, value in defaults.items() if value and key != "Origin"}
        return PageSocket(
            self.sockets.enter_context(
                connect(
                    f"ws://{self.host}/{path}",
                    origin=defaults["Origin"] or None,
                    additional_headers=extra,
                    proxy=None,
                    open_timeout=WAIT_SECONDS,
                    ping_interval=None,  # the server's thread may wait for the test
                    max_queue=None,  # otherwise it ends only after 10 s if messages are left unread
                )
            )
        )

    def close(self):
        self.server.should_exit = True
        self.thread.join(WAIT_SECONDS)
        self.sockets.close()
        self.session.close()


class PageSocket:
    """A page's side of the WebSocket."""

    def __init__(self, socket):
        self.socket = socket
        self.events = []
        self.count = 0

    def do(self, action, **values):
        self.count += 1
        return self.send_text(json.dumps({"id": self.count, "do": action, **values}))

    def send_text(self, text):
        self.socket.send(text)
        while True:
            answer = json.loads(self.socket.recv(timeout=WAIT_SECONDS))
            if "event" not in answer:
                return answer
            self.events.append(answer)

    def wait_event(self, wanted):
        while not (self.events and wanted(self.events[-1])):
            answer = json.loads(self.socket.recv(timeout=WAIT_SECONDS))
            if "event" in answer:
                self.events.append(answer)


def decode_labels(content):
    """Return the H×W uint16 ids that `encode_labels` encoded."""
    height, width, count = (int(value) for value in np.frombuffer(content, "<u4", 3))
    lengths = np.frombuffer(content, "<u4", count, 12)
    ids = np.frombuffer(content, "<u2", count, 12 + 4 * count)
    return np.repeat(ids, lengths).reshape(height, width)
