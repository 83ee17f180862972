"""The evaluation of a data set on disk against the reference evaluator: 97 % equal pixels, as its README asks.

A pixel that is a tie within rounding may flip and then moves later frames, hence no exact comparison.
"""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from PIL import Image

from aotlab.media.masks import read_mask, write_mask
from aotlab.tools.eval import main
from tests.golden import filler
from tests.shared import golden, official_weights


def draw_frames(sequence: dict) -> np.ndarray:
    """The clip of a sequence's recipe, T×H×W×3 uint8, known by its checksum."""
    start = {int(number): frame for number, frame in sequence["start"].items()}
    shape = (len(sequence["frame_names"]), sequence["height"], sequence["width"], sequence["num_objects"])
    frames, _ = filler.clip(*shape, sequence["seed"], start)
    assert crc32(frames.tobytes()) == sequence["frames_crc32"]
    return frames


def lay_out_davis(root: Path, arrays: dict[str, np.ndarray], meta: dict) -> None:
    """Write the recipe's sequences as DAVIS 2017; frames are PNG data under .jpg names, so lossless."""
    for sequence in meta["seqs"]:
        name = sequence["name"]
        folder = root / "JPEGImages" / "480p" / name
        folder.mkdir(parents=True)
        for stem, frame in zip(sequence["frame_names"], draw_frames(sequence), strict=True):
            Image.fromarray(frame).save(folder / f"{stem}.jpg", format="PNG")
        first = sequence["frame_names"][0]
        write_mask(root / "Annotations" / "480p" / name / f"{first}.png", arrays[f"{name}/label_{first}"])
    lists = root / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("\n".join(sequence["name"] for sequence in meta["seqs"]))


def test_official_checkpoint_on_davis_2017_equals_reference(tmp_path: Path) -> None:
    arrays, meta = golden("eval_aott_davis2017")
    lay_out_davis(tmp_path / "DAVIS", arrays, meta)
    torch.save({"state_dict": official_weights("aott")}, tmp_path / "AOTT.pth")
    output = tmp_path / "results"
    status = main(
        ["--dataset", "davis2017", "--root", str(tmp_path / "DAVIS"), "--checkpoint", str(tmp_path / "AOTT.pth"),
         "--config", "aott", "--output", str(output)]
    )  # fmt: skip
    assert status == 0
    for sequence in meta["seqs"]:
        name = sequence["name"]
        files = sorted(path.name for path in (output / name).iterdir())
        assert files == [str(file) for file in arrays[f"{name}/files"]]
        for stem, reference in zip(sequence["frame_names"][1:], arrays[f"{name}/masks"], strict=True):
            ours = read_mask(output / name / f"{stem}.png", size=reference.shape)
            assert (ours == reference).mean() >= 0.97


def lay_out_youtube_vos(folder: Path, arrays: dict[str, np.ndarray], meta: dict) -> None:
    """Write the recipe's sequences as a split of YouTube-VOS; meta.json lists every frame from the first label on."""
    videos = {}
    for sequence in meta["seqs"]:
        name, stems = sequence["name"], sequence["frame_names"]
        (folder / "JPEGImages" / name).mkdir(parents=True)
        for stem, frame in zip(stems, draw_frames(sequence), strict=True):
            Image.fromarray(frame).save(folder / "JPEGImages" / name / f"{stem}.jpg", format="PNG")
        objects = {}
        for index, stem in enumerate(stems):
            label = arrays.get(f"{name}/label_{stem}")
            if label is None:
                continue
            write_mask(folder / "Annotations" / name / f"{stem}.png", label)
            objects |= {str(identity): {"frames": stems[index:]} for identity in np.unique(label) if identity}
        videos[name] = {"objects": objects}
    (folder / "meta.json").write_text(json.dumps({"videos": videos}))


def test_late_objects_with_id_gaps_equal_reference(tmp_path: Path) -> None:
    arrays, meta = golden("eval_aotl_youtubevos2019")
    lay_out_youtube_vos(tmp_path / "YouTubeVOS" / "valid", arrays, meta)
    torch.save({"state_dict": official_weights("aotl")}, tmp_path / "AOTL.pth")
    output = tmp_path / "results"
    status = main(
        ["--dataset", "youtubevos2019", "--root", str(tmp_path / "YouTubeVOS"), "--config", "aotl",
         "--checkpoint", str(tmp_path / "AOTL.pth"), f"memory.every={meta['long_term_gap']}",
         "--output", str(output)]
    )  # fmt: skip
    assert status == 0
    for sequence in meta["seqs"]:
        name = sequence["name"]
        assert sorted(path.name for path in (output / name).iterdir()) == list(arrays[f"{name}/files"])
        first, *others = sequence["frame_names"]
        np.testing.assert_array_equal(read_mask(output / name / f"{first}.png"), arrays[f"{name}/first"])
        for stem, reference in zip(others, arrays[f"{name}/masks"], strict=True):
            ours = read_mask(output / name / f"{stem}.png", size=reference.shape)
            assert (ours == reference).mean() >= 0.97
