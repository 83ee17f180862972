"""A drawn video of two squares that slide, its masks, and their files."""

import io

import numpy as np
from PIL import Image

from aotlab.sdk import encode_rle
from aotlab_testing.drawn_clips import draw_two_squares, write_images
from aotlab_testing.video import written_video
from aotlab_video import Annotations, Region

HEIGHT, WIDTH, LENGTH = 40, 60, 12
truth = draw_two_squares


def image(index):
    colors = np.array([[40, 40, 40 + index], [220, 60, 60], [60, 200, 80]], np.uint8)
    return colors[truth(index)]


def draw_folder(folder, length=LENGTH):
    return write_images(folder, map(image, range(length)))


def write_video(path):
    """Write a video of `LENGTH` frames, 60×40."""
    written_video.write_video(path, [image(index) for index in range(LENGTH)], 25)


def find_frame_number(frame):
    """Return the frame number of an image."""
    return int(frame[0, 0, 2]) - 40


def annotate_labels(labels, class_names):
    """Return labels by frame as annotations, whose frames are named by their number."""
    regions = {
        index: [Region(int(object_id), encode_rle(ids == object_id)) for object_id in np.unique(ids) if object_id]
        for index, ids in labels.items()
    }
    size = next(iter(labels.values())).shape
    return Annotations(size, regions, class_names, {index: f"{index:05d}" for index in labels})


def square(x, y, side):
    """Return the corners of a square."""
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


def png(labels):
    """Return labels as a PNG."""
    content = io.BytesIO()
    Image.fromarray(labels.astype(np.uint8)).save(content, "PNG")
    return content.getvalue()
