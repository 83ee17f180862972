"""The main public paths once, with a tiny network and drawn videos, for the loop while writing code."""

import numpy as np
import pytest
from PIL import Image

from aotlab import Tracker, draw_overlay, load_model, read_mask, write_mask
from aotlab_testing.drawn_clips import write_images
from aotlab_testing.files import SAMPLE
from aotlab_testing.small_model import draw_stripes, draw_texture
from aotlab_testing.smoke import aotlab, checkpoint, prompts
from aotlab_video import open_frames, track

__all__ = ["aotlab", "checkpoint", "prompts"]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A folder of four frames."""
    return write_images(tmp_path_factory.mktemp("video"), draw_texture(4))


def test_video_is_tracked_from_a_mask(aotlab, checkpoint, video, tmp_path):
    Image.fromarray(draw_stripes([1, 2], dtype=np.uint8)).save(tmp_path / "first.png")
    line = ("track", video, "--mask", "first.png", "--checkpoint", checkpoint, "--output", "out")
    aotlab(*line, "--write", "masks,objects,coco,overlay")
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 4
    assert {path.name for path in (tmp_path / "out").glob("[!.]*")} >= {"coco.json", "overlay.mp4"}


def test_video_is_tracked_from_a_box(aotlab, checkpoint, video, tmp_path, prompts):
    box = ("--box", "3,3,20,20")
    aotlab("track", video, *box, "--checkpoint", checkpoint, "--write", "masks", "--output", "out")
    masks = [read_mask(path) for path in (tmp_path / "out" / "masks").iterdir()]
    assert [np.unique(mask[mask > 0]).tolist() for mask in masks] == [[1]] * 4


def test_video_is_tracked_by_a_program(checkpoint, video, tmp_path):
    write_mask(tmp_path / "first.png", draw_stripes([1, 2]))
    first, frames = read_mask(tmp_path / "first.png"), open_frames(video)
    track(frames, {0: first}, tmp_path / "out", Tracker(*load_model(checkpoint)))
    assert (read_mask(tmp_path / "out" / "masks" / "00000.png") == first).all()
    assert (draw_overlay(frames.read(0), first) != frames.read(0)).any()


def test_image_is_masked_by_the_bundled_model(aotlab, tmp_path):
    image = SAMPLE / "JPEGImages" / "480p" / "pond" / "00000.jpg"
    aotlab("mask", image, "--box", "40,40,80,80", "--output", "mask.png")
    assert read_mask(tmp_path / "mask.png").any()
