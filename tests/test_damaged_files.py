"""Truncated and changed files of every kind: read, or rejected in one sentence that names the file."""

import zipfile
from pathlib import Path

import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.dataloaders.training.sets import read_ids
from aotlab.evaluation.check_data import read_file_info
from aotlab.networks.build import build_model
from aotlab.networks.weights.checkpoints import load_checkpoint, save_checkpoint
from aotlab_testing.damage import check_damaged_copies
from aotlab_testing.drawn_clips import write_noise
from aotlab_testing.image_files import FORMATS, READERS
from aotlab_testing.mutations import corrupt_bytes, read_error
from aotlab_testing.small_model import to_published

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def write_image(path: Path) -> None:
    write_noise(path, format=path.stem)


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


def read_weights(path: Path) -> None:
    load_checkpoint(path, config="aott")


FILES = [
    *((f"{kind}.png", write_image, read_image_file, 12, 8) for kind in FORMATS),
    ("a.safetensors", write_weights, read_weights, 0, 1),  # a changed weight is a weight
    ("a.pth", write_weights, read_weights, 0, 1),
]
"""Name of a file, how it is written and read, and how many copies have up to how many bytes changed."""
ALWAYS_REFUSED = ("a.safetensors", "a.pth")
"""Files whose prefixes are never read."""


@pytest.mark.parametrize(("name", "write", "read", "count", "max_changes"), FILES, ids=[case[0] for case in FILES])
def test_damaged_file_is_read_or_reported(tmp_path, name, write, read, count, max_changes):
    path = tmp_path / name
    write(path)
    check_damaged_copies(path, read, count, max_changes, prefixes_are_refused=name in ALWAYS_REFUSED)


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
