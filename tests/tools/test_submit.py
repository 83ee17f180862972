"""The ``submit`` command on miniatures of benchmarks."""

import io
import json
import logging
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from aotlab.evaluation.archive import SubmittedResults, write_archive
from aotlab.evaluation.benchmarks import BUILT_IN, find_benchmark
from aotlab.media.masks import PALETTE, read_mask, write_mask
from aotlab.tools.submit import main
from aotlab.utils.errors import InputError
from aotlab_testing import miniatures
from aotlab_testing.mutations import change_json
from aotlab_testing.tracked import write_tracked

SERVERS = {
    "davis2017": "deer/00000.png",
    "youtubevos2018": "Annotations/0a1b2c3d4e/00000.png",
    "youtubevos2019": "Annotations/0a1b2c3d4e/00000.png",
    "vost": "3001_tear_paper/frame00000.png",
    "mose": "0a0b0c0d/00000.png",
    "mosev2": "0a0b0c0d/00000.png",
    "lvosv1": "Annotations/AbCd1234/00000001.png",
    "lvosv2": "Annotations/AbCd1234/00000001.png",
}
"""Data set to the first entry of an archive for its server."""
FIRST, SECOND = "0a0b0c0d", "1a1b1c1d"
"""Videos of MOSE."""


class Run:
    """A data set with results, and the program run on them."""

    def __init__(self, name, folder):
        self.root, self.results, self.archive = folder / "root", folder / "results", folder / "out" / "a.zip"
        self.options = ["--dataset", name, "--root", str(self.root)]
        self.videos = miniatures.make_with_results(name, folder, (*find_benchmark(name).server_splits, "val")[0])

    def write(self):
        return main([*self.options, "--results", str(self.results), "--output", str(self.archive)])

    def find_problems(self, caplog):
        caplog.set_level(logging.DEBUG, "aotlab")
        with pytest.raises(InputError):
            write_archive(SubmittedResults(self.results, self.videos, self.root, "valid"), self.archive)
        return list(caplog.messages)


@pytest.fixture
def mose(tmp_path):
    return Run("mose", tmp_path)


def lines(capsys):
    """Stderr of a run, without its progress bars."""
    return [line for line in capsys.readouterr().err.splitlines() if "frame/s" not in line and line.strip()]


def test_all_servers_are_tested():
    archives = {name for name in BUILT_IN if find_benchmark(name).submission_suffix == ".zip"}
    assert archives == {*SERVERS, "visor"}


@pytest.mark.parametrize("name", SERVERS)
def test_archive_has_the_servers_layout(name, tmp_path):
    run = Run(name, tmp_path)
    (run.results / "overlay").mkdir()  # what an evaluation leaves beside the masks stays out
    (run.results / "scores.json").write_text("{}")
    assert run.write() == 0
    prefix = SERVERS[name].rpartition("/")[0].rpartition("/")[0]
    with zipfile.ZipFile(run.archive) as file:
        assert file.namelist()[0] == SERVERS[name]
        assert file.namelist() == [
            "/".join(filter(None, (prefix, video.name, f"{stem}.png")))
            for video in run.videos
            for stem in video.written_stems
        ]
        with Image.open(io.BytesIO(file.read(SERVERS[name]))) as image:
            assert (image.mode, image.getpalette()) == ("P", PALETTE.ravel().tolist())


@pytest.mark.parametrize(("name", "suffix"), [("mose", ".zip"), ("visor", ".zip"), ("sav", "")])
def test_results_of_tracked_videos_are_packed(name, suffix, tmp_path):
    run = Run(name, tmp_path)
    if name == "visor":
        names = {video.name: {str(number): f"object {number}" for number in range(1, 9)} for video in run.videos}
        (run.root / "val_data_mapping.json").write_text(json.dumps(names))
    contents = []
    for output in ("before", "after"):
        run.archive = tmp_path / f"{output}{suffix}"
        assert run.write() == 0
        files = [run.archive] if suffix else sorted(run.archive.rglob("*.png"))
        contents.append([path.read_bytes() for path in files])
        for folder in run.results.iterdir():
            folder.rename(tmp_path / "masks")
            folder.mkdir()
            (tmp_path / "masks").rename(folder / "masks")
            write_tracked(folder)
    assert contents[0] == contents[1] != []


def test_same_results_give_the_same_archive(mose):
    mose.write()
    first = mose.archive.read_bytes()
    with zipfile.ZipFile(mose.archive) as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    mose.write()
    assert mose.archive.read_bytes() == first


def test_palettes_are_standardized(mose):
    gray, odd = (mose.results / FIRST / f"{stem}.png" for stem in ("00001", "00002"))
    before = [read_mask(path) for path in (gray, odd)]
    Image.fromarray(before[0]).save(gray)
    image = Image.fromarray(before[1], mode="P")
    image.putpalette([7, 7, 7] * 256)
    image.save(odd)
    assert mose.write() == 0
    with zipfile.ZipFile(mose.archive) as file:
        for path, labels in zip((gray, odd), before, strict=True):
            with Image.open(io.BytesIO(file.read(f"{FIRST}/{path.name}"))) as packed:
                assert (packed.mode, packed.getpalette()) == ("P", PALETTE.ravel().tolist())
                np.testing.assert_array_equal(np.array(packed), labels)


def test_invalid_masks_are_listed_and_rejected(mose, run_expecting_error, caplog):
    first, second = (mose.results / name for name in (FIRST, SECOND))
    Image.new("RGB", (64, 48)).save(first / "00001.png")
    write_mask(first / "00002.png", np.ones((5, 6), np.uint8))
    write_mask(first / "00003.png", read_mask(first / "00003.png") * 3)
    (second / "00000.png").write_bytes(b"nonsense")
    write_mask(second / "00001.png", read_mask(second / "00001.png").astype(np.int64) * 300)
    problems = mose.find_problems(caplog)
    assert [problem.partition(".png: ")[2].split(" (")[0] for problem in problems] == [
        "mode RGB; expected an 8-bit palette PNG",
        "6×5; expected 64×48",
        "unknown ids 3, 6; the objects are 1, 2",
        "not readable",
        "mode I;16; expected an 8-bit palette PNG",
    ]
    line = run_expecting_error(main, *mose.options, "--results", mose.results, "--output", mose.archive)
    assert f"{mose.results}: 5 problems, which --verbose lists; the first: {problems[0]}" in line
    assert list(mose.archive.parent.iterdir()) == []


def test_missing_masks_are_one_sentence(mose, run_expecting_error):
    paths = sorted(mose.results.glob("*/*.png"))
    for path in paths[1:]:
        path.unlink()
    line = run_expecting_error(main, *mose.options, "--results", mose.results, "--output", mose.archive)
    assert f"{paths[1]}: no such file, and {len(paths) - 2} more are missing; expected {len(paths)} palette" in line
    assert not mose.archive.exists()


def test_objects_of_the_metadata_are_expected(tmp_path, capsys):
    run = Run("youtubevos2019", tmp_path)
    meta = run.root / "valid" / "meta.json"
    change_json(meta, lambda tree: tree["videos"]["0a1b2c3d4e"]["objects"].pop("5"))
    assert run.write() == 2
    assert "unknown ids 5; the objects are 2, 3" in capsys.readouterr().err


def test_oversized_image_is_not_decoded(mose, capsys):
    path = mose.results / FIRST / "00001.png"
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 20000, 8000)  # of which there are no pixels
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    assert mose.write() == 2
    assert "20000×8000; expected" in lines(capsys)[0]
