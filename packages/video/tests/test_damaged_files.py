"""Truncated and changed files of every kind: read, or rejected in one sentence that names the file."""

import json
from pathlib import Path

import numpy as np
import pytest

from aotlab_testing.damage import check_damaged_copies
from aotlab_testing.image_files import DEEP, write_png
from aotlab_testing.video import sample
from aotlab_testing.video_files import CONTAINERS, write_texture
from aotlab_video.masks.coco import format_coco
from aotlab_video.runs.inputs import read_annotations
from aotlab_video.sources.video import open_frames

tifffile, OpenEXR = pytest.importorskip("tifffile"), pytest.importorskip("OpenEXR")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def write_deep(path: Path) -> None:
    if path.suffix == ".exr":
        OpenEXR.File({}, {"RGB": DEEP[0].astype(np.float32)}).write(str(path))
    elif path.suffix == ".tif":
        tifffile.imwrite(path, DEEP[:1], photometric="rgb", compression="zlib")
    else:
        write_png(path, DEEP[0])


def write_video(path: Path) -> None:
    write_texture(path, CONTAINERS[path.suffix[1:]], count=12)


def write_coco(path: Path) -> None:
    path.write_text(json.dumps(format_coco(sample.sample_annotations(), sample.VIDEO)))


def read_folder(path: Path) -> None:
    list(open_frames(path.parent))


def read_video(path: Path) -> None:
    assert list(open_frames(path))


def read_coco(path: Path) -> None:
    found = read_annotations(path, sample.VIDEO)
    assert [found.mask(frame) for frame in found.frames]


FILES = [
    *((name, write_deep, read_folder, 12, 8) for name in ("0.tif", "0.png", "0.exr")),
    *((f"a.{suffix}", write_video, read_video, 20, 20) for suffix in CONTAINERS),
    ("masks.json", write_coco, read_coco, 40, 3),
]
"""Name of a file, how it is written and read, and how many copies have up to how many bytes changed."""
ALWAYS_REFUSED = ("0.tif", "masks.json")
"""Files whose prefixes are never read."""


@pytest.mark.parametrize(("name", "write", "read", "count", "max_changes"), FILES, ids=[case[0] for case in FILES])
def test_damaged_file_is_read_or_reported(tmp_path, name, write, read, count, max_changes):
    path = tmp_path / name
    write(path)
    check_damaged_copies(path, read, count, max_changes, prefixes_are_refused=name in ALWAYS_REFUSED)
