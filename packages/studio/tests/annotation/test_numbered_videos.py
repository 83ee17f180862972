"""Frames of the page, tracked masks and overlays of videos that seek inexactly; each frame shows its number."""

from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from aotlab import InputError, Prediction
from aotlab_studio.session.actions import Export
from aotlab_testing.marks import slow
from aotlab_testing.numbered_videos import cut_end, draw_strip, parse_number, write_numbered
from aotlab_video import open_frames
from studio.tests.annotation.sessions import open_session, run_job, set_mask

LENGTH = 40


class NumberTracker:
    """A tracker whose mask is as many pixels wide as the number that the frame shows, plus one."""

    device, ids = "cpu", (1,)

    def reset(self, length=None):
        pass

    def step(self, frame, mask=None):
        labels = draw_strip(parse_number(frame))
        rows = np.stack([labels == 0, labels == 1])
        logits = torch.from_numpy(np.where(rows, 2.0, -2.0).astype(np.float32))
        return Prediction(self.ids, logits, logits.max(0).indices)


@pytest.mark.parametrize("name", [*slow("mpeg2.mpg"), "h264.ts"])  # all codings: tests/media
def test_page_track_and_overlay_agree_on_frames(name, serve, tmp_path):
    path = write_numbered(tmp_path / name, LENGTH)
    if name == "h264.ts":
        path = cut_end(path)
    numbers = []
    with suppress(InputError):  # cut off
        numbers.extend(parse_number(frame) for frame in open_frames(path))
    session = open_session(path, NumberTracker(), cache_bytes=0)
    served = serve(session)
    assert session.document.frames.count == len(numbers)
    for index in (len(numbers) - 1, 7, 14, 1, 0, 13, len(numbers) - 2):
        content = served.get(f"/frame/{index}").content
        assert parse_number(np.asarray(Image.open(BytesIO(content)))) == numbers[index]
    set_mask(session.document, 14, None, draw_strip(numbers[14]) == 1)
    for direction in ("forward", "backward"):
        run_job(session, 14, direction)
    assert [int(session.document.snapshot.labels(index).sum()) - 1 for index in range(len(numbers))] == numbers
    Export(["overlay"]).run(session)
    overlay = open_frames(session.archive.parent / "overlay.mp4")
    assert [parse_number(frame) for frame in overlay] == numbers
