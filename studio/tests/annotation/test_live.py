"""A stream: a frame is taken and masked, and the stream tracked from then on."""

import threading
import time
from fractions import Fraction

import pytest

from aotlab import InputError
from aotlab_studio import annotate as cli
from aotlab_studio.project.state import State
from aotlab_studio.server.session import Session
from aotlab_studio.tracking.planning import Request
from aotlab_studio.video import KEPT, LiveFrames
from studio.tests.annotation.clips import HEIGHT, WIDTH, Seer, image, open_session, truth
from studio.tests.annotation.test_editing import draw


class Camera:
    """Gives the drawn images one by one, each when the test says so."""

    name, size, rate, length, live, variable = "camera", (HEIGHT, WIDTH), Fraction(25), None, True, True

    def __init__(self, length=10**6, fails=None):
        self.go = threading.Semaphore(1)
        self.frames, self.fails = length, fails

    def __iter__(self):
        for index in range(self.frames):
            self.go.acquire()
            yield image(index % 20)
        if self.fails:
            raise self.fails


def open_live(tmp_path, camera, *, record=True):
    folder = tmp_path / "live.aotlab"
    frames = LiveFrames(camera, folder / "frames", record=record)
    return Session(State(folder / "frames", project=folder, frames=frames), Seer)


def is_object_1(labels):
    """Whether a mask is object 1 of any of the drawn images."""
    return any((labels == (truth(index) == 1)).all() for index in range(24))


def show_until(camera, condition):
    """Let the camera give images until a condition holds."""
    end = time.monotonic() + 60
    while not condition():
        camera.go.release()
        time.sleep(0.05)
        assert time.monotonic() < end


def test_a_taken_frame_is_masked_and_the_stream_is_tracked_and_recorded(tmp_path):
    camera = Camera()
    session = open_live(tmp_path, camera)
    counts = []
    session.state.listeners.append(lambda event: counts.append(getattr(event, "count", None)))
    assert session.state.frames.count == 1
    draw(session, 0, 1)
    job = session.go_live(0)
    show_until(camera, lambda: job.done >= 5)
    assert session.state.frames.count >= 6
    assert 6 in counts
    assert all(is_object_1(session.state.labels(index)) for index in range(1, 6))
    assert job.report().remaining is None
    job.stop()
    show_until(camera, lambda: not job.alive)
    assert job.status == "stopped"
    session.close()
    again = open_session(tmp_path / "live.aotlab")
    assert again.state.frames.count >= 6
    assert again.state.labels(5).any()
    again.close()


def test_without_recording_old_frames_and_masks_go(tmp_path, monkeypatch):
    monkeypatch.setattr("aotlab_studio.video.KEPT", 3)
    camera = Camera()
    session = open_live(tmp_path, camera, record=False)
    draw(session, 0, 1)
    job = session.go_live(0)
    show_until(camera, lambda: job.done >= 6)
    job.stop()
    show_until(camera, lambda: not job.alive)
    kept = list((tmp_path / "live.aotlab" / "frames").iterdir())
    assert len(kept) == 3
    assert len(session.state.tracked_frames) <= 4
    with pytest.raises(InputError, match="no frame 0; give one of"):
        session.state.frames.read(0)
    assert KEPT > 3
    session.close()


@pytest.mark.parametrize("fails", [None, InputError("camera: broke off"), RuntimeError("no more colours")])
def test_the_end_of_a_stream_ends_the_job_and_an_error_is_told(tmp_path, caplog, fails):
    camera = Camera(length=2, fails=fails)
    session = open_live(tmp_path, camera)
    draw(session, 0, 1)
    job = session.go_live(0)
    show_until(camera, lambda: not job.alive)
    assert job.status == ("failed" if fails else "done")
    assert str(fails or "None") in str(job.problem)
    assert ("Traceback" in caplog.text) == isinstance(fails, RuntimeError)
    session.close()


def test_only_streams_go_live_and_only_with_a_mask(tmp_path, session):
    with pytest.raises(InputError, match="not a stream"):
        session.take_frame()
    with pytest.raises(InputError, match="not a stream"):
        session.go_live(0)
    live = open_live(tmp_path, Camera())
    with pytest.raises(InputError, match="no mask to track"):
        live.go_live(0)
    with pytest.raises(InputError):
        live.track(Request(0))
    live.close()


def test_address_without_an_answer_is_refused():
    with pytest.raises(InputError, match="cannot be opened"):
        cli.main(["http://127.0.0.1:9/live", "--no-browser"])
