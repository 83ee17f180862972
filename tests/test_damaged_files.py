"""Truncated and changed files of every kind: read, or rejected in one sentence that names the file."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.dataloaders.training.sets import read_ids
from aotlab.evaluation.check_data import read_file_info
from aotlab.networks.build import build_model
from aotlab.networks.weights.checkpoints import load_checkpoint, save_checkpoint
from aotlab_testing.drawn_clips import write_noise
from aotlab_testing.image_files import DEEP, FORMATS, READERS, write_png
from aotlab_testing.mutations import corrupt_bytes, read_error
from aotlab_testing.small_model import to_published
from aotlab_testing.video import sample
from aotlab_testing.video_files import CONTAINERS, write_texture
from aotlab_video.masks.coco import format_coco
from aotlab_video.runs.inputs import read_annotations
from aotlab_video.sources.video import open_frames

tifffile, OpenEXR = pytest.importorskip("tifffile"), pytest.importorskip("OpenEXR")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def write_image(path: Path) -> None:
    write_noise(path, format=path.stem)


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


def write_weights(path: Path) -> None:
    model = build_model(load_config("aott").model)
    if path.suffix == ".pth":
        torch.save(to_published(model), path)
    else:
        save_checkpoint(path, model, load_config("aott"))


def read_image_file(path: Path) -> None:
    for read in (None, read_ids):
        facts = read_file_info(path, read=read)
        assert facts.size is not None or facts.finding is not None
    for read in READERS:
        read_error(read, path)
    READERS[0](path)


def read_folder(path: Path) -> None:
    list(open_frames(path.parent))


def read_video(path: Path) -> None:
    assert list(open_frames(path))


def read_coco(path: Path) -> None:
    found = read_annotations(path, sample.VIDEO)
    assert [found.mask(frame) for frame in found.frames]


def read_weights(path: Path) -> None:
    load_checkpoint(path, config="aott")


FILES = [
    *((f"{kind}.png", write_image, read_image_file, 12, 8) for kind in FORMATS),
    *((name, write_deep, read_folder, 12, 8) for name in ("0.tif", "0.png", "0.exr")),
    *((f"a.{suffix}", write_video, read_video, 20, 20) for suffix in CONTAINERS),
    ("masks.json", write_coco, read_coco, 40, 3),
    ("a.safetensors", write_weights, read_weights, 0, 1),  # a changed weight is a weight
    ("a.pth", write_weights, read_weights, 0, 1),
]
"""Name of a file, how it is written and read, and how many copies have up to how many bytes changed."""
ALWAYS_REFUSED = ("0.tif", "masks.json", "a.safetensors", "a.pth")
"""Files whose prefixes are never read."""


@pytest.mark.parametrize(("name", "write", "read", "count", "max_changes"), FILES, ids=[case[0] for case in FILES])
def test_damaged_file_is_read_or_reported(tmp_path, name, write, read, count, max_changes):
    path = tmp_path / name
    write(path)
    assert not read_error(read, path)
    refused = []
    for content in corrupt_bytes(path.read_bytes(), count, max_changes):
        path.write_bytes(content)
        refused.append(read_error(read, path))
    assert refused[0]
    assert name not in ALWAYS_REFUSED or all(refused[:10])


def test_scrambled_pickle_of_weights_rejected(tmp_path):
    write_weights(tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as source:
        members = {name: source.read(name) for name in source.namelist()}
    (data,) = (name for name in members if name.endswith("data.pkl"))
    members = {name: content[:64] if "/data/" in name else content for name, content in members.items()}
    for scrambled in corrupt_bytes(members[data], 50, 8):
        with zipfile.ZipFile(tmp_path / "a.pth", "w") as target:
            for name, content in (members | {data: scrambled}).items():
                target.writestr(name, content)
        assert read_error(read_weights, tmp_path / "a.pth")
