"""Exports hold what was shown, in every form that tracking writes."""

import json
import zipfile

from aotlab import TrackedFrame, list_outputs, open_frames, read_mask
from aotlab_studio.server.export import draw_names, read_prediction
from aotlab_studio.tracking.planning import TrackRequest
from studio.tests.annotation.clips import LENGTH, draw, truth


def test_exported_masks_are_those_shown(session):
    draw(session, 0, 1, 2)
    session.track(TrackRequest(0)).wait()
    session.export(["masks", "coco", "overlay"])
    folder = session.archive.parent
    masks = sorted((folder / "masks").iterdir())
    assert [path.name for path in masks] == [f"{index:05d}.png" for index in range(LENGTH)]
    assert all((read_mask(path) == truth(index)).all() for index, path in enumerate(masks))
    objects = json.loads((folder / "coco.json").read_text())["annotations"]
    assert [entry["track_id"] for entry in objects if entry["image_id"] == 6] == [1, 2]
    assert len(list(open_frames(folder / "overlay.mp4"))) == LENGTH


def test_outputs_go_into_one_archive(session):
    draw(session, 0, 1)
    names = [name for name in list_outputs() if name not in ("prores", "vp9")]
    session.export(names)
    with zipfile.ZipFile(session.archive) as archive:
        found = set(archive.namelist())
    assert {"masks/00000.png", "objects/1/00000.png", "coco.json", "alpha/00000.png", "overlay.mp4"} <= found


def test_overlay_shows_names(session):
    draw(session, 0, 1)
    tracked = TrackedFrame(0, session.state.frames.read(0), read_prediction(session.state, 0), 0)
    assert (draw_names(tracked, {1: "W"}) != draw_names(tracked, {})).any()
