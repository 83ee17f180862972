"""Masks from a file that a page sends: every format of docs/formats.md, and archives of folders."""

import json

import numpy as np
import pytest

from aotlab import InputError, encode_runs
from aotlab_studio.server.uploads import load_upload
from studio.tests.annotation.clips import HEIGHT, WIDTH, packed, png, truth


def coco(*frames):
    size = {"height": HEIGHT, "width": WIDTH}
    images = [{"id": 10 + index, "file_name": f"{index:05d}.png", **size} for index in frames]
    regions = [
        {
            "id": 100 * index + number, "image_id": 10 + index, "category_id": 1, "iscrowd": 1,
            "attributes": {"track_id": number},
            "segmentation": {"size": [HEIGHT, WIDTH], "counts": encode_runs(truth(index) == number).tolist()},
        }
        for index in frames
        for number in (1, 2)
    ]  # fmt: skip
    tree = {"images": images, "annotations": regions, "categories": [{"id": 1, "name": "fish"}]}
    return json.dumps(tree).encode()


def labelme(index):
    rows, columns = np.nonzero(truth(index) == 1)
    box = [[float(columns.min()), float(rows.min())], [float(columns.max()), float(rows.max())]]
    corners = [box[0], [box[1][0], box[0][1]], box[1], [box[0][0], box[1][1]]]
    shape = {"label": "box", "points": corners, "shape_type": "polygon", "group_id": None}
    tree = {"version": "5", "flags": {}, "shapes": [shape], "imagePath": f"{index:05d}.png"}
    return json.dumps({**tree, "imageHeight": HEIGHT, "imageWidth": WIDTH}).encode()


COLOURED = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]])
LEGEND = json.dumps({"#ff0000": "car", "#0000ff": "dog"}).encode()
WHOLE = {
    "coco": coco(3, 5),
    "archived coco": packed({"annotations/instances.json": coco(3, 5), "images/3.png": b"x"}),
    "frames": packed({f"clip/{index:05d}.png": png(truth(index)) for index in (3, 5)}),
    "frames by number": packed({f"mask_{index}.png": png(truth(index)) for index in (3, 5)}),
    "object_ids": packed(
        {
            f"clip/{number}/{index:05d}.png": png(255 * (truth(index) == number))
            for index in (3, 5)
            for number in (1, 2)
        }
    ),
    "colours": packed(
        {f"{index:05d}.png": png(COLOURED[truth(index)]) for index in (3, 5)} | {"legend.json": LEGEND}
    ),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_of_several_frames_is_taken_in_as_one_step(session, kind):
    assert load_upload(session.state, 0, WHOLE[kind]) == [3, 5]
    assert all((session.state.labels(index) == truth(index)).all() for index in (3, 5))
    assert session.state.keyframes == [3, 5]
    session.undo()
    assert session.state.keyframes == []
    assert session.state.objects.ids == ()


def test_a_single_image_is_for_the_frame_in_view(session):
    assert load_upload(session.state, 7, png(truth(7))) == [7]
    coloured = packed({"mask.png": png(COLOURED[truth(8)]), "legend.json": LEGEND})
    assert load_upload(session.state, 8, coloured) == [8]
    assert (session.state.labels(8) == truth(8)).all()


def test_labels_name_new_objects(session):
    load_upload(session.state, 0, WHOLE["colours"])
    assert [item.name for item in session.state.objects] == ["car", "dog"]


def test_folders_named_after_objects_name_them(session):
    content = packed({"dog/00003.png": png(truth(3) == 2), "cat/00003.png": png(truth(3) == 1)})
    load_upload(session.state, 0, content)
    assert [item.name for item in session.state.objects] == ["cat", "dog"]
    assert (session.state.labels(3) == truth(3)).all()


def test_labelme_s_files_are_matched_by_the_names_of_their_images(session):
    assert load_upload(session.state, 0, labelme(4)) == [4]
    assert load_upload(session.state, 0, packed({"b.json": labelme(6), "a.json": labelme(5)})) == [5, 6]
    assert [item.name for item in session.state.objects] == ["box"]


def test_frames_that_the_video_lacks_are_refused_and_nothing_changes(session):
    content = packed({f"{index:05d}.png": png(truth(3)) for index in (3, 99)})
    with pytest.raises(InputError, match="99"):
        load_upload(session.state, 0, content)
    assert session.state.keyframes == []
