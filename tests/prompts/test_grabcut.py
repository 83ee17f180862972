"""A box or clicks become a mask."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aotlab.prompts.grabcut import Hints, segment
from aotlab.utils.errors import InputError

SAMPLE = Path(__file__).resolve().parents[2] / "datasets" / "sample"


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


def sample(index=0):
    frame = np.array(Image.open(SAMPLE / "JPEGImages/480p/pond" / f"{index:05d}.jpg").convert("RGB"))
    labels = np.array(Image.open(SAMPLE / "Annotations/480p/pond" / f"{index:05d}.png"))
    return frame, labels


def box_of(mask, room=6):
    rows, columns = np.nonzero(mask)
    return (
        float(columns.min() - room), float(rows.min() - room),
        float(np.ptp(columns) + 2 * room), float(np.ptp(rows) + 2 * room),
    )  # fmt: skip


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_box_around_an_object_of_the_sample_clip_gives_its_mask(number):
    frame, labels = sample()
    mask = segment(frame, Hints(box_of(labels == number)))
    assert iou(mask, labels == number) > 0.75


@pytest.mark.parametrize("point", [(2, 637, 365), (4, 188, 341)])
def test_one_click_on_an_object_of_one_colour_gives_its_mask(point):
    frame, labels = sample()
    number, x, y = point
    assert iou(segment(frame, Hints(positive=[(x, y)])), labels == number) > 0.9


def test_a_point_on_a_plain_object_gives_its_mask_and_a_negative_point_takes_away():
    frame = np.full((120, 160, 3), 50, np.uint8)
    frame[20:60, 20:60] = (200, 40, 40)
    frame[20:60, 60:100] = (170, 120, 40)
    truth = frame[..., 0] == 200
    mask = segment(frame, Hints(positive=[(40, 40)]))
    assert mask[30:50, 30:50].all()
    assert not mask[100:, 120:].any()
    less = segment(frame, Hints((18.0, 18.0, 84.0, 44.0), positive=[(40, 40)], negative=[(80, 40)]))
    assert iou(less, truth) > 0.8


def test_it_takes_less_than_150_milliseconds_at_480p():
    frame, labels = sample()
    hints = Hints(box_of(labels == 2))
    segment(frame, hints)
    seconds = []
    for _ in range(5):
        start = time.thread_time()
        segment(frame, hints)
        seconds.append(time.thread_time() - start)
    assert min(seconds) < 0.15


@pytest.mark.parametrize(
    "make",
    [
        lambda: Hints(),
        lambda: Hints(negative=[(1, 1)]),
        lambda: Hints((0, 0, 1, 1)),
        lambda: segment(np.zeros((20, 20, 3), np.uint8), Hints(positive=[(400, 3)])),
        lambda: segment(np.zeros((20, 20, 3), np.uint8), Hints((100, 100, 20, 20))),
    ],
)
def test_useless_hints_are_refused(make):
    with pytest.raises(InputError):
        make()
