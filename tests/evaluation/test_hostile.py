"""Hostile lists and metadata; unreadable sequences beside readable ones."""

import json
import shutil

import pytest

from aotlab.benchmark.evaluator import evaluate
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.benchmarks.lvos import MAX_FRAME
from aotlab.evaluation.scoring import score_videos
from aotlab.utils.errors import InputError
from aotlab_testing import miniatures
from aotlab_testing.marks import slow
from aotlab_testing.miniatures import open_dataset
from aotlab_testing.mutations import change_json, check_mutations, raise_error
from aotlab_testing.repeating_tracker import RepeatingTracker

EVIL = ("../../evil", "..", ".", "/tmp/evil", "..\\evil", ".finished", "\x1b[31m", "x" * 300)
MINIATURES = ("davis2017", "vost", "visor", "mose", "mosev2", "youtubevos2019", "lvosv2", "longvideo", "folder")
METADATA = {"youtubevos2019": "valid/meta.json", "lvosv2": "valid/valid_meta.json", "mosev2": "train/meta.json"}
LISTS = {"davis2017": "ImageSets/2017/val.txt", "vost": "ImageSets/val.txt", "visor": "ImageSets/2022/val.txt"}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def change_metadata(path, change):
    change_json(path, lambda meta: change(meta["videos"]))


@pytest.mark.parametrize("dataset", LISTS)
def test_unsafe_names_in_lists_rejected(root, dataset):
    miniatures.make(dataset, root)
    path = root / LISTS[dataset]
    whole = path.read_text()
    for name in EVIL:
        path.write_text(f"{whole}{name}\n")
        with pytest.raises(InputError, match=r"val\.txt: line \d+"):
            open_dataset(dataset, root)


@pytest.mark.parametrize("dataset", ["youtubevos2019", "lvosv2"])
def test_unsafe_names_in_metadata_rejected(root, dataset):
    miniatures.make(dataset, root)
    path = root / METADATA[dataset]
    whole = path.read_text()
    for name in EVIL:
        path.write_text(whole)
        change_metadata(path, lambda videos, name=name: videos.update({name: next(iter(videos.values()))}))
        with pytest.raises(InputError, match=r"meta\.json: .* is not a plain name"):
            open_dataset(dataset, root)


BROKEN_META = [
    "", "[]", "3", "null", '"videos"', "{}", '{"videos": null}', '{"videos": 3}', '{"videos": []}', '{"videos": [[]]}',
    '{"videos": {}}', '{"videos": {"a": null}}', '{"videos": {"a": []}}', '{"videos": {"a": {"objects": 3}}}',
    '{"videos": {"a": {"objects": ["x"]}}}', "[" * 100_000, '{"videos": ' * 50_000, "\ufeff{", "\x00", "nan",
    '{"videos": {"a": {"objects": {"1": Infinity}}}}',
]  # fmt: skip


@pytest.mark.parametrize("dataset", METADATA)
def test_malformed_metadata_rejected(root, dataset):
    miniatures.make(dataset, root)
    path, split = root / METADATA[dataset], "train" if dataset == "mosev2" else "val"
    whole = json.loads(path.read_text())
    for text in BROKEN_META:
        path.write_text(text)
        with pytest.raises(InputError, match=r"meta\.json"):
            open_dataset(dataset, root, split)
    check_mutations(lambda _: open_dataset(dataset, root, split), path, whole, 40)


def frames(*stems):
    return {"frames": list(stems)}


def span(start, end, count):
    return {"frame_range": {"start": start, "end": end, "frame_nums": count}}


OBJECTS = [
    *[("youtubevos2019", {"1": entry}) for entry in (None, [], {}, {"frames": 3}, frames(3, 4), frames("0", None))],
    *[("youtubevos2019", {object_id: frames("00000")}) for object_id in ("x", "0", "255", "1" * 5000)],
    ("youtubevos2019", {"1": frames("../../evil")}),
    *[("lvosv2", {"1": span(start, 9, 2)}) for start in (-5, None, 10)],
    *[("lvosv2", {"1": entry}) for entry in (span(1, MAX_FRAME + 1, 2), span(1, 9, MAX_FRAME + 1))],
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "objects"), OBJECTS, ids=lambda value: ascii(value)[:40])
def test_malformed_objects_are_a_problem_of_their_video(root, dataset, objects):
    miniatures.make(dataset, root)
    broken = []

    def change(videos):
        broken.append(min(videos))
        videos[broken[0]] = {"objects": objects}

    change_metadata(root / METADATA[dataset], change)
    videos = open_dataset(dataset, root)
    assert [video.name for video in videos if video.load_error] == broken
    assert " of " in next(video.load_error for video in videos if video.load_error)


@pytest.mark.parametrize(("dataset", "module"), [
    ("youtubevos2019", "dataloaders.layouts"), ("lvosv2", "evaluation.benchmarks.lvos"),
    ("mosev2", "evaluation.benchmarks.mose"),
])  # fmt: skip
@pytest.mark.parametrize("error", [TypeError, KeyError])
def test_bug_of_a_metadata_reader_keeps_its_traceback(root, monkeypatch, dataset, module, error):
    miniatures.make(dataset, root)
    monkeypatch.setattr(f"aotlab.{module}.ObjectInfo", raise_error(error))
    with pytest.raises(error):
        open_dataset(dataset, root, "train" if dataset == "mosev2" else "val")


@pytest.mark.parametrize("dataset", [name for name in MINIATURES if name != "longvideo"])
@pytest.mark.parametrize("fault", ["no masks", *slow("no frames", "no folder")])
def test_unreadable_sequence_is_skipped_and_reported(root, tmp_path, dataset, fault):
    miniatures.make(dataset, root)
    first = open_dataset(dataset, root)[0]
    images, masks = first.frames[0].parent, next(iter(first.reference_masks.values())).parent
    place = masks if fault == "no masks" else images
    shutil.rmtree(place)
    if fault != "no folder":
        place.mkdir()
    videos = open_dataset(dataset, root)
    report = evaluate(RepeatingTracker(), videos, tmp_path / "out")
    whole = [video.name for video in videos if video.load_error is None]
    assert whole
    assert list(report.sequences) == whole
    listed = fault != "no folder" or dataset in (*LISTS, "youtubevos2019")
    assert (first.name in [video.name for video in videos]) == listed
    if listed:  # elsewhere the folders of frames tell which videos there are
        assert list(report.failures) == [first.name]
        parts = (str(images.parent), str(masks), f"no frame of {first.name} has a mask")
        assert any(part in report.failures[first.name] for part in parts)
        scored = score_videos(find_benchmark(dataset), videos, tmp_path / "out")
        assert first.name in scored.failures


@pytest.mark.parametrize("dataset", MINIATURES)
def test_error_names_the_closed_root(closed_folder, dataset):
    for folder in (closed_folder, closed_folder / "folder"):
        with pytest.raises(PermissionError, match="closed"):
            open_dataset(dataset, folder)


def test_video_missing_in_mosev2_metadata_is_its_problem(root):
    miniatures.make_mosev2(root)
    change_metadata(root / "train" / "meta.json", lambda videos: videos.pop("1a1b1c1d"))
    first, second = open_dataset("mosev2", root, "train")
    assert [item.object_id for item in first.objects] == [1, 2]
    assert "lists no object of the video 1a1b1c1d" in second.load_error
