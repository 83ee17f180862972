"""A segmenter of drawn frames, in place of a trained one."""

import numpy as np


def segment_by_color(frame, prompts):
    """Label what has the color under a click or scribble, or in a box another one than the frame's corner."""
    labels = np.zeros(frame.shape[:2], np.uint16)
    for number, prompt in prompts.items():
        prompt.crop_box(frame.shape[:2])
        found = np.zeros(labels.shape, bool) if prompt.mask is None else prompt.mask > 0.5
        if prompt.box is not None:
            x, y, width, height = map(int, prompt.box)
            inside = np.s_[max(0, y) : y + height, max(0, x) : x + width]
            found[inside] = (frame[inside] != frame[-1, 0]).any(2)
        for points, value in (
            ((*prompt.positive_points, *prompt.scribble), True),
            (prompt.negative_points, False),
        ):
            for column, row in points:
                found[(frame == frame[int(row), int(column)]).all(2)] = value
        labels[found] = number
    return labels
