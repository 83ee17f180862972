"""Data of training phases: selected phases, and videos held out for validation."""

import logging
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from aotlab.configs.load import load_config
from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.training.phases import open_phases
from aotlab.dataloaders.training.sets import VideoSet
from aotlab.media.masks import write_mask
from aotlab.utils.errors import InputError
from aotlab_testing.drawn_clips import write_list
from aotlab_testing.in_memory import write_videos

RECIPE = "configs/recipes/finetune.yaml"


@pytest.fixture
def folder(tmp_path):
    """Makes a folder of small videos."""

    def make(videos):
        names = [f"clip{number:02d}" for number in range(videos)]
        write_videos(tmp_path, *names, frames=3, size=(40, 40))
        return tmp_path

    return make


def open_sources(root, *phases):
    """Open the recipe with the videos of a folder, and a phase for each list of sources."""
    config = load_config(RECIPE, [f"data.root={root.parent}"])
    (phase,) = config.train.phases
    phases = [phase.replace(name=f"p{place}", sources=sources) for place, sources in enumerate(phases)]
    return open_phases(config.replace(train={"phases": phases}))


def list_trained_videos(data):
    sources = [mixture.sources for mixture in data.mixtures.values()]
    return [[video.name for source in each for video in source.videos] for each in sources]


def test_fine_tuning_reports_held_back_videos(folder, caplog):
    config = load_config(RECIPE, [f"data.root={folder(20)}"])
    with caplog.at_level(logging.INFO):
        data = open_phases(config)
    validation_names = [video.name for video in data.validation]
    assert validation_names == ["clip05", "clip15"]
    (trained,) = list_trained_videos(data)
    assert len(trained) == 18
    assert not set(trained) & set(validation_names)
    assert "held out for validation" in caplog.text
    assert "clip05, clip15" in caplog.text


@pytest.mark.parametrize(
    ("path", "kind", "items", "count"),
    [("./{}", "video", "videos", 8), ("{}", "static", "images", 24), ("{}/link", "video", "videos", 8)],
)
def test_no_phase_trains_on_validation_videos(folder, path, kind, items, count):
    root = folder(20)
    write_list(root / "ImageSets" / "half.txt", [f"clip{number:02d}" for number in range(1, 20, 2)])
    (root / "link").symlink_to(root)
    other = SourceConfig(path=path.format(root.name), kind=kind, split="half")
    data = open_sources(root, [SourceConfig(path=root.name)], [other])
    validation_names = {video.name for video in data.validation}
    assert validation_names == {"clip05", "clip15"}
    (first,), (second,) = (mixture.sources for mixture in data.mixtures.values())
    assert not validation_names & {video.name for video in first.videos}
    trained = getattr(second, items)
    assert len(trained) == count
    assert not any(name in str(item) for item in trained for name in validation_names)


@pytest.mark.parametrize(("kind", "items", "count"), [("video", "videos", 1), ("static", "images", 3)])
def test_linked_frames_are_held_back(folder, kind, items, count):
    root = folder(10)
    for path in sorted(root.glob("*/*/*.png")):  # one folder for the frames of all videos, as in a cache
        link = root.parent / f"{root.name}_{kind}_linked" / path.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        pooled = root.parent / f"{root.name}_{kind}_pool" / "_".join(path.relative_to(root).parts)
        pooled.parent.mkdir(exist_ok=True)
        path.rename(pooled)
        path.symlink_to(pooled)
        link.symlink_to(pooled)
    write_list(root.parent / f"{root.name}_{kind}_linked" / "ImageSets" / "two.txt", ["clip04", "clip05"])
    linked = SourceConfig(path=f"{root.name}_{kind}_linked", kind=kind, split="two")
    data = open_sources(root, [SourceConfig(path=root.name)], [linked])
    assert [video.name for video in data.validation] == ["clip05"]
    (first,), (second,) = (mixture.sources for mixture in data.mixtures.values())
    assert len(first.videos) == 9
    trained = getattr(second, items)
    assert len(trained) == count
    assert not any("clip05" in str(item) for item in trained)


def test_source_of_only_validation_videos_rejected(folder):
    root = folder(10)
    write_list(root / "ImageSets" / "one.txt", ["clip05"])
    with pytest.raises(InputError, match="validates on all videos of a source; name the validation videos"):
        open_sources(root, [SourceConfig(path=root.name), SourceConfig(path=root.name, split="one")])


def test_few_videos_are_all_trained_on(folder, caplog):
    with caplog.at_level(logging.INFO):
        data = open_phases(load_config(RECIPE, [f"data.root={folder(9)}"]))
    assert data.validation == []
    assert [len(names) for names in list_trained_videos(data)] == [9]
    assert "no validation" in caplog.text


def test_named_validation_videos_hold_back_no_others(folder):
    root = folder(12)
    write_list(root / "ImageSets" / "val.txt", ["clip00"])
    write_list(root / "ImageSets" / "train.txt", [f"clip{number:02d}" for number in range(1, 12)])
    split = "train.phases.0.sources.0.split=train"
    data = open_phases(load_config(RECIPE, [f"data.root={root}", "data.validation=[{path: .}]", split]))
    assert [video.name for video in data.validation] == ["clip00"]
    assert [len(names) for names in list_trained_videos(data)] == [11]


@pytest.mark.parametrize("kind", ["video", "static"])
def test_training_on_a_copy_of_a_validation_video_rejected(folder, kind):
    root = folder(5)
    for part in ("JPEGImages", "Annotations"):
        shutil.copytree(root / part / "clip03", root / "held" / part / "other")
    settings = [f"data.root={root}", "data.validation=[{path: held}]", f"train.phases.0.sources.0.kind={kind}"]
    message = r"held/JPEGImages/other: a validation video that is also trained on, .*clip03/0000"
    with pytest.raises(InputError, match=message):
        open_phases(load_config(RECIPE, settings))


def test_black_frame_in_both_sets_is_no_shared_video(folder):
    root = folder(3)
    write_videos(root / "held", "other", frames=3, size=(40, 40), start=7)
    for name in ("JPEGImages/clip01", "held/JPEGImages/other"):
        Image.new("RGB", (40, 40)).save(root / name / "00000.png")
    data = open_phases(load_config(RECIPE, [f"data.root={root}", "data.validation=[{path: held}]"]))
    assert [video.name for video in data.validation] == ["other"]


def test_copy_of_a_held_back_video_rejected(folder):
    root = folder(10)
    for part in ("JPEGImages", "Annotations"):
        shutil.copytree(root / part / "clip05", root / part / "second")
    with pytest.raises(InputError, match=r"is also trained on, .*second/0000"):
        open_phases(load_config(RECIPE, [f"data.root={root}"]))


def test_missing_folders_are_named_together(folder):
    root = folder(3)
    sources = "train.phases.0.sources=[{path: .}, {path: COCO, kind: coco}, {path: VOC, kind: voc2012}]"
    settings = [f"data.root={root}", sources, "data.validation=[{path: DAVIS, kind: davis}]"]
    with pytest.raises(InputError) as caught:
        open_phases(load_config(RECIPE, settings))
    assert all(f"{root / name} ({kind})" in str(caught.value) for name, kind in [
        ("COCO", "coco"), ("VOC", "voc2012"), ("DAVIS", "davis"),
    ])  # fmt: skip


def clear_masks(root, name, *frames):
    for index in frames:
        write_mask(root / f"Annotations/{name}/{index:05d}.png", np.zeros((40, 40), np.uint8))


def test_only_videos_that_can_be_scored_are_held_back(folder):
    root = folder(10)
    write_videos(root, "long", frames=4, size=(40, 40))
    clear_masks(root, "long", 0)
    for number in range(10):
        clear_masks(root, f"clip{number:02d}", 0)
    (root / "Annotations/clip01/00000.png").write_bytes(b"nonsense")
    data = open_phases(load_config(RECIPE, [f"data.root={root}", "data.validation_fraction=0.5"]))
    (video,) = data.validation
    assert (video.name, [path.stem for path in video.frames]) == ("long", ["00001", "00002", "00003"])
    assert [path.stem for path in video.annotations] == ["00001", "00002", "00003"]
    assert list_trained_videos(data) == [[f"clip{number:02d}" for number in range(10)]]


@pytest.mark.parametrize(("frames", "count"), [((0,), 2), ((0, 1, 2), 0)])
def test_error_names_the_short_validation_video(folder, frames, count):
    root = folder(3)
    clear_masks(root, "clip01", *frames)
    message = f"{root}/JPEGImages/clip01: {count} labeled frames from the first object on, but a video of data.val"
    with pytest.raises(InputError, match=re.escape(message)):
        open_phases(load_config(RECIPE, [f"data.root={root}", "data.validation=[{path: .}]"]))


def test_validation_folder_without_list_gives_all_videos(folder):
    root = folder(3)
    write_videos(root / "held", "a", "b", frames=3, size=(40, 40), start=7)
    data = open_phases(load_config(RECIPE, [f"data.root={root}", "data.validation=[{path: held}]"]))
    assert [video.name for video in data.validation] == ["a", "b"]


def test_fingerprints_are_those_of_the_remaining_phases(folder, monkeypatch):
    root, computed = folder(20), []
    monkeypatch.setattr(VideoSet, "fingerprint", lambda videos: computed.append(len(videos.videos)) or "x")
    first, second = SourceConfig(path=root.name, kind="static"), SourceConfig(path=root.name)
    data = open_sources(root, [first], [second], [second])
    names = [f"{root.name} (static)", f"{root.name} (video)", "validation"]
    assert [*data.fingerprints()] == names
    assert [*data.fingerprints(1)] == names[1:]
    assert data.fingerprints()["validation"].startswith("12 files, SHA-256 ")
    assert computed == [18] * 3
    assert replace(data, validation=[]).fingerprints()["validation"] == "none"


def test_masks_without_any_object_rejected(folder):
    root = folder(2)
    for path in root.glob("Annotations/*/*.png"):
        write_mask(path, np.zeros((40, 40), np.uint8))
    with pytest.raises(InputError, match=r"first 20 clips of phase \w+ show no object; check the masks"):
        open_phases(load_config(RECIPE, [f"data.root={root}", "train.phases.0={crop: 65, short_edge: 64}"]))
