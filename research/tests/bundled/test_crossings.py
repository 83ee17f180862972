"""Rendered clips of look-alikes: their objects, labels and files."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

from aotlab.dataloaders.training.layouts import read_video_folders
from aotlab.media.images import read_image
from aotlab.media.masks import write_mask
from aotlab.utils.errors import InputError
from aotlab_testing.in_memory import rng
from research.bundled.crossings import scene, sprites
from research.bundled.crossings.__main__ import main
from research.bundled.crossings.models import ModelRenderer, build_furniture
from research.bundled.crossings.sprites import Sources, crop_sprite, list_objects
from research.bundled.touching_clips import is_held_out

needs_opengl = pytest.mark.skipif(importlib.util.find_spec("moderngl") is None, reason="moderngl is not installed")


def draw_square(side=60, shift=0):
    """Return an image and a mask of one whole object."""
    labels = np.zeros((90, 120), np.uint8)
    labels[15 : 15 + side, 20 + shift : 20 + shift + side] = 1
    noise = rng(0).integers(0, 60, (90, 120, 3), np.uint8)
    return noise + 150 * labels[..., None], labels


def write_pairs(folder, name, pairs):
    for index, (image, labels) in enumerate(pairs):
        path = folder / "JPEGImages" / name / f"{index:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        write_mask(folder / "Annotations" / name / f"{index:05d}.png", labels)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_pairs(folder / "images", "squares", [draw_square()] * 40)
    write_pairs(folder / "videos", "walk", [draw_square(shift=2 * index) for index in range(8)])
    lists = folder / "videos" / "ImageSets"
    lists.mkdir()
    (lists / "train.txt").write_text("walk\n")
    return folder


@pytest.fixture(autouse=True)
def few_frames(monkeypatch):
    monkeypatch.setattr(scene, "FRAMES", (3, 4))


def open_sources(data):
    return Sources(data / "images", data / "videos", "train", None)


def test_clip_depends_on_its_seed_only(data):
    first, again, other = (scene.render_clip(rng(seed), open_sources(data)) for seed in (3, 3, 4))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0][0], other[0][0])


def test_first_frame_shows_two_objects(data):
    sources = open_sources(data)
    for seed in range(2):
        frames, labels = scene.render_clip(rng(seed), sources)
        assert 3 <= len(frames) == len(labels) <= 4
        assert frames[0].shape == (scene.HEIGHT, scene.WIDTH, 3)
        assert (np.bincount(labels[0].ravel())[1:] >= scene.MIN_VISIBLE).sum() >= 2


def test_video_background_keeps_its_labels(data):
    sources = Sources(None, data / "videos", "train", None)
    drawn = (sources.draw_background(rng(seed), 6) for seed in range(20))
    background = next(background for background, video in drawn if video is not None)
    assert len(background) == 6
    assert all((labels == 1).sum() == 3600 for _, labels in background)


def test_copies_of_a_video_start_at_different_frames(data):
    copies = open_sources(data).cut_out_copies(0, rng(0), 3)
    assert len({copy.frames[0].tobytes() for copy in copies}) > 1
    assert {(copy.width, copy.height) for copy in copies} == {(60, 60)}


def test_held_out_images_are_not_used(data):
    used = open_sources(data).images.images
    assert 0 < len(used) < 40
    assert not any(is_held_out(image.image) for image in used)
    held_out = Sources(data / "images", None, "", None, held_out=True).images.images
    assert len(used) + len(held_out) == 40


def test_only_whole_large_objects_are_cut_out():
    _, whole = draw_square()
    small, parted, cut = draw_square(side=40)[1], whole.copy(), np.roll(whole, -20, axis=1)
    parted[:, 45:55] = 0
    assert list_objects(whole) == [1]
    assert [list_objects(mask) for mask in (small, parted, cut)] == [[]] * 3


def test_sprite_is_centered_and_premultiplied():
    image, labels = draw_square()
    sprite = crop_sprite([(image, labels == 1)])
    alpha = sprite.frames[0][..., 3]
    rows, columns = np.nonzero(alpha > 127)
    assert (np.array([rows.mean(), columns.mean()]) - len(alpha) / 2) == pytest.approx(0, abs=1.5)
    assert (sprite.frames[0][alpha == 0] == 0).all()


def test_images_without_objects_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(sprites, "DRAWS", 4)
    write_pairs(tmp_path, "empty", [(draw_square()[0], np.zeros((90, 120), np.uint8))] * 2)
    with pytest.raises(InputError, match="no whole object of 2000 pixels in 4 images"):
        Sources(tmp_path, None, "train", None).cut_out_object(rng(0), None)


def test_command_writes_clips_once(data, tmp_path):
    arguments = [str(tmp_path), "--images", str(data / "images"), "--clips", "2"]
    assert main(arguments) == 0
    assert [video.name for video in read_video_folders(tmp_path)] == ["s00000", "s00001"]
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert main(arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == files


def test_contact_sheet_has_a_row_per_clip(data, tmp_path):
    sheet = tmp_path / "sheet.png"
    videos = ["--videos", str(data / "videos"), "--clips", "2"]
    assert main([str(tmp_path / "clips"), *videos, "--sheet", str(sheet)]) == 0
    assert read_image(sheet).shape == (2 * 135, 5 * 240, 3)
    assert not (tmp_path / "clips").exists()


def test_command_without_sources_rejected(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "--images, --videos, --models: give at least one source" in capsys.readouterr().err


def test_furniture_has_closed_boxes():
    part = build_furniture(rng(0))
    assert part.vertices.shape[1] == 16
    assert len(part.triangles) * 2 == len(part.vertices) // 2
    assert part.triangles.max() == len(part.vertices) - 1


@needs_opengl
def test_furniture_turns(tmp_path):
    copies = ModelRenderer(tmp_path).render_group(rng(0), 2, 3, np.full((8, 8, 3), 120, np.uint8))
    assert [len(copy) for copy in copies] == [3, 3]
    assert all(500 < (sprite[..., 3] > 127).sum() < 20000 for copy in copies for sprite in copy)
    assert not np.array_equal(copies[0][0], copies[0][2])
