"""The plug-in in a napari viewer; needs a display with OpenGL, as xvfb-run gives it."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari", reason="the plug-in needs napari (pip install 'napari[pyside6]' pytest-qt)")
pytest.importorskip("pytestqt", reason="the tests of the plug-in need pytest-qt")
sys.path.insert(0, str(Path(__file__).parents[1]))
from napari_aotlab.reader import get_reader
from npe2 import PluginManager, PluginManifest

from aotlab import Tracker, write_mask
from aotlab.export.synthetic_clip import draw_clip

FRAMES = 6
MANIFEST = PluginManifest.from_file(Path(__file__).parents[1] / "napari_aotlab" / "napari.yaml")


@pytest.fixture(autouse=True)
def _needs_opengl():
    vispy_gl = pytest.importorskip("napari._vispy.utils.gl")
    try:
        usable = bool(vispy_gl.get_gl_extensions())
    except (AttributeError, RuntimeError):
        usable = False
    if not usable:
        pytest.skip("no OpenGL: run the tests of the plug-in under xvfb-run")


@pytest.fixture(scope="module")
def clip():
    """Frames T×H×W×3 and masks of a synthetic clip."""
    return draw_clip(FRAMES, 96, 128, seed=3)


@pytest.fixture
def opened(make_napari_viewer, clip):
    """A viewer with the clip and empty labels, and the widget opened in it as by the menu."""
    if MANIFEST.name not in PluginManager.instance():
        PluginManager.instance().register(MANIFEST)
    viewer = make_napari_viewer()
    viewer.add_image(clip[0], name="video")
    viewer.add_labels(np.zeros(clip[0].shape[:3], np.int32), name="objects")
    return viewer, viewer.window.add_plugin_dock_widget(MANIFEST.name, "Track objects")[1]


def run(widget, qtbot):
    """Track, and wait for the end."""
    widget.track()
    qtbot.waitUntil(lambda: widget._worker is None, timeout=120_000)


def test_labels_are_tracked_both_ways(opened, clip, qtbot):
    viewer, widget = opened
    frames, masks = clip
    viewer.dims.set_current_step(0, 2)
    viewer.layers["objects"].data[2] = masks[2]
    widget.backward.value = True
    run(widget, qtbot)
    assert widget.progress.value == 4 + 3
    for order in ((2, 3, 4, 5), (2, 1, 0)):
        tracker = Tracker.from_pretrained()
        tracker.step(frames[2], masks[2])
        for index in order[1:]:
            expected = tracker.step(frames[index]).labels
            np.testing.assert_array_equal(viewer.layers["objects"].data[index], expected)


def test_correction_keeps_earlier_reference(opened, clip, qtbot):
    viewer, widget = opened
    frames, masks = clip
    labels = viewer.layers["objects"]
    viewer.dims.set_current_step(0, 0)
    labels.data[0] = masks[0]
    run(widget, qtbot)
    before = labels.data.copy()
    viewer.dims.set_current_step(0, 3)
    labels.data[3] = masks[3]
    run(widget, qtbot)
    np.testing.assert_array_equal(labels.data[:3], before[:3])
    np.testing.assert_array_equal(labels.data[3], masks[3])
    tracker = Tracker.from_pretrained()
    tracker.step(frames[0], masks[0])
    tracker.step(frames[3], masks[3])
    np.testing.assert_array_equal(labels.data[4], tracker.step(frames[4]).labels)


def test_painted_frame_is_kept(opened, clip, qtbot):
    viewer, widget = opened
    labels = viewer.layers["objects"]
    viewer.dims.set_current_step(0, 4)
    labels.fill((4, 0, 0), 7)
    viewer.dims.set_current_step(0, 0)
    labels.data[0] = clip[1][0]
    run(widget, qtbot)
    np.testing.assert_array_equal(labels.data[4], 7)
    assert labels.data[3].any()


def test_frame_painted_while_tracking_is_kept(opened, clip, qtbot):
    viewer, widget = opened
    labels = viewer.layers["objects"]
    viewer.dims.set_current_step(0, 0)
    labels.data[0] = clip[1][0]
    widget.track()

    def paint(result):
        if result[0] == 1:
            viewer.dims.set_current_step(0, 4)
            labels.paint((4, 5, 5), 7)

    widget._worker.yielded.connect(paint)
    qtbot.waitUntil(lambda: widget._worker is None, timeout=120_000)
    assert {*np.unique(labels.data[4])} == {0, 7}
    assert labels.data[5].any()


def test_cleared_key_frame_is_no_reference(opened, clip, qtbot, monkeypatch):
    viewer, widget = opened
    frames, masks = clip
    labels, messages = viewer.layers["objects"], []
    monkeypatch.setattr("napari_aotlab.widget.show_warning", messages.append)
    viewer.dims.set_current_step(0, 0)
    labels.data[0] = masks[0]
    run(widget, qtbot)
    labels.data[0] = 0
    viewer.dims.set_current_step(0, 2)
    labels.data[2] = masks[2]
    run(widget, qtbot)
    assert messages == []
    tracker = Tracker.from_pretrained()
    tracker.step(frames[2], masks[2])
    np.testing.assert_array_equal(labels.data[3], tracker.step(frames[3]).labels)


def test_cancel_keeps_tracked_frames(opened, clip, qtbot):
    viewer, widget = opened
    viewer.dims.set_current_step(0, 0)
    viewer.layers["objects"].data[0] = clip[1][0]
    widget.track()
    widget._worker.yielded.connect(lambda result: widget.cancel() if result[0] == 2 else None)
    qtbot.waitUntil(lambda: widget._worker is None, timeout=120_000)
    shown = viewer.layers["objects"].data.any(axis=(1, 2))
    assert shown[:3].all()
    assert not shown[-1]
    assert widget.track_button.enabled


def test_boxes_and_clicks_give_labels(opened, clip):
    viewer, widget = opened
    mask = clip[1][0]
    viewer.dims.set_current_step(0, 0)
    corners = [(0, *np.argwhere(mask == number).min(0)) for number in (1, 2)]
    ends = [(0, *np.argwhere(mask == number).max(0)) for number in (1, 2)]
    rectangles = [np.array([a, (0, a[1], b[2]), b, (0, b[1], a[2])]) for a, b in zip(corners, ends, strict=True)]
    widget.shapes_layer.value = viewer.add_shapes(rectangles, shape_type="rectangle", ndim=3)
    middle = np.argwhere(mask == 1).mean(0)
    beside = np.argwhere(mask == 2).mean(0)
    points = viewer.add_points(np.array([(0, *middle), (0, *beside)]), symbol=["disc", "x"], ndim=3)
    widget.points_layer.value = points
    viewer.layers["objects"].selected_label = 1
    widget.segment()
    found = viewer.layers["objects"].data[0]
    assert set(np.unique(found)) == {0, 1, 2}
    assert found[tuple(np.round(middle).astype(int))] == 1
    assert found[tuple(np.round(beside).astype(int))] == 2


def test_frame_without_objects_is_refused(opened, monkeypatch):
    messages = []
    monkeypatch.setattr("napari_aotlab.widget.show_warning", messages.append)
    opened[1].track()
    assert messages == ["This frame has no objects; draw them, or segment clicks and boxes."]


def test_mask_folder_opens_as_labels(tmp_path, clip):
    for index, mask in enumerate(clip[1][:2]):
        write_mask(tmp_path / f"{index:05d}.png", mask)
    ((data, options, kind),) = get_reader(str(tmp_path))(str(tmp_path))
    np.testing.assert_array_equal(data, clip[1][:2])
    assert (kind, options["name"]) == ("labels", tmp_path.name)
    (tmp_path / "notes.txt").write_text("")
    assert get_reader(str(tmp_path)) is None


def test_manifest_names_existing_functions():
    MANIFEST.validate_imports()
    assert [widget.display_name for widget in MANIFEST.contributions.widgets] == ["Track objects"]
