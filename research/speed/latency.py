"""Latency of the studio for frames, strokes and boxes, and its share of the tracker's speed.

``python -m research.speed.latency VIDEO``, with the options of a tracker.
"""

from __future__ import annotations

import http.client
import json
import secrets
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import click
import numpy as np

from aotlab.engine.tracking.interfaces import VideoTracker
from aotlab.engine.tracking.options import TrackerOptions
from aotlab.sdk import load_segmenter
from aotlab.tools.cli.command import command
from aotlab.tools.cli.options import print_settings, settings, tracker_options
from aotlab_studio.annotate import open_session
from aotlab_studio.document import editing
from aotlab_studio.server.app import Server, bind_socket, build_app
from aotlab_studio.session.actions import Track
from aotlab_studio.session.prompting import Prompter
from aotlab_studio.session.session import Session
from aotlab_studio.tracking.models import TrackerLoader

REPEATS = 40
FRAMES_PER_ROUND = 10
ROUNDS = 3


def report(name: str, values: Sequence[float], unit: str) -> None:
    """Print the median and the 90th percentile of measurements."""
    median, high = np.quantile(values, (0.5, 0.9))
    print(f"{name:45} median {median:8.2f} {unit:2}  high {high:8.2f} {unit}")


def measure(session: Session, server: Server, token: str) -> None:
    """Print the milliseconds from request to answer, and the speed of tracking while a page follows it.

    Args:
        session: session of a video; all changes are undone at the end.
        server: its server on a free port, which is started and stopped here.
        token: token of the server.
    """
    thread = threading.Thread(target=server.run_on_socket, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    host = server.address.removeprefix("http://")
    cookie = f"aotlab_{host.rpartition(':')[2]}={token}"
    get = _make_get(http.client.HTTPConnection(host), cookie)
    with _connect(server, cookie) as socket:
        _measure_actions(session, get, _make_call(socket))
    add_first_mask(session)
    with _connect(server, cookie) as socket:
        follower = threading.Thread(target=_follow, args=(socket, get), daemon=True)
        follower.start()
        report("tracking, share of the tracker's own speed", measure_tracking(session), "")
    follower.join()
    while session.document.undo() is not None:
        pass
    server.should_exit = True
    thread.join()


def _connect(server: Server, cookie: str) -> Any:
    """Return a WebSocket to the server, as the page opens it."""
    from websockets.sync.client import connect

    address: Any = server.address
    return connect(
        f"{address.replace('http', 'ws', 1)}/socket",
        origin=address,
        additional_headers={"Cookie": cookie},
        proxy=None,
        max_size=None,
        ping_interval=None,
    )


def _follow(socket: Any, get: Callable[[str], bytes]) -> None:
    """Fetch the newest tracked frame and its masks repeatedly, as a page that follows the tracking."""
    from websockets.exceptions import ConnectionClosed

    try:
        while True:
            frame = None
            with suppress(TimeoutError):
                while True:
                    event = json.loads(socket.recv(timeout=None if frame is None else 0))
                    if event.get("event") == "job" and event["job"]["status"] == "running" and event["job"]["done"]:
                        frame = event["job"]["frame"]
            get(f"/frame/{frame}")
            get(f"/labels/{frame}")
    except ConnectionClosed:
        return


def _measure_actions(session: Session, get: Callable[[str], bytes], call: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    height, width = session.document.frames.size
    frames = [int(index) for index in rng.integers(0, session.document.frames.count, REPEATS)]
    number = call("add_object")["object_id"]
    points = np.cumsum(rng.normal(0, 3, (60, 2)), 0) + np.array([width, height]) / 2

    def seek(index: int) -> Any:
        get(f"/frame/{index}")
        get(f"/labels/{index}")

    painted: set[int] = set()

    def stroke(index: int) -> None:
        erase = index in painted  # a frame that comes again; a stroke must change pixels
        painted.symmetric_difference_update({index})
        call(
            "paint",
            frame=index,
            object_id=number,
            points=np.roll(points, index, 1).tolist(),
            radius=12 + index % 7,
            erase=erase,
        )

    def box(index: int) -> None:
        call("segment", frame=index, object_id=number, box=[width / 3, height / 3, width / 4, height / 4])

    _measure_action("an image near a frame", lambda index: get(f"/frame/{index}?near=1"), frames[: REPEATS // 4])
    _measure_action("seek, first time", seek, frames)
    _measure_action("seek again", seek, frames)
    _measure_action("stroke", stroke, frames)
    _measure_action("box", box, frames[:10])
    while call("undo") is not None:
        pass


def measure_tracking(session: Session) -> list[float]:
    """Return the speed of a job over the tracker's own on the same frames, measured in turn.

    The first frame of the session has masks.
    """
    ratios, tracker = [], session.runner.make_tracker().tracker
    last = min(FRAMES_PER_ROUND, session.document.frames.count - 1)
    for _ in range(ROUNDS):
        alone = _time_tracker(session, tracker, last)
        start = time.perf_counter()
        Track(0, last=last).run(session)
        job = session.runner.job
        assert job is not None
        job.ended.wait()
        assert job.status == "done", job.problem
        ratios.append(alone / (time.perf_counter() - start))
    return ratios


def add_first_mask(session: Session) -> None:
    """Paint an object in the middle of the first frame, unless it has masks."""
    if not session.document.snapshot.labels(0).any():
        height, width = session.document.frames.size
        number = editing.AddObject().run(session.document).object_id
        stroke = editing.Paint(0, number, [(width / 2, height / 2)], radius=min(height, width) / 8)
        stroke.run(session.document)


def _time_tracker(session: Session, tracker: VideoTracker, last: int) -> float:
    """Return the seconds of the tracker on the first frames, without outputs."""
    start = time.perf_counter()
    tracker.reset(session.document.frames.count)
    for index in range(last + 1):
        mask = session.document.snapshot.labels(0) if index == 0 else None
        np.asarray(tracker.step(session.document.frames.read(index, "track"), mask).labels)
    return time.perf_counter() - start


def _measure_action(name: str, action: Callable[[int], Any], frames: Sequence[int]) -> None:
    milliseconds = []
    for index in frames:
        start = time.perf_counter()
        action(index)
        milliseconds.append(1000 * (time.perf_counter() - start))
    report(name, milliseconds, "ms")


def _make_get(web: http.client.HTTPConnection, cookie: str) -> Callable[[str], bytes]:
    def get(path: str) -> bytes:
        web.request("GET", path, headers={"Cookie": cookie})
        return web.getresponse().read()

    return get


def _make_call(socket: Any) -> Callable[..., Any]:
    def call(action: str, **values: Any) -> Any:
        socket.send(json.dumps({"id": 1, "do": action, **values}))
        while True:
            answer = json.loads(socket.recv())
            if "event" not in answer:
                # a box in the middle of any video may hold no object, which takes as long
                assert "error" not in answer or answer["error"].startswith("nothing found"), answer
                return answer.get("result")

    return call


@command("python -m research.speed.latency")
@click.argument("video", metavar="VIDEO", help="video file, folder of frames, or project")
@settings
@tracker_options()
def main(
    video: str, *, checkpoint: str, config: str | None, overrides: tuple[str, ...], strict: bool, device: str,
    print_config: bool,
) -> int:  # fmt: skip
    """Measure the latency of the studio."""
    options = TrackerOptions(checkpoint, config, overrides, device)
    if print_config:
        return print_settings(options.read_settings())
    if strict:
        options.require_trained_code()
    session = open_session(video, TrackerLoader(options), Prompter({"bundled": load_segmenter()}))
    token = secrets.token_urlsafe(24)
    measure(session, Server(build_app(lambda _: session), bind_socket("127.0.0.1", 0), token=token), token)
    session.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
