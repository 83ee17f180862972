"""Tracking onto its own frames, out of room, with damaged frames, and without objects that are removed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.video.outputs import OUTPUTS, refuse_source
from aotlab.engine.video.track import TrackOptions, track
from aotlab.media.masks import read_mask
from aotlab.media.video import open_frames
from aotlab.utils.errors import InputError
from tests.engine.small_model import clip, stripes
from tests.engine.video.test_pipeline import MASK, QUIET, Echo, Source
from tests.engine.video.test_tracking import folder

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("inside", "names"),
    [
        ("objects/1", ["objects"]),
        ("masks", ["masks"]),
        ("alpha/deep/er", ["masks", "alpha"]),
    ],
)
def test_frames_that_results_would_overwrite_are_refused(tmp_path, inside, names):
    (tmp_path / inside).parent.mkdir(parents=True, exist_ok=True)
    frames = folder(tmp_path / inside)
    with pytest.raises(InputError, match="the results would overwrite"):
        refuse_source(names, tmp_path, frames)


def test_links_to_frames_that_results_would_overwrite_are_refused(tmp_path):
    (tmp_path / "out" / "objects").mkdir(parents=True)
    frames = folder(tmp_path / "out" / "objects" / "1")
    links = tmp_path / "links"
    links.mkdir()
    for frame in frames.iterdir():
        (links / frame.name).symlink_to(frame)
    (tmp_path / "other name").symlink_to(tmp_path / "out")
    for output in (tmp_path / "out", tmp_path / "other name", tmp_path / "links" / ".." / "out"):
        with pytest.raises(InputError, match="the results would overwrite"):
            refuse_source(["objects"], output, links)


def test_a_video_that_the_overlay_would_overwrite_is_refused(tmp_path):
    (tmp_path / "overlay.mp4").write_bytes(b"")
    with pytest.raises(InputError, match="the results would overwrite"):
        refuse_source(["masks", "overlay"], tmp_path, tmp_path / "overlay.mp4")
    refuse_source(["masks"], tmp_path, tmp_path / "overlay.mp4")


def test_frames_beside_the_results_are_fine(tmp_path):
    frames = folder(tmp_path / "frames")
    refuse_source(OUTPUTS, tmp_path, frames)
    refuse_source(OUTPUTS, frames, frames)


def test_a_removed_object_has_no_pixel_from_its_frame_on(models, tmp_path):
    frames = folder(tmp_path / "in", 1)
    for index, frame in enumerate(clip(6)):
        Image.fromarray(frame).save(frames / f"{index:03d}.png")
    options = TrackOptions(write=("masks",), progress=False, removals=((3, 9),))
    result = track(
        Tracker(*models["aott"]), open_frames(frames), {0: stripes([4, 9])}, tmp_path / "out", options
    )
    assert result.error is None
    seen = [
        set(np.unique(read_mask(result.written["masks"] / f"{index:03d}.png"))) - {0} for index in range(6)
    ]
    assert seen[0] == {4, 9}
    assert all(9 not in ids for ids in seen[3:])


@pytest.mark.parametrize("removal", [(0, 1), (3, 5), (1, 2)])
def test_an_object_that_is_not_there_to_be_removed_is_refused_before_the_first_frame(tmp_path, removal):
    tracker = Echo()
    options = TrackOptions(progress=False, removals=(removal,))
    with pytest.raises(InputError, match=rf"remove {removal[0]}:{removal[1]}: no mask of an earlier frame"):
        track(tracker, Source(), {0: MASK, 2: MASK * 2}, tmp_path, options)
    assert tracker.seen == []


def test_a_removal_behind_the_last_frame_is_reported(tmp_path):
    options = TrackOptions(write=("masks",), progress=False, removals=((10**6, 1),))
    result = track(Echo(), Source(), {0: MASK}, tmp_path, options)
    assert result.error is not None
    assert "the removal of frame 1000000 was not used" in result.error


def test_removals_do_not_go_with_both_directions():
    with pytest.raises(InputError, match="remove"):
        TrackOptions(both_directions=True, removals=((1, 1),))


def test_damage_that_the_source_tells_of_is_in_the_report(tmp_path):
    source = Source()
    source.damaged, source.lost = [2, 3], 4
    result = track(Echo(), source, {0: MASK}, tmp_path, QUIET)
    assert (result.damaged, result.lost, result.error) == ((2, 3), 4, None)


FULL = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from aotlab.engine.video.track import TrackOptions, track
from tests.engine.video.test_pipeline import Echo, Source, MASK
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
result = track(Echo(), Source(60), {0: MASK}, Path(sys.argv[1]), TrackOptions(write=("masks", "coco"), progress=False))
print(result.frames, sorted(result.written), result.error)
"""


def test_a_file_that_may_not_grow_keeps_the_masks_and_says_so(tmp_path):
    out = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.returncode == 0, out.stderr
    frames, _, sentence = out.stdout.partition(" ")
    assert "['masks']" in sentence
    assert "coco.json" in sentence
    masks = sorted((tmp_path / "out" / "masks").iterdir())
    assert len(masks) >= int(frames)
    assert all((read_mask(path) == MASK).all() for path in masks)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["masks"]
