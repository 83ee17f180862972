"""Masks of objects that overlap, as COCO."""

import numpy as np
from pycocotools.coco import COCO

from aotlab import OverlapTracker
from aotlab.sdk import encode_rle
from aotlab_testing.drawn_clips import draw_box
from aotlab_testing.repeating_tracker import RepeatingTracker
from aotlab_video import Annotations, Region, VideoInfo, find_mask_writer

SIZE = (24, 32)


def test_overlapping_objects_are_written_as_coco(tmp_path):
    tracker = OverlapTracker(RepeatingTracker())
    masks = np.stack([draw_box(SIZE, (0, 20), (0, 20), dtype=bool), draw_box(SIZE, (5, 10), (5, 10), dtype=bool)])
    video, annotations = VideoInfo("clip", SIZE, 2), Annotations(SIZE)
    for index in range(2):
        found = tracker.step(np.zeros((*SIZE, 3), np.uint8), None if index else masks)
        np.testing.assert_array_equal(found.objects, masks)
        annotations.frames[index] = [
            Region(key, encode_rle(mask)) for key, mask in zip(found.ids, found.objects, strict=True)
        ]
    find_mask_writer("coco").write(tmp_path / "coco.json", annotations, video)
    stored = COCO(str(tmp_path / "coco.json"))
    for annotation in stored.loadAnns(stored.getAnnIds()):
        np.testing.assert_array_equal(stored.annToMask(annotation), masks[annotation["track_id"] - 1])
