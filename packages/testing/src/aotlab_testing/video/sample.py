"""A small video for tests of formats: object 3 moves and has a hole, object 7 appears late in two parts."""

import numpy as np

from aotlab.sdk import encode_rle
from aotlab_video import Annotations, Region, VideoInfo, read_annotations

SIZE = (24, 40)
LENGTH = 4
VIDEO = VideoInfo("clip", SIZE, LENGTH, "24", tuple(f"{index:05d}" for index in range(LENGTH)))


def draw_labels(frame):
    """Draw the labels of a frame: H×W uint16."""
    mask = np.zeros(SIZE, np.uint16)
    mask[3:15, 2 + frame : 16 + frame] = 3
    mask[7:10, 6 + frame : 9 + frame] = 0
    if frame >= 2:
        mask[18:22, 20:26] = 7
        mask[2:6, 30:38] = 7
    return mask


def read_masks(path):
    """Return the masks of all annotated frames in a file or folder."""
    found = read_annotations(path, VIDEO)
    return [found.mask(frame) for frame in found.frames]


def sample_annotations():
    """Return the annotations of all frames, with class names."""
    frames = {}
    for frame in range(LENGTH):
        ids = [3] if frame < 2 else [3, 7]
        frames[frame] = [Region(number, encode_rle(draw_labels(frame) == number), 0.75) for number in ids]
    stems = {frame: f"{frame:05d}" for frame in range(LENGTH)}
    return Annotations(SIZE, frames, {3: "person", 7: "ball"}, stems)
