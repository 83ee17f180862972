"""Frames of annotations in other tools' formats by the names of their images."""

import json

import numpy as np
import pytest
from hypothesis import settings

from aotlab_testing.video.named_masks import SIZE, check_masks_by_name, given_names, write_files, write_format


def write_labelme(path, stem, mask):
    points = np.array(outline(mask)).reshape(-1, 2).tolist()
    shapes = [{"label": "a", "group_id": 1, "shape_type": "polygon", "points": points}]
    tree = {"imagePath": f"{stem}.png", "imageHeight": SIZE[0], "imageWidth": SIZE[1], "shapes": shapes}
    path.write_text(json.dumps(tree))


def outline(mask):
    """Corners of the square on a mask."""
    rows, columns = np.nonzero(mask)
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return [float(side) for side in (left, top, right, top, right, bottom, left, bottom)]


WRITERS = {
    "labelme": write_files(write_labelme, "{stem}.json"),
    "cvat": write_format("cvat"),
    "yolo": write_format("yolo"),
    "youtube_vis": write_format("youtube_vis"),
    "label_studio": write_format("label_studio"),
    "label_studio_upload": write_format("label_studio", "/data/local-files/?d=clip/", "/data/upload/1/0a1b2c3d-"),
}


@settings(max_examples=settings().max_examples // 6)  # for each of the formats
@given_names
@pytest.mark.parametrize("name", WRITERS)
def test_mask_is_matched_to_its_frame_by_name(tmp_path_factory, name, frames, others, drawn):
    check_masks_by_name(tmp_path_factory.mktemp("drawn"), WRITERS[name], frames, others, drawn)
