"""Command ``submit`` on miniatures."""

import io
import os
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from aotlab.dataloaders.benchmarks.datasets import DATASETS
from aotlab.evaluation.submit.archive import ExpectedSequence, check_archive, check_results, expect_sequence
from aotlab.media.masks import PALETTE, read_mask, write_mask
from aotlab.tools.submit import main
from tests import miniatures
from tests.limits import make_pipe
from tests.mutations import change_json

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
"""data set to the first entry of an archive for its server"""
FIRST, SECOND = "0a0b0c0d", "1a1b1c1d"
"""videos of MOSE"""


class Run:
    """A data set with results, and the program run on them."""

    def __init__(self, name, folder):
        self.root, self.results, self.archive = folder / "root", folder / "results", folder / "out" / "a.zip"
        self.options = ["--dataset", name, "--root", str(self.root)]
        self.videos = miniatures.make_with_results(name, folder, (*DATASETS[name].server_splits, "val")[0])

    def write(self):
        return main([*self.options, "--results", str(self.results), "--output", str(self.archive)])

    def check(self):
        return main([*self.options, "--check", str(self.archive)])

    def find_problems(self):
        return check_results(self.results, [expect_sequence(video) for video in self.videos])

    def repack(self, change, method=zipfile.ZIP_STORED):
        """Write the archive again after ``change(entries)``, entries by name."""
        with zipfile.ZipFile(self.archive) as file:
            entries = {name: file.read(name) for name in file.namelist()}
        change(entries)
        with zipfile.ZipFile(self.archive, "w", method) as file:
            for name, content in entries.items():
                file.writestr(name, content)


@pytest.fixture
def mose(tmp_path):
    return Run("mose", tmp_path)


def lines(capsys):
    """What a run wrote on stderr, without its bars."""
    return [line for line in capsys.readouterr().err.splitlines() if "frame/s" not in line and line.strip()]


def test_all_servers_are_tested():
    assert {name for name, dataset in DATASETS.items() if dataset.archive_root is not None} == SERVERS.keys()


@pytest.mark.parametrize("name", SERVERS)
def test_archive_has_the_servers_layout(name, tmp_path):
    run = Run(name, tmp_path)
    (run.results / "overlay").mkdir()  # what an evaluation leaves beside the masks stays out
    (run.results / "scores.json").write_text("{}")
    assert run.write() == 0
    assert run.check() == 0
    prefix = SERVERS[name].rpartition("/")[0].rpartition("/")[0]
    with zipfile.ZipFile(run.archive) as file:
        assert file.namelist()[0] == SERVERS[name]
        assert file.namelist() == [
            "/".join(filter(None, (prefix, video.name, f"{stem}.png")))
            for video in run.videos
            for stem in video.results
        ]
        with Image.open(io.BytesIO(file.read(SERVERS[name]))) as image:
            assert (image.mode, image.getpalette()) == ("P", PALETTE.ravel().tolist())


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


def test_invalid_masks_are_listed_and_nothing_written(mose, refuse):
    first, second = (mose.results / name for name in (FIRST, SECOND))
    (first / "00000.png").unlink()
    Image.new("RGB", (64, 48)).save(first / "00001.png")
    write_mask(first / "00002.png", np.ones((5, 6), np.uint8))
    write_mask(first / "00003.png", read_mask(first / "00003.png") * 3)
    (second / "00000.png").write_bytes(b"nonsense")
    write_mask(second / "00001.png", read_mask(second / "00001.png").astype(np.int64) * 300)
    Image.new("L", (64, 48)).save(second / "00002.png", format="BMP")
    problems = mose.find_problems()
    assert [problem.partition(".png: ")[2].split(" (")[0] for problem in problems] == [
        "mode RGB; expected an 8-bit palette PNG",
        "6×5; expected 64×48",
        "unknown ids 3, 6; the objects are 1, 2",
        "not a readable PNG",
        "mode I;16; expected an 8-bit palette PNG",
        "a BMP file; expected PNG",
        "missing",
    ]
    line = refuse(main, *mose.options, "--results", mose.results, "--output", mose.archive)
    assert f"{mose.results}: 7 problems, which --verbose lists; the first: {problems[0]}" in line
    assert not mose.archive.exists()


def test_missing_masks_are_one_problem_per_sequence(mose):
    for path in sorted(mose.results.glob("*/*.png")):
        path.unlink()
    problems = mose.find_problems()
    assert len(problems) == 2
    assert all(re.search(r"00000\.png: missing \([2-9] in all\)$", problem) for problem in problems)


def duplicate(run):
    with zipfile.ZipFile(run.archive, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr(THIRD, file.read(THIRD))


def change_entries(change):
    """A fault that ``change`` makes in the entries by name."""
    return lambda run: run.repack(change, zipfile.ZIP_DEFLATED)


def change_bytes(start, content, method=zipfile.ZIP_STORED):
    def change(run):
        run.repack(lambda entries: None, method)
        whole = bytearray(run.archive.read_bytes())
        whole[start : start + len(content)] = content
        run.archive.write_bytes(whole)

    return change


def move_entries(entries):
    entries.update({f"results/{name}": entries.pop(name) for name in list(entries)})


THIRD = f"{FIRST}/00002.png"
FAULTS = {
    f"{THIRD}: missing": change_entries(lambda entries: entries.pop(THIRD)),
    f"__MACOSX/{FIRST}/._0.png: unexpected": change_entries(
        lambda entries: entries.update({f"__MACOSX/{FIRST}/._0.png": b""})
    ),
    f"{THIRD}: not a readable PNG": change_entries(lambda entries: entries.update({THIRD: b"nonsense"})),
    f"no entry has an expected path: the first entry is results/{FIRST}/00000.png; expected": change_entries(
        move_entries
    ),
    f"{THIRD}: duplicate entry": duplicate,
    f"{FIRST}/00000.png: not a readable PNG (": change_bytes(200, b"\xff\x01"),  # its checksum differs
    f"{FIRST}/00000.png: not a readable PNG": change_bytes(60, b"\xff" * 20, zipfile.ZIP_LZMA),
    "a.zip: not a readable zip (": lambda run: os.truncate(run.archive, 5000),
    "a.zip: not a readable zip": lambda run: run.archive.write_bytes(b"nonsense"),
    "the archive is empty; expected paths like": lambda run: run.archive.write_bytes(
        b"PK\x05\x06" + bytes(300)
    ),
    "a.zip: no such file": lambda run: run.archive.unlink(),
    "a.zip: no such file;": lambda run: (run.archive.unlink(), run.archive.mkdir()),
    ".zip: no such file": lambda run: (run.archive.unlink(), make_pipe(run.archive)),
}


@pytest.mark.parametrize("problem", FAULTS)
def test_broken_archive_is_named(mose, capsys, problem):
    mose.write()
    FAULTS[problem](mose)
    capsys.readouterr()
    assert mose.check() == 2
    (line,) = lines(capsys)
    assert line.startswith(f"error: {mose.archive}: ")
    assert problem in line


def test_folders_of_an_archive_are_no_masks(mose):
    mose.write()
    mose.repack(lambda entries: entries.update({f"{FIRST}/": b""}))
    assert mose.check() == 0


def test_objects_of_the_metadata_are_expected(tmp_path, capsys):
    run = Run("youtubevos2019", tmp_path)
    change_json(
        run.root / "valid" / "meta.json", lambda meta: meta["videos"]["0a1b2c3d4e"]["objects"].pop("5")
    )
    assert run.write() == 2
    assert "unknown ids 5; the objects are 2, 3" in capsys.readouterr().err


@pytest.mark.parametrize(("line", "words"), [
    *((f"{name} --root . --check a.zip", "aotlab score") for name in ("davis2016", "visor", "longvideo", "folder")),
    ("davis2017", "missing: --results and --output"),
    ("davis2017 --results .", "missing: --output"),
    ("davis2017 --output a.zip", "missing: --results"),
    ("davis2017 --results . --output a.zip --check b.zip", "--check: reads an archive and writes nothing"),
])  # fmt: skip
def test_invalid_line_rejected(line, words, refuse):
    assert words in refuse(main, "--dataset", *line.split())


def test_oversized_image_is_not_decoded(mose, capsys):
    path = mose.results / FIRST / "00001.png"
    Image.new("L", (20000, 8000)).save(path)
    assert mose.write() == 2
    assert "20000×8000; expected" in lines(capsys)[0]


def test_time_to_check_an_archive_is_proportional_to_its_entries(tmp_path, monkeypatch):
    comparisons = 0

    class Name(str):
        __hash__ = str.__hash__

        def __eq__(self, other):
            nonlocal comparisons
            comparisons += 1
            return str.__eq__(self, other)

    stems = tuple(f"{index:05d}" for index in range(200))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for stem in stems:
            file.writestr(f"a/{stem}.png", b"")
    names = [Name(f"a/{stem}.png") for stem in stems]
    monkeypatch.setattr(zipfile.ZipFile, "namelist", lambda self: names)
    expected = [ExpectedSequence("a", stems, (2, 2), frozenset({1}))]
    assert len(check_archive(tmp_path / "a.zip", expected)) == len(stems)  # none is a PNG
    assert comparisons < 10 * len(stems)
