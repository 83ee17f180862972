"""Masks from every format that is written to every other, and back."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from aotlab.configs.load import read_mapping
from aotlab.masks.exchange.writing import WRITTEN, write_annotations
from aotlab.media.video_writer import VideoWriter
from aotlab.tools.convert import main
from tests.masks.exchange.drawn import LENGTH, SIZE, VIDEO, labels, tracked

EXACT = ("coco", "youtube_vis", "mots", "cvat", "label_studio")


@pytest.fixture
def video(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for frame in range(LENGTH):
        Image.new("RGB", SIZE[::-1]).save(folder / f"{frame:05d}.png")
    return folder


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_is_read_back(name, video, tmp_path, capsys):
    write_annotations(name, tmp_path / WRITTEN[name][0], tracked(), VIDEO)
    out = tmp_path / "masks"
    assert main([str(tmp_path / WRITTEN[name][0]), str(out), "--to", "masks", "--video", str(video)]) == 0
    for frame in range(LENGTH):
        found = np.array(Image.open(out / f"{frame:05d}.png"))
        filled = labels(frame)
        if name in EXACT:
            assert (found == filled).all()
        else:  # outlines, whose holes are filled
            filled[7:10, 6 + frame : 9 + frame] = 3
            overlap = ((found > 0) & (filled > 0)).sum() / ((found > 0) | (filled > 0)).sum()
            assert overlap > 0.9
    assert "2 objects on 4 frames" in capsys.readouterr().out


def test_yolo_has_the_images_that_training_needs(video, tmp_path):
    write_annotations("coco", tmp_path / "in.json", tracked(), VIDEO)
    out = tmp_path / "yolo"
    assert main([str(tmp_path / "in.json"), str(out), "--to", "yolo", "--video", str(video)]) == 0
    assert sorted(path.resolve() for path in (out / "images").iterdir()) == sorted(video.iterdir())
    settings = read_mapping((out / "data.yaml").read_text(), "data.yaml")
    assert settings == {
        "train": "images",
        "val": "images",
        "names": {0: "ball", 1: "person"},
    }  # beside the file
    with VideoWriter(tmp_path / "clip.mp4", rate=Fraction(24), size=SIZE) as writer:
        for _ in range(LENGTH):
            writer.write(np.zeros((*SIZE, 3), np.uint8))
    args = [str(tmp_path / "in.json"), str(tmp_path / "film"), "--to", "yolo", "--video"]
    assert main([*args, str(tmp_path / "clip.mp4")]) == 0
    assert [path.name for path in sorted((tmp_path / "film" / "images").iterdir())][-1] == "00003.jpg"
