"""Exports hold what was shown, in every form that tracking writes."""

import json
import zipfile

import numpy as np
import pytest

from aotlab.annotation import editing
from aotlab.annotation.planning import Request
from aotlab.engine.video.outputs import OUTPUTS
from aotlab.media.masks import read_mask
from aotlab.media.video import open_frames
from aotlab.utils.errors import InputError
from tests.annotation.clips import LENGTH, truth
from tests.annotation.test_editing import draw


def test_masks_are_read_back_as_they_were_shown(session):
    draw(session, 0, 1, 2)
    session.track(Request(0)).wait()
    session.export(["masks", "coco", "overlay"])
    folder = session.archive.parent
    masks = sorted((folder / "masks").iterdir())
    assert [path.name for path in masks] == [f"{index:05d}.png" for index in range(LENGTH)]
    assert all((read_mask(path) == truth(index)).all() for index, path in enumerate(masks))
    objects = json.loads((folder / "coco.json").read_text())["annotations"]
    assert [entry["track_id"] for entry in objects if entry["image_id"] == 6] == [1, 2]
    assert len(list(open_frames(folder / "overlay.mp4"))) == LENGTH


def test_all_forms_go_into_one_archive(session):
    draw(session, 0, 1)
    names = [name for name in OUTPUTS if name not in ("prores", "vp9")]
    session.export(names)
    with zipfile.ZipFile(session.archive) as archive:
        found = set(archive.namelist())
    assert {"masks/00000.png", "objects/1/00000.png", "coco.json", "alpha/00000.png", "overlay.mp4"} <= found


def test_the_overlay_carries_names(session):
    from aotlab.annotation.export import stored, with_names
    from aotlab.engine.video.outputs import Tracked

    draw(session, 0, 1)
    tracked = Tracked(0, session.state.frames.read(0), stored(session.state, 0), 0)
    assert (with_names(tracked, {1: "W"}) != with_names(tracked, {})).any()


@pytest.mark.parametrize("names", [[], ["masks", "../../etc"], ["gif"]])
def test_unknown_forms_are_refused(session, names):
    with pytest.raises(InputError, match="give some of masks"):
        session.export(names)


def test_frames_without_masks_are_exported_empty(session):
    editing.add_object(session.state)
    session.export(["masks"])
    folder = session.archive.parent
    assert not any(np.asarray(read_mask(path)).any() for path in (folder / "masks").iterdir())


def test_the_page_offers_all_that_tracking_writes():
    from aotlab.annotation.description import OUTPUTS as OFFERED
    from aotlab.engine.video.outputs import OUTPUTS

    assert set(OFFERED) <= set(OUTPUTS)
    assert set(OUTPUTS) - set(OFFERED) <= {"thumbnail"}
