"""Exported pixels equal those stored in the project, in every output."""

import json
import zipfile
from contextlib import closing

import av
import numpy as np
import pytest
from PIL import Image

from aotlab import draw_overlay
from aotlab.media.overlay import draw_names
from aotlab_studio.document import editing
from aotlab_studio.document.log import Changes, Layer
from aotlab_studio.document.masks import LayerFrame
from aotlab_studio.document.objects import make_object
from aotlab_studio.document.scores import measure_scores
from aotlab_studio.session.actions import Export
from aotlab_studio.session.export import describe_masks
from aotlab_testing.marks import needs_compositing
from aotlab_video import VideoInfo, list_outputs, make_output, open_frames, read_annotations
from studio.tests.annotation.clips import HEIGHT, LENGTH, WIDTH, draw_folder
from studio.tests.annotation.sessions import open_session, set_mask

NAMES = {3: "person", 300: "dish"}
TRACKED = 9
"""Frames with a result; the others were never tracked."""
CLEARED = 5
"""Frame on which object 3 is stated to be absent."""
ID_FILES = ("masks", "objects", "coco", "youtube_vis", "cvat", "label_studio", "mots")
"""Outputs with object ids and exact pixels."""
FILM = ("alpha", "cryptomatte", "exr", "mattes16", "prores")
"""Outputs of aotlab-compositing."""
OUTLINES = {"yolo": 0.01}
"""Outputs with outlines: largest share of a frame's pixels that may differ."""


def draw_labels(index):
    """H×W ids: a disc that slides, and an object in two parts with an id that needs 16 bits."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    labels = np.zeros((HEIGHT, WIDTH), np.uint16)
    labels[(columns - 40) ** 2 / 2 + (rows - 30) ** 2 < 50] = 300
    labels[3:9, 50:58] = 300
    labels[(columns - 12 - 2 * index) ** 2 + (rows - 12) ** 2 < 80] = 3
    labels[labels == (3 if index == CLEARED else 0)] = 0
    return labels


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A project with tracked masks and a drawn frame on its first frames, exported in all outputs."""
    with closing(open_session(draw_folder(tmp_path_factory.mktemp("formats") / "clip"))) as session:
        document = session.document
        layer_id = document.make_layer_id()
        for index in range(TRACKED):
            scores = measure_scores(draw_labels(index), list(NAMES), {}, {})
            document.tracked_masks.put(layer_id, LayerFrame(index, scores), draw_labels(index))
        document.tracked_masks.finish(layer_id)
        objects = {each: make_object(each, class_name=name) for each, name in NAMES.items()}
        layer = Layer(list(NAMES), 0, TRACKED - 1, kind="import")
        document.edit("tracking", Changes(objects=objects, layers={layer_id: layer}))
        set_mask(document, 2, 3, draw_labels(2) == 3)
        editing.MarkAbsent(CLEARED, 3).run(document)
        Export(list_outputs(), force=True).run(session)
        for index in range(TRACKED):
            np.testing.assert_array_equal(document.snapshot.labels(index), draw_labels(index))
        yield session


@pytest.fixture(scope="module")
def folder(session):
    return session.archive.parent


def test_yolo_images_are_the_unchanged_frames(session, folder):
    for image in (folder / "yolo" / "images").iterdir():
        assert image.read_bytes() == (session.document.frames.path / image.name).read_bytes()


def test_every_output_is_compared():
    compared = {*ID_FILES, *OUTLINES, "overlay", "review"}
    assert compared == {*list_outputs()} - {*FILM}


def test_archive_holds_every_file(session, folder):
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("[!.]*") if path.is_file()]
    with zipfile.ZipFile(session.archive) as archive:
        assert {*archive.namelist()} == {*paths} - {session.archive.name}


@pytest.mark.parametrize("name", ID_FILES)
def test_exported_ids_equal_stored_ones(session, folder, name):
    found = read_annotations(
        folder / make_output(name).file_name, VideoInfo.from_source(session.document.frames.source)
    )
    assert sorted(found.frames) == list(range(TRACKED))
    for index in range(TRACKED):
        np.testing.assert_array_equal(found.mask(index), draw_labels(index))


@pytest.mark.parametrize(("name", "tolerance"), OUTLINES.items())
def test_exported_outlines_are_close_to_stored_pixels(session, folder, name, tolerance):
    found = read_annotations(
        folder / make_output(name).file_name, VideoInfo.from_source(session.document.frames.source)
    )
    assert sorted(found.frames) == list(range(TRACKED))
    ids = {found.class_name(object_id): object_id for object_id in found.objects()}
    assert sorted(ids) == sorted(NAMES.values())
    for index in range(TRACKED):
        for object_id, class_name in NAMES.items():
            mask = found.mask(index) == ids[class_name]
            assert (mask != (draw_labels(index) == object_id)).mean() <= tolerance


@needs_compositing
def test_exported_mattes_equal_stored_masks(folder):
    for object_id in NAMES:
        for index in range(TRACKED):
            with Image.open(folder / "mattes16" / str(object_id) / f"{index:05d}.png") as image:
                matte = np.array(image)
            np.testing.assert_array_equal(matte, 65535 * (draw_labels(index) == object_id))
        assert len(list((folder / "mattes16" / str(object_id)).iterdir())) == TRACKED


@needs_compositing
def test_exported_alpha_images_equal_stored_masks(session, folder):
    paths = sorted((folder / "alpha").iterdir())
    assert [path.stem for path in paths] == [f"{index:05d}" for index in range(LENGTH)]
    for index, path in enumerate(paths):
        labels = draw_labels(index) * (index < TRACKED)  # the others are not annotated
        with Image.open(path) as image:
            pixels = np.array(image)
        np.testing.assert_array_equal(pixels[..., 3], 255 * (labels > 0))
        np.testing.assert_array_equal(pixels[..., :3], session.document.frames.read(index))


@needs_compositing
@pytest.mark.parametrize("name", ["exr", "cryptomatte"])
def test_exported_exr_shows_stored_masks(folder, name):
    import OpenEXR  # installed with aotlab_compositing

    paths = sorted((folder / name).iterdir())
    assert [path.stem for path in paths] == [f"{index:05d}" for index in range(LENGTH)]
    for index, path in enumerate(paths):
        labels = draw_labels(index) * (index < TRACKED)  # the others are not annotated
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {key: channel.pixels for key, channel in file.channels().items()}
        if name == "exr":
            for object_id, class_name in NAMES.items():
                layer = f"{class_name}.{object_id}.A"
                np.testing.assert_array_equal(channels[layer], labels == object_id)
        else:
            np.testing.assert_array_equal(channels["CryptoObject00.G"], labels > 0)


@needs_compositing
def test_exported_prores_shows_stored_masks(folder):
    with av.open(str(folder / "alpha.mov")) as container:
        frames = [*container.decode(video=0)]
    assert len(frames) == LENGTH
    for index, frame in enumerate(frames):
        opaque = frame.to_ndarray(format="rgba")[..., 3] >= 128
        expected = draw_labels(index) > 0 if index < TRACKED else np.zeros((HEIGHT, WIDTH), bool)
        np.testing.assert_array_equal(opaque, expected)


def test_exported_overlay_shows_stored_masks(document, folder):
    frames = list(open_frames(folder / "overlay.mp4"))
    assert len(frames) == LENGTH
    for index, frame in enumerate(frames):
        image, tracked = document.frames.read(index), describe_masks(document.frames, document.snapshot, index)
        drawn_in = draw_names(draw_overlay(image, tracked.labels), tracked.labels, NAMES)
        error = np.abs(frame.astype(int) - drawn_in).mean()
        assert error < 8  # H.264 is lossy
        if tracked.ids:
            assert error < np.abs(frame.astype(int) - image).mean()
        else:  # as the page shows it
            np.testing.assert_array_equal(drawn_in, image)


def test_exported_review_names_stored_objects(folder):
    review = json.loads((folder / "review.json").read_text())
    assert [item["id"] for item in review["objects"]] == list(NAMES)
