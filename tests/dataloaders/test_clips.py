"""Training clips: what moves together, what is numbered how, and what is said when data is missing."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from configs.training import DataConfig, PhaseConfig, SourceConfig
from dataloaders.clips import (
    MAX_OBJECTS,
    Clip,
    StaticImages,
    VideoClips,
    merge,
    open_source,
    reflect,
    relabel,
)
from dataloaders.drawing import draw_clip
from dataloaders.mixture import clip_loader, open_mixture
from utils.errors import InputError
from utils.masks import write_mask

CROP = 65


def rng(seed=0):
    return np.random.default_rng(seed)


def write_videos(root, *names, frames=4, size=(72, 96), start=0):
    """Drawn videos as JPEGImages/<name>/ and Annotations/<name>/."""
    for seed, name in enumerate(names, start=start):
        images, masks = draw_clip(frames, *size, seed)
        folder = root / "JPEGImages" / name
        folder.mkdir(parents=True)
        for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
            Image.fromarray(image).save(folder / f"{index:05d}.png")
            write_mask(root / "Annotations" / name / f"{index:05d}.png", mask)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    write_videos(root / "videos", "a", "b")
    write_videos(root / "static", "shapes", frames=3, start=5)
    return root


def phase(*sources, **options):
    return PhaseConfig(**{"name": "p", "steps": 4, "batch": 2, "clip_length": 3, "crop": CROP, "short_edge": 72,
                          "sources": list(sources), **options})  # fmt: skip


def labelled(labels):
    """A clip whose pictures show the label as grey."""
    labels = np.asarray(labels, np.uint8)
    return Clip(np.repeat(labels[..., None], 3, axis=-1), labels, len(set(np.unique(labels)) - {0, 255}))


def test_relabelling_numbers_the_reference_frames_objects_and_drops_others():
    labels = np.zeros((2, 20, 20), np.uint8)
    labels[:, :10, :10], labels[:, 10:, :10], labels[0, 0, 19], labels[1, 10:, 10:] = 7, 40, 9, 5
    clip = relabel(np.zeros((2, 20, 20, 3), np.uint8), labels, rng(), minimum=50)
    assert clip.objects == 2
    assert {int(clip.labels[0, 0, 0]), int(clip.labels[0, 19, 0])} == {1, 2}
    assert np.array_equal(clip.labels[0][:, :10], clip.labels[1][:, :10])
    assert clip.labels[0, 0, 19] == 0  # too small
    assert not clip.labels[1, 10:, 10:].any()  # not on the reference frame


def test_an_object_of_exactly_the_minimum_is_dropped():
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[0, :10, :10] = 1
    frames = np.zeros((1, 20, 20, 3), np.uint8)
    assert relabel(frames, labels, rng(), minimum=100).objects == 0
    assert relabel(frames, labels, rng(), minimum=99).objects == 1


def test_ignored_pixels_stay_ignored():
    labels = np.full((1, 20, 20), 255, np.uint8)
    labels[0, :5] = 8
    clip = relabel(np.zeros((1, 20, 20, 3), np.uint8), labels, rng(), minimum=0)
    assert clip.objects == 1
    assert (clip.labels[0, 5:] == 255).all()


def test_no_more_than_ten_objects_are_kept():
    labels = np.repeat(np.arange(1, 25, dtype=np.uint8), 30).reshape(1, 24, 30)
    clip = relabel(np.zeros((1, 24, 30, 3), np.uint8), labels, rng(), minimum=0)
    assert clip.objects == MAX_OBJECTS
    assert sorted(np.unique(clip.labels)) == list(range(11))
    assert all((clip.labels == number).sum() == 30 for number in range(1, 11))


def test_merging_pastes_the_seconds_objects_over_the_first():
    below, above = np.zeros((2, 30, 30), np.uint8), np.zeros((2, 30, 30), np.uint8)
    below[:, :, :15], above[:, 15:, :], above[:, 0, 0] = 1, 1, 255
    first = Clip(np.full((2, 30, 30, 3), 10, np.uint8), below, 1)
    second = Clip(np.full((2, 30, 30, 3), 200, np.uint8), above, 1)
    merged = merge(first, second, rng())
    assert merged.objects == 2
    assert (merged.frames[:, 15:] == 200).all()
    assert (merged.frames[:, :15] == 10).all()
    corners = {int(merged.labels[0, 5, 5]), int(merged.labels[0, 20, 20])}
    assert corners == {1, 2}
    assert (merged.labels[0, 15:] == merged.labels[0, 20, 20]).all()
    assert merged.labels[0, 0, 0] == merged.labels[0, 5, 5]  # what the second ignores is not pasted
    assert (merged.labels[:, :15, 15:] == 0).all()


def test_an_object_covered_by_merging_is_no_longer_counted():
    below = np.zeros((1, 30, 30), np.uint8)
    below[:, :15] = 1
    merged = merge(labelled(below), labelled(below), rng())
    assert merged.objects == 1


@pytest.mark.parametrize(
    ("length", "index", "place"),
    [(1, 9, 0), (5, 4, 4), (5, 5, 3), (5, 8, 0), (5, 9, 1), (5, -1, 1), (5, -4, 4), (2, -3, 1)],
)
def test_frame_numbers_fold_back_at_both_ends(length, index, place):
    assert reflect(index, length) == place


def test_a_source_is_found_below_the_root(root):
    videos = open_source(root, SourceConfig("videos", max_gap=2))
    assert isinstance(videos, VideoClips)
    assert [len(video) for video in videos.videos] == [4, 4]
    static = open_source(root, SourceConfig("static", kind="static"))
    assert isinstance(static, StaticImages)
    assert len(static.pairs) == 3


def test_a_split_names_the_videos(tmp_path):
    write_videos(tmp_path / "set", "a", "b", frames=2)
    (tmp_path / "set" / "ImageSets").mkdir()
    (tmp_path / "set" / "ImageSets" / "train.txt").write_text("b\n")
    source = open_source(tmp_path, SourceConfig("set", split="train"))
    assert [video[0][0].parent.name for video in source.videos] == ["b"]


def test_a_clip_of_a_video_steps_through_it_by_no_more_than_the_gap(root):
    source = open_source(root, SourceConfig("videos", max_gap=2))
    video = source.videos[0] * 10  # a long one, so that nothing folds back
    for seed in range(30):
        steps = np.diff(VideoClips((video,), 2)._indices(video, 5, rng(seed)))
        if np.abs(steps).sum() and not (np.diff(np.sign(steps)) != 0).any():
            assert set(np.abs(steps)) <= {1, 2}


@pytest.mark.parametrize("source", [SourceConfig("videos"), SourceConfig("static", kind="static")])
def test_clip_number_i_is_a_pure_function_of_the_seed_and_i(root, source):
    data = DataConfig(root=str(root))
    mixture, again = (open_mixture(data, phase(source), 3) for _ in range(2))
    third = mixture[2]  # asked for first, and again last
    clips = [mixture[index] for index in range(4)]
    for clip, other in ((third, clips[2]), (third, again[2])):
        assert np.array_equal(clip.frames, other.frames)
        assert np.array_equal(clip.labels, other.labels)
    assert not np.array_equal(clips[1].frames, clips[2].frames)
    assert not np.array_equal(open_mixture(data, phase(source), 4)[2].frames, third.frames)


@pytest.mark.parametrize("merged", [0.0, 1.0])
def test_labels_of_a_clip_are_consecutive_numbers_on_the_reference_frame(root, merged):
    mixture = open_mixture(DataConfig(root=str(root)), phase(SourceConfig("videos"), merge=merged), 0)
    for index in range(6):
        clip = mixture[index]
        assert clip.frames.shape == (3, CROP, CROP, 3)
        assert sorted(set(np.unique(clip.labels[0])) - {0, 255}) == list(range(1, clip.objects + 1))
        assert set(np.unique(clip.labels)) - {255} <= set(range(clip.objects + 1))


def test_sources_are_drawn_by_weight(root):
    sources = SourceConfig("videos", weight=1), SourceConfig("static", kind="static", weight=3)
    assert open_mixture(DataConfig(root=str(root)), phase(*sources), 0).weights == (0.25, 0.75)


def test_a_loader_that_starts_later_gives_the_same_later_batches(root):
    mixture = open_mixture(DataConfig(root=str(root), workers=0), phase(SourceConfig("videos")), 0)
    batches = list(clip_loader(mixture, 0))
    assert len(batches) == 4
    assert batches[0].frames.shape == (3, 2, CROP, CROP, 3)
    assert batches[0].labels.shape == (3, 2, CROP, CROP)
    for batch, later in zip(batches[2:], clip_loader(mixture, 2), strict=True):
        assert batch.frames.equal(later.frames)
        assert batch.labels.equal(later.labels)
        assert batch.objects == later.objects


@pytest.mark.parametrize(
    ("data", "sources", "words"),
    [
        ({"root": None}, [SourceConfig("videos")], r"data\.root: not set"),
        ({"root": "/nowhere"}, [SourceConfig("videos")], r"data\.root=/nowhere: no such folder"),
        ({}, [], "phase p names no sources"),
        ({}, [SourceConfig("gone")], r"gone: no training data here"),
        ({}, [SourceConfig("videos", split="train")], r"train\.txt: no such list file"),
    ],
)
def test_missing_data_is_one_sentence(root, data, sources, words):
    with pytest.raises(InputError, match=words):
        open_mixture(DataConfig(**{"root": str(root), **data}), phase(*sources), 0)


def test_an_empty_split_is_named(tmp_path):
    write_videos(tmp_path / "set", "a", frames=2)
    (tmp_path / "set" / "ImageSets").mkdir()
    (tmp_path / "set" / "ImageSets" / "train.txt").write_text("\n")
    with pytest.raises(InputError, match=r"train\.txt: the list is empty"):
        open_source(tmp_path, SourceConfig("set", split="train"))


def test_missing_annotations_are_named(tmp_path):
    write_videos(tmp_path / "set", "a", frames=2)
    (tmp_path / "set" / "Annotations").rename(tmp_path / "set" / "Masks")
    with pytest.raises(InputError, match="expected JPEGImages/ and Annotations/"):
        open_source(tmp_path, SourceConfig("set"))


def test_masks_of_other_names_are_no_pairs(tmp_path):
    write_videos(tmp_path / "set", "a", frames=2)
    (tmp_path / "set" / "Annotations" / "a").rename(tmp_path / "set" / "Annotations" / "b")
    with pytest.raises(InputError, match="no image with a mask of the same name"):
        open_source(tmp_path, SourceConfig("set"))


def test_single_images_are_no_videos(tmp_path):
    write_videos(tmp_path / "set", "a", "b", frames=1)
    with pytest.raises(InputError, match="no video of two frames or more"):
        open_source(tmp_path, SourceConfig("set"))


@pytest.mark.parametrize("kind", ["static", "video"])
def test_a_mask_of_another_size_than_its_image_is_named(tmp_path, kind):
    write_videos(tmp_path / "set", "a", frames=2)
    for index in range(2):
        write_mask(tmp_path / "set" / "Annotations" / "a" / f"{index:05d}.png", np.ones((40, 50), np.uint8))
    source = open_source(tmp_path, SourceConfig("set", kind=kind))
    with pytest.raises(InputError, match=r"0000.\.png: the mask is 50×40, but its frame is 96×72"):
        source.sample(3, CROP, 72, rng())


def test_frames_of_two_sizes_in_one_video_are_named(tmp_path):
    write_videos(tmp_path / "set", "a", frames=2)
    Image.new("RGB", (50, 40)).save(tmp_path / "set" / "JPEGImages" / "a" / "00001.png")
    write_mask(tmp_path / "set" / "Annotations" / "a" / "00001.png", np.ones((40, 50), np.uint8))
    source = open_source(tmp_path, SourceConfig("set", max_gap=1))
    with pytest.raises(InputError, match=r"0000.\.png: .*but another frame of its video is"):
        source.sample(2, CROP, 72, rng())
