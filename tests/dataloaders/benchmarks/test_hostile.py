"""Lists and metadata that mislead, and sequences that cannot be read beside others that can."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from aotlab.dataloaders.benchmarks.datasets import open_dataset
from aotlab.engine.benchmark.evaluator import RunOptions, evaluate
from aotlab.engine.benchmark.scoring import find_rules, score_videos
from aotlab.utils.errors import InputError
from tests.engine.benchmark.painting import PaintingTracker
from tests.miniatures import (
    make_davis2017,
    make_folder,
    make_longvideo,
    make_lvos,
    make_mose,
    make_mosev2,
    make_visor,
    make_vost,
    make_youtubevos,
)

EVIL = ("../../evil", "..", ".", "/tmp/evil", "..\\evil", ".finished", "\x1b[31m", "x" * 300)
MAKERS = {
    "davis2017": make_davis2017,
    "vost": make_vost,
    "visor": make_visor,
    "mose": make_mose,
    "mosev2": make_mosev2,
    "youtubevos2019": make_youtubevos,
    "lvosv2": make_lvos,
    "longvideo": make_longvideo,
    "folder": make_folder,
}
LISTS = {
    "davis2017": "ImageSets/2017/val.txt",
    "vost": "ImageSets/val.txt",
    "visor": "ImageSets/2022/val.txt",
}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", EVIL, ids=ascii)
@pytest.mark.parametrize("dataset", LISTS)
def test_list_with_unsafe_names_rejected(root, dataset, name):
    MAKERS[dataset](root)
    path = root / LISTS[dataset]
    path.write_text(path.read_text() + name + "\n")
    with pytest.raises(InputError, match=r"val\.txt: line \d+"):
        open_dataset(dataset, root)


@pytest.mark.parametrize("name", EVIL, ids=ascii)
@pytest.mark.parametrize(
    ("dataset", "file"), [("youtubevos2019", "valid/meta.json"), ("lvosv2", "valid/valid_meta.json")]
)
def test_metadata_with_unsafe_names_rejected(root, dataset, file, name):
    MAKERS[dataset](root)
    meta = json.loads((root / file).read_text())
    meta["videos"][name] = next(iter(meta["videos"].values()))
    (root / file).write_text(json.dumps(meta))
    with pytest.raises(InputError, match=r"meta\.json: .* is not a plain name"):
        open_dataset(dataset, root)


BROKEN_META = [
    "", "[]", "3", "null", '"videos"', "{}", '{"videos": null}', '{"videos": 3}', '{"videos": []}', '{"videos": [[]]}',
    '{"videos": {}}', '{"videos": {"a": null}}', '{"videos": {"a": []}}', '{"videos": {"a": {"objects": 3}}}',
    '{"videos": {"a": {"objects": ["x"]}}}', "[" * 100_000, '{"videos": ' * 50_000, "\ufeff{", "\x00", "nan",
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN_META, ids=lambda text: ascii(text)[:40])
@pytest.mark.parametrize(
    ("dataset", "file"),
    [
        ("youtubevos2019", "valid/meta.json"),
        ("lvosv2", "valid/valid_meta.json"),
        ("mosev2", "valid/meta.json"),
    ],
)
def test_malformed_metadata_is_one_sentence(root, dataset, file, text):
    MAKERS[dataset](root)
    (root / file).write_text(text)
    with pytest.raises(InputError, match=r"meta\.json"):
        open_dataset(dataset, root)


@pytest.mark.parametrize(
    "objects",
    [
        {"1": None},
        {"1": []},
        {"1": {}},
        {"1": {"frames": 3}},
        {"1": {"frames": [3, 4]}},
        {"1": {"frames": ["00000", None]}},
        {"1": {"frames": ["../../evil"]}},
        {"x": {"frames": ["00000"]}},
        {"0": {"frames": ["00000"]}},
        {"255": {"frames": ["00000"]}},
        {"1" * 5000: {"frames": ["00000"]}},
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_malformed_objects_are_a_problem_of_their_video(root, objects):
    make_youtubevos(root)
    path = root / "valid" / "meta.json"
    meta = json.loads(path.read_text())
    broken = min(meta["videos"])
    meta["videos"][broken] = {"objects": objects}
    path.write_text(json.dumps(meta))
    videos = open_dataset("youtubevos2019", root)
    assert [video.name for video in videos if video.problem] == [broken]


@pytest.mark.parametrize(
    "span",
    [
        {"start": 1, "end": 10**10, "frame_nums": 2},
        {"start": 10**30, "end": 10**31, "frame_nums": 2},
        {"start": -5, "end": 9, "frame_nums": 2},
        {"start": 9, "end": 1, "frame_nums": 2},
        {"start": 1, "end": 9, "frame_nums": 10**12},
        {"start": 1e400, "end": 9, "frame_nums": 2},
        {"start": None, "end": 9, "frame_nums": 2},
    ],
    ids=str,
)
def test_unbounded_frame_ranges_are_a_problem_of_their_video(root, span):
    make_lvos(root)
    path = root / "valid" / "valid_meta.json"
    meta = json.loads(path.read_text())
    broken = min(meta["videos"])
    meta["videos"][broken] = {"objects": {"1": {"frame_range": span}}}
    path.write_text(json.dumps(meta))
    videos = open_dataset("lvosv2", root)
    assert [video.name for video in videos if video.problem] == [broken]
    assert "object 1 of" in next(video.problem for video in videos if video.problem)


@pytest.mark.parametrize("dataset", [name for name in MAKERS if name != "longvideo"])
@pytest.mark.parametrize("fault", ["no frames", "no masks", "no folder"])
def test_unreadable_sequence_is_skipped_and_reported(root, tmp_path, dataset, fault):
    MAKERS[dataset](root)
    first = open_dataset(dataset, root)[0]
    images, masks = first.frames[0].parent, next(iter(first.masks.values())).parent
    shutil.rmtree(images if fault == "no folder" else {"no frames": images, "no masks": masks}[fault])
    if fault != "no folder":
        {"no frames": images, "no masks": masks}[fault].mkdir()
    videos = open_dataset(dataset, root)
    report = evaluate(PaintingTracker(), videos, tmp_path / "out", RunOptions(progress=False))
    whole = [video.name for video in videos if video.problem is None]
    assert whole
    assert report.finished == whole
    if first.name in [video.name for video in videos]:  # folders alone tell which videos there are
        assert list(report.failures) == [first.name]
        assert str(images.parent) in report.failures[first.name] or str(masks) in report.failures[first.name]
        scored = score_videos(videos, tmp_path / "out")
        assert first.name in scored.failures
        assert find_rules(videos) is find_rules([video for video in videos if video.problem is None])


def test_data_set_without_readable_sequence_rejected(root):
    make_folder(root)
    shutil.rmtree(root / "Annotations")
    with pytest.raises(InputError, match="no such mask"):
        open_dataset("folder", root)


def test_data_set_writes_nothing_outside_the_output_folder(root, tmp_path):
    make_davis2017(root)
    for kind in ("JPEGImages", "Annotations"):
        shutil.copytree(root / kind / "480p", root / kind / "elsewhere")
    path = root / "ImageSets" / "2017" / "val.txt"
    name = path.read_text().split()[0]
    path.write_text(f"../elsewhere/{name}\n")
    with pytest.raises(InputError):
        evaluate(PaintingTracker(), open_dataset("davis2017", root), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dataset", MAKERS)
def test_root_that_may_not_be_entered_is_named(closed_folder, dataset):
    for folder in (closed_folder, closed_folder / "folder"):
        with pytest.raises(InputError, match=r"closed.*cannot be read"):
            open_dataset(dataset, folder)


def test_mask_that_is_lossy_fails_its_sequence_alone(root, tmp_path):
    make_folder(root)
    videos = open_dataset("folder", root)
    path = next(iter(videos[0].masks.values()))
    with Image.open(path) as image:
        labels = np.array(image)
    Image.fromarray(labels).save(path, format="JPEG")
    report = evaluate(PaintingTracker(), videos, tmp_path / "out", RunOptions(progress=False))
    assert list(report.failures) == [videos[0].name]
    assert "a JPEG file" in report.failures[videos[0].name]


def test_video_missing_in_mosev2_metadata_is_its_problem(root):
    make_mosev2(root)
    path = root / "train" / "meta.json"
    meta = json.loads(path.read_text())
    del meta["videos"]["1a1b1c1d"]
    path.write_text(json.dumps(meta))
    first, second = open_dataset("mosev2", root, "train")
    assert [item.object_id for item in first.objects] == [1, 2]
    assert "does not list the video 1a1b1c1d" in second.problem
