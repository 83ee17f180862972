"""Edits of masks and objects, undo, colors of new objects."""

import threading
from itertools import combinations, product
from unittest.mock import Mock

import numpy as np
import pytest

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.document import Document
from aotlab_studio.document.editing import EditResult
from aotlab_studio.document.log import Changes, Layer, Origin
from aotlab_studio.document.masks import LayerFrame, encode_png
from aotlab_studio.document.objects import COLORS
from aotlab_studio.document.painting import draw_stroke, find_part, is_far_from, limit_to_prompt
from aotlab_studio.document.scores import Score
from aotlab_studio.session.actions import Segment, run_action
from aotlab_studio.session.prompting import Prompter
from aotlab_studio.session.uploads import load_upload
from aotlab_testing.drawn_clips import draw_box
from aotlab_testing.processes import WAIT_SECONDS
from studio.tests.annotation.clips import HEIGHT, WIDTH, png, square, truth
from studio.tests.annotation.sessions import draw, draw_and_track, find_pending, list_labels, list_titles, set_mask


def test_stroke_is_a_round_brush_along_its_points(document):
    editing.AddObject().run(document)
    editing.Paint(2, 1, [(10.5, 20.5), (30.5, 20.5)], radius=3).run(document)
    labels = document.snapshot.labels(2)
    assert labels[20, 10:31].all()
    assert labels[18:23, 20].all()
    assert labels[:, 20].sum() == 6
    assert labels[20, 8] == 1
    assert not labels[20, 6]
    assert not document.snapshot.labels(3).any()


@pytest.mark.parametrize("y", [20.0, 20.5])
@pytest.mark.parametrize("radius", [0.5, 1.0, 2.5, 5.0])
def test_stroke_is_twice_its_radius_wide(y, radius):
    stroke = draw_stroke((40, 60), [(10.5, y), (30.5, y)], radius)
    assert set(stroke[:, 10:31].sum(0)) == {2 * radius}
    assert draw_stroke((40, 60), [(30.5, y)], 0.5).sum() == 1


def test_click_changes_eight_pixels_of_a_small_image():
    before, after = np.zeros((16, 16), bool), np.ones((16, 16), bool)
    assert limit_to_prompt(before, after, [(0.5, 8.5)], positive=True)[8].sum() == 9


def test_parts_of_a_mask_touch_at_corners():
    np.testing.assert_array_equal(find_part(np.eye(3, dtype=np.uint16), (0.5, 0.5)), np.eye(3))


@pytest.mark.parametrize(("box", "points", "far"), [
    ((4, 5, 2, 1), [], False), ((4, 5, 1, 1), [], True), (None, [(9.5, 5.5)], False), (None, [(9.6, 5.5)], True),
])  # fmt: skip
def test_prompt_is_far_from_a_mask_beyond_its_limits(box, points, far):
    assert is_far_from(draw_box((20, 20), (5, 6), (4, 8)) == 1, box, points) == far


def test_object_marked_absent_where_unseen_is_drawn_empty(session, document):
    draw(session, 0, 1)
    editing.MarkAbsent(5, 1).run(document)
    assert document.snapshot.drawn_masks(5).keys() == {1}


def test_eraser_changes_only_the_chosen_object(session, document):
    draw(session, 0, 1, 2)
    editing.Paint(0, 1, [(10, 10), (45, 30)], radius=50, erase=True).run(document)
    np.testing.assert_array_equal(document.snapshot.labels(0), np.where(truth(0) == 2, 2, 0))
    assert set(document.snapshot.drawn_masks(0)) == {1, 2}


def test_default_name_follows_the_class(document):
    editing.AddObject().run(document)
    editing.ChangeObject(1, name="rabbit", class_name="rabbit").run(document)
    editing.ChangeObject(1, class_name="hare").run(document)
    assert document.snapshot.objects[1].name == "hare"
    editing.ChangeObject(1, name="Bob").run(document)
    editing.ChangeObject(1, class_name="dog").run(document)
    assert document.snapshot.objects[1].name == "Bob"
    editing.ChangeObject(1, name="dog", class_name="cat").run(document)
    assert document.snapshot.objects[1].name == "dog"


def test_several_objects_get_one_class_in_one_step(document):
    for _ in range(3):
        editing.AddObject().run(document)
    step = document.log.head
    editing.ChangeObject(1, class_name="fish", others=[3]).run(document)
    assert [item.class_name for item in document.snapshot.objects.values()] == ["fish", "", "fish"]
    assert document.log.head == step + 1
    assert list_titles(document)[0] == "change object 1, object 3"
    editing.ChangeObject(1, name="koi", locked=True, others=[2]).run(document)
    assert [(item.name, item.locked) for item in document.snapshot.objects.values()] == [
        ("koi", True), ("object 2", False), ("object 3", False),
    ]  # fmt: skip


def test_names_and_classes_are_stripped(document):
    editing.AddObject().run(document)
    editing.ChangeObject(1, name=" a ", class_name=" big cat  ").run(document)
    assert (document.snapshot.objects[1].name, document.snapshot.state.classes) == ("a", {"big cat": 1})
    editing.ChangeObject(1, class_name="  ").run(document)
    assert document.snapshot.objects[1].class_name == ""
    with pytest.raises(InputError, match="expected 1 to 60 printable"):
        editing.ChangeObject(1, name="  ").run(document)


def test_stroke_without_an_effect_rejected(session, document):
    draw_and_track(session, 1)
    step = document.log.head
    stroke = {"do": "paint", "object_id": 1, "points": [(3, 35)], "radius": 2, "erase": True}
    corners = {"do": "fill_polygon", "object_id": 1, "points": square(12, 7, 2)}
    for frame, message in product((0, 3), (stroke, corners)):
        with pytest.raises(InputError, match="changes no pixel"):
            run_action(session, message | {"frame": frame})
    assert document.snapshot.drawn_frames == [0]
    assert document.log.head == step
    assert not find_pending(document.snapshot)


def test_painting_takes_pixels_unless_locked(session, document):
    draw(session, 0, 1, 2)
    editing.FillPolygon(0, 1, square(40, 25, 5)).run(document)
    np.testing.assert_array_equal(document.snapshot.labels(0)[25:30, 40:45], 1)
    document.undo()
    editing.ChangeObject(2, locked=True).run(document)
    editing.FillPolygon(0, 1, square(38, 25, 5)).run(document)
    np.testing.assert_array_equal(document.snapshot.labels(0)[25:30, 40:43], 2)
    np.testing.assert_array_equal(document.snapshot.labels(0)[25:30, 38:40], 1)
    with pytest.raises(InputError, match="locked"):
        editing.Paint(0, 2, [(1, 1)], radius=2).run(document)


def test_locked_object_survives_removal_and_merge(session, document):
    draw(session, 0, 1, 2)
    editing.ChangeObject(2, locked=True).run(document)
    for action in (
        lambda: editing.BackToTracked(0, 2).run(document),
        lambda: editing.DeleteObject(2).run(document),
        lambda: editing.MergeObjects(2, 1).run(document),
        lambda: editing.MergeObjects(1, 2).run(document),
    ):
        with pytest.raises(InputError, match="is locked"):
            action()
    assert [*document.snapshot.objects] == [1, 2]


def test_back_to_tracked_does_not_cover_a_locked_object(session):
    document = session.document
    draw(session, 0, 1, 2)
    for object_id, width in ((1, 20), (2, 10)):  # the second over half of the first, which does not show then
        if object_id == 2:
            editing.MarkAbsent(5, 1).run(document)
        layer_id = document.make_layer_id()
        document.edit("tracking", Changes(layers={layer_id: Layer([object_id], 1, 9)}))
        ids = np.zeros((HEIGHT, WIDTH), np.uint16)
        ids[:10, :width] = object_id
        score = Score(1.0, 10 * width, 0.0, 0.0)
        document.add_tracked_masks(layer_id, LayerFrame(5, {object_id: score}), ids)
        document.finish_layer(layer_id)
    editing.BackToTracked(5, 1).run(document)
    editing.MarkAbsent(5, 2).run(document)
    editing.ChangeObject(1, locked=True).run(document)
    before = document.snapshot.labels(5)
    assert (before == 1).sum() == 200
    with pytest.raises(InputError, match="would cover a locked object"):
        editing.BackToTracked(5, 2).run(document)
    np.testing.assert_array_equal(document.snapshot.labels(5), before)
    editing.ChangeObject(1, locked=False).run(document)
    editing.BackToTracked(5, 2).run(document)
    assert (document.snapshot.labels(5) == 2).sum() == 100


def test_prompt_without_a_mask_rejected(session, document):
    session.prompter.segmenter = lambda frame, prompts: np.zeros(frame.shape[:2], np.uint16)
    draw(session, 0, 1)
    before = list_titles(document)
    for object_id in (1, None):
        with pytest.raises(InputError, match="nothing found there"):
            Segment(0, object_id, (2, 2, 20, 20)).run(session)
    np.testing.assert_array_equal(document.snapshot.labels(0), truth(0) * (truth(0) == 1))
    assert [*document.snapshot.objects] == [1]
    assert list_titles(document) == before


def test_points_of_the_page_become_centers_of_pixels(session):
    segment, prompts = session.prompter.segmenter, []
    session.prompter.segmenter = lambda frame, named: (prompts.append(named[1]), segment(frame, named))[1]
    Segment(0, None, positive=[(45.5, 30.5)], mode="auto").run(session)
    Segment(0, None, scribble=[(3.5, 8.5), (9.5, 8.5)], mode="auto").run(session)
    found = dict.fromkeys((prompt.points, prompt.scribble) for prompt in prompts)
    assert [*found] == [(((45, 30),), ()), ((), ((3, 8), (9, 8)))]


def test_click_changes_a_mask_only_near_it(session):
    draw(session, 0, 1)
    everything = np.ones(truth(0).shape, bool)
    session.prompter.segmenter = lambda frame, prompts: everything.astype(np.uint16)
    Segment(0, 1, positive=[(16, 10)], mode="auto").run(session)
    added = (session.document.snapshot.labels(0) == 1) & (truth(0) != 1)
    rows, columns = np.nonzero(added)
    assert 0 < added.sum() < 500
    assert np.hypot(rows - 10, columns - 16).max() < 11
    with pytest.raises(InputError, match="nothing found at the click"):
        Segment(0, 1, negative=[(50, 30)], mode="auto").run(session)


def test_separate_prompts_away_make_a_new_object(session, document):
    draw(session, 0, 1)
    assert Segment(0, 1, (2, 2, 20, 20), mode="auto").run(session).object_id == 1
    assert Segment(0, 1, (37, 22, 16, 16), mode="auto").run(session).object_id == 2
    editing.MarkAbsent(0, 2).run(document)
    assert Segment(0, 1, positive=[(45, 30)], mode="auto").run(session).object_id == 3
    with pytest.raises(InputError, match="click on the object first"):
        Segment(0, 2, negative=[(10, 10)], mode="auto").run(session)
    set_mask(document, 1, 1, np.roll(truth(1) == 1, 30, axis=1))
    assert Segment(1, 1, (2, 2, 20, 20), mode="auto").run(session).object_id == 4
    session.prompter.segmenter = lambda frame, prompts: np.ones(frame.shape[:2], np.uint16)
    assert Segment(0, 1, positive=[(16, 10)], mode="auto").run(session).object_id == 1  # near it
    assert (document.snapshot.labels(0) == 1).sum() < 1000


def test_scribble_changes_a_mask_along_its_line(session, document):
    draw(session, 0, 1)
    everything = np.ones(truth(0).shape, np.uint16)
    session.prompter.segmenter = lambda frame, prompts: everything
    line = [(12, 10), (30, 10), (40, 10)]
    Segment(0, 1, scribble=line, mode="auto").run(session)
    labels = document.snapshot.labels(0)
    np.testing.assert_array_equal(labels[10, 15:50], 1)
    assert not labels[24:].any()
    session.prompter.segmenter = lambda frame, prompts: 0 * everything
    Segment(0, 1, negative=[(20, 10), *line[1:]], mode="auto").run(session)
    labels = document.snapshot.labels(0)
    assert not labels[10, 15:50].any()
    np.testing.assert_array_equal(labels[5:15, 5:9], 1)


def test_scribble_makes_an_object(session):
    assert Segment(0, None, scribble=[(8, 8), (12, 12)]).run(session) == EditResult(1)
    np.testing.assert_array_equal(session.document.snapshot.labels(0) == 1, truth(0) == 1)


def test_segmenter_gets_pixels_of_other_objects(session):
    prompts = []

    def segment(frame, by_object):
        prompts.extend(by_object.values())
        return (truth(0) == 2).astype(np.uint16)

    draw(session, 0, 1)
    session.prompter.segmenter = segment
    Segment(0, None, (0, 0, 60, 40)).run(session)
    np.testing.assert_array_equal(prompts[-1].exclude, truth(0) == 1)
    Segment(0, 2, (0, 0, 60, 40)).run(session)
    np.testing.assert_array_equal(prompts[-1].exclude, truth(0) == 1)


def test_part_of_another_object_is_reassigned(session, document):
    draw(session, 0, 1, 2)
    editing.FillPolygon(0, 1, square(2, 30, 5)).run(document)
    assert editing.Reassign(0, 2, (3, 32)).run(document).lost_pixels.keys() == {1}
    np.testing.assert_array_equal(document.snapshot.labels(0)[30:35, 2:7], 2)
    np.testing.assert_array_equal(document.snapshot.labels(0)[:25], np.where(truth(0) == 1, 1, 0)[:25])
    with pytest.raises(InputError, match="click on a part of another object"):
        editing.Reassign(0, 2, (58, 2)).run(document)
    editing.ChangeObject(1, locked=True).run(document)
    with pytest.raises(InputError, match="is locked"):
        editing.Reassign(0, 2, (8, 8)).run(document)


@pytest.mark.parametrize("part", ["masks", "log"])
def test_failed_write_does_not_change_the_document(session, document, monkeypatch, part):
    draw(session, 0, 1)
    editing.Paint(0, 1, [(30, 30)], radius=4).run(document)
    before, titles = document.snapshot.labels(0), list_titles(document)

    fail = Mock(side_effect=InputError("full"))
    with monkeypatch.context() as patch:
        patch.setattr(getattr(document, part), "encode" if part == "masks" else "append", fail)
        with pytest.raises(InputError, match="full"):
            editing.Paint(0, None, [(50, 10)], radius=4).run(document)
    assert [*document.snapshot.objects] == [1]
    assert list_titles(document) == titles
    np.testing.assert_array_equal(document.snapshot.labels(0), before)
    document.undo()
    assert document.snapshot.labels(0)[30, 30] == 0


def test_masks_are_pasted_on_other_frames(session, document):
    draw(session, 0, 1, 2)
    editing.PasteMasks(0, 3).run(document)
    np.testing.assert_array_equal(document.snapshot.labels(3), truth(0))
    assert editing.PasteMasks(0, 5, 7, object_id=2).run(document).count == 3
    for frame in (5, 6, 7):
        np.testing.assert_array_equal(document.snapshot.labels(frame), truth(0) * (truth(0) == 2))
    with pytest.raises(InputError, match="no mask to copy on frame 9"):
        editing.PasteMasks(9, 3).run(document)
    document.undo()
    assert not document.snapshot.labels(6).any()
    step = document.log.head
    editing.MarkAbsent(0, 1).run(document)
    editing.PasteMasks(0, 8, step=step).run(document)  # as it was then
    np.testing.assert_array_equal(document.snapshot.labels(8), truth(0))
    with pytest.raises(InputError, match="step 99: no such step"):
        editing.PasteMasks(0, 8, step=99).run(document)


def test_pasted_masks_take_pixels_only_if_asked(session, document):
    draw(session, 0, 1)
    editing.AddObject().run(document)
    editing.FillPolygon(3, 2, square(0, 0, 10)).run(document)
    overlap = (truth(0) == 1) & (document.snapshot.labels(3) == 2)
    assert overlap.any()
    assert editing.PasteMasks(0, 3).run(document).kept
    assert (document.snapshot.labels(3)[overlap] == 2).all()
    assert not editing.PasteMasks(0, 3, take=True).run(document).kept
    np.testing.assert_array_equal(document.snapshot.labels(3) == 1, truth(0) == 1)
    editing.ChangeObject(2, locked=True).run(document)
    with pytest.raises(InputError, match="locked"):
        editing.PasteMasks(3, 4, object_id=2).run(document)


def test_object_is_not_merged_with_itself(session, document):
    draw(session, 0, 1)
    with pytest.raises(InputError, match="itself"):
        editing.MergeObjects(1, 1).run(document)


@pytest.mark.parametrize(("own", "expected"), [("", "cat"), ("dog", "dog")])
def test_merged_object_gets_a_class_if_it_has_none(session, document, own, expected):
    draw(session, 0, 1, 2)
    editing.ChangeObject(1, class_name="cat").run(document)
    editing.ChangeObject(2, class_name=own).run(document)
    editing.MergeObjects(1, into=2).run(document)
    assert document.snapshot.objects[2].class_name == expected


def test_split_part_becomes_a_new_object(document):
    editing.AddObject().run(document)
    editing.FillPolygon(1, 1, square(5, 5, 8)).run(document)
    editing.FillPolygon(1, 1, square(30, 20, 8)).run(document)
    object_id = editing.SplitObject(1, 1, (33, 23)).run(document).object_id
    labels = document.snapshot.labels(1)
    np.testing.assert_array_equal(labels[20:28, 30:38], object_id)
    np.testing.assert_array_equal(labels[5:13, 5:13], 1)
    editing.Paint(2, 1, [(0, 5)], radius=2).run(document)
    for frame, point in ((1, (50, 5)), (2, (-0.9, 5))):
        with pytest.raises(InputError, match="not on the object"):
            editing.SplitObject(frame, 1, point).run(document)
    with pytest.raises(InputError, match="in one piece"):
        editing.SplitObject(1, 1, (8, 8)).run(document)


def test_deleted_object_id_is_never_reused(session, document):
    draw(session, 0, 1, 2)
    editing.DeleteObject(2).run(document)
    assert editing.AddObject().run(document).object_id == 3
    labels = np.zeros_like(truth(0))
    labels[0:3, 0:3] = 2
    load_upload(document, 4, png(labels))
    assert [*document.snapshot.objects] == [1, 3, 4]
    np.testing.assert_array_equal(document.snapshot.labels(4)[0:3, 0:3], 4)
    assert set(np.unique(document.snapshot.labels(0))) == {0, 1}


VISION = {
    "all cones": np.eye(3),
    "no red": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0521]],
    "no green": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "no blue": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}
"""Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB."""
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def convert_to_lab(colors, vision):
    """CIELAB of #rrggbb as somebody sees them: N×3."""
    values = np.array([[int(text[at : at + 2], 16) / 255 for at in (1, 3, 5)] for text in colors])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(vision).T, 0, 1)
    ratio = seen @ TO_XYZ.T / WHITE
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


@pytest.mark.parametrize("name", VISION)
@pytest.mark.parametrize(("count", "least"), [(3, 35), (10, 20), (20, 16)])
def test_colors_differ_for_every_kind_of_vision(name, count, least):
    seen = convert_to_lab(COLORS[:count], VISION[name])
    assert len(set(COLORS)) == 20
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > least


@pytest.mark.parametrize("drawn_id", [1, 2])
def test_merging_drawn_with_tracked_keeps_all_pixels(session, document, drawn_id):
    draw_and_track(session, 1, 2)
    editing.Paint(5, drawn_id, [(30, 38)], radius=2).run(document)
    before = document.snapshot.labels(5) > 0
    editing.MergeObjects(2, 1).run(document)
    np.testing.assert_array_equal(document.snapshot.labels(5) == 1, before)
    document.undo()
    np.testing.assert_array_equal(document.snapshot.labels(5)[truth(5) > 0], truth(5)[truth(5) > 0])


def test_prompt_takes_no_drawn_pixels(session, document):
    draw(session, 0, 1)
    session.prompter.segmenter = lambda frame, prompts: (truth(0) >= 0).astype(np.uint16)
    found = Segment(0, None, (0, 0, 60, 40)).run(session)
    assert found == EditResult(2, {})
    np.testing.assert_array_equal(document.snapshot.labels(0) == 1, truth(0) == 1)
    Segment(0, 2, positive=[(20, 10)]).run(session)
    np.testing.assert_array_equal(document.snapshot.labels(0) == 1, truth(0) == 1)
    with pytest.raises(InputError, match="nothing found there"):
        Segment(0, None, (0, 0, 60, 40)).run(session)


def test_prompt_names_who_lost_tracked_pixels(session, document):
    draw_and_track(session, 1)
    session.prompter.segmenter = lambda frame, prompts: (truth(4) == 1).astype(np.uint16)
    assert Segment(4, None, (0, 0, 60, 40)).run(session) == EditResult(2, {1: 100})
    document.undo()
    np.testing.assert_array_equal(document.snapshot.labels(4) == 1, truth(4) == 1)


def test_drawing_does_not_overwrite_locked_objects(session, document):
    draw_and_track(session, 1, 2)
    editing.ChangeObject(2, locked=True).run(document)
    session.prompter.segmenter = lambda frame, prompts: np.ones(frame.shape[:2], np.uint16)
    for frame in (0, 4):
        editing.FillPolygon(frame, 1, square(38, 25, 5)).run(document)
        Segment(frame, None, (0, 0, 60, 40)).run(session)
        np.testing.assert_array_equal(document.snapshot.labels(frame) == 2, truth(frame) == 2)


def test_object_goes_back_to_its_tracked_masks(session, document):
    draw_and_track(session, 1, 2)
    before = list_labels(document)
    for frame in (3, 5):
        draw(session, frame, 2)
        editing.FillPolygon(frame, 1, square(50, 2, 5)).run(document)
    step = document.log.head
    assert run_action(session, {"do": "back_to_tracked", "frame": 0, "last": 11, "object_id": 1}).count == 2
    assert document.log.head == step + 1
    np.testing.assert_array_equal(list_labels(document), before)
    assert document.snapshot.drawn_masks(0).keys() == {1, 2}  # nothing is tracked there
    assert [*document.snapshot.drawn_masks(3)] == [*document.snapshot.drawn_masks(5)] == [2]
    with pytest.raises(InputError, match="back to tracked: no drawn mask of object 1 to remove"):
        editing.BackToTracked(0, 1, last=11).run(document)
    editing.BackToTracked(0, 1).run(document)
    assert document.snapshot.drawn_masks(0).keys() == {2}


def test_upload_keeps_masks_of_a_locked_object(session, document):
    draw(session, 0, 1, 2)
    editing.ChangeObject(1, locked=True).run(document)
    labels = truth(4)
    load_upload(document, 0, png(labels))
    shown = document.snapshot.labels(0)
    np.testing.assert_array_equal(shown == 1, truth(0) == 1)
    np.testing.assert_array_equal(shown == 2, truth(4) == 2)
    with pytest.raises(InputError, match=r"all its objects are locked;"):
        load_upload(document, 0, png(np.where(labels == 1, 1, 0)))


def test_upload_larger_than_the_mask_cache_is_stored(folder, reopen, monkeypatch):
    monkeypatch.setattr("aotlab_studio.document.masks.MASK_CACHE_BYTES", 1)
    document = reopen(folder).document
    labels = np.zeros((40, 60), np.uint16)
    labels[:10], labels[10:20], labels[20:30] = 1, 2, 3
    load_upload(document, 0, png(labels))
    labels[5:12] = 3
    load_upload(document, 0, png(np.where(labels == 3, labels, 0)))
    expected = np.where(labels == 3, 3, np.where(labels < 3, labels, 0))
    np.testing.assert_array_equal(document.snapshot.labels(0), expected)


def test_new_objects_get_the_smallest_id_that_was_never_used(session):
    document = session.document
    labels = np.zeros((40, 60), np.uint16)
    labels[:9], labels[20:] = 65535, 2
    load_upload(document, 0, encode_png(labels))
    assert [editing.AddObject().run(document).object_id for _ in range(2)] == [1, 3]
    document.undo()
    assert editing.AddObject().run(document).object_id == 4
    labels[12:15] = 5
    load_upload(document, 1, encode_png(labels))
    assert [*document.snapshot.objects] == [1, 2, 4, 5, 65535]


def test_check_mark_is_removed_from_a_frame_without_masks(session):
    document = session.document
    document.edit("mark as checked", Changes(checked={3: document.snapshot.digest_frame(3)}))
    editing.SetChecked(3, checked=False).run(document)
    assert document.snapshot.checked_frames == []
    with pytest.raises(InputError, match="no mask to check"):
        editing.SetChecked(3, checked=True).run(document)


def test_object_painted_over_gets_no_drawn_mask(session, document):
    draw_and_track(session, 1, 2)
    before = document.snapshot.labels(5)
    found = run_action(session, {"do": "paint", "frame": 5, "object_id": 1, "points": [[45, 30]], "radius": 1})
    assert list(found.lost_pixels) == [2]
    assert set(document.snapshot.drawn_masks(5)) == {1}
    assert document.snapshot.scores(5).keys() == {1, 2}
    changed = document.snapshot.labels(5) != before
    assert 0 < changed.sum() == found.lost_pixels[2] < 9
    run_action(session, {"do": "paint", "frame": 5, "object_id": 1, "points": [[45, 30]], "radius": 1, "erase": True})
    np.testing.assert_array_equal(document.snapshot.labels(5), before)


def test_refining_click_changes_the_existing_mask(served):
    session = served.session
    draw(session, 0, 1, 2)
    merged = truth(0) > 0
    set_mask(session.document, 0, 1, merged)
    connection = served.open()
    answer = connection.do("segment", frame=0, object_id=1, negative=[[45, 30]], mode="auto")
    assert "error" not in answer
    labels = session.document.snapshot.labels(0)
    assert ((labels == 1) == (truth(0) == 1)).mean() > 0.99
    assert "give a box" in connection.do("segment", frame=0, object_id=1, negative=[[45, 30]])["error"]
    assert "mode" in connection.do("segment", frame=0, object_id=1, negative=[[45, 30]], mode="yes")["error"]


def test_edit_is_stored_though_pages_cannot_be_notified(document, monkeypatch, caplog):
    monkeypatch.setattr("aotlab_studio.document.document.find_outdated", Mock(side_effect=InputError("no disk")))
    document.listeners[lambda event: None] = None
    assert editing.AddObject().run(document).object_id == 1
    assert [*document.snapshot.objects] == [1]
    assert "stored, but not shown (no disk)" in caplog.text


def test_edits_of_a_message_have_its_page(document):
    with document.once_per_message(Origin(page="1")):
        editing.AddObject().run(document)
    editing.AddObject().run(document)
    assert [step.page for step in document.log.steps.values()] == ["1", None]


def test_edits_without_a_page_describe_no_page_state(document, monkeypatch):
    describe = Mock()
    monkeypatch.setattr(Document, "describe_page_state", describe)
    editing.AddObject().run(document)
    document.undo()
    document.set_done(True)
    assert not describe.called
    document.listeners[lambda event: None] = None
    document.redo()
    assert describe.call_count == 1


def test_prompts_are_loaded_ahead(session):
    loaded, segment = threading.Event(), session.prompter.segmenter
    session.prompter.segmenter = lambda frame, prompts: (loaded.set(), segment(frame, prompts))[1]
    session.prompter.preload()
    assert loaded.wait(WAIT_SECONDS)
    Prompter().preload()  # without a segmenter, nothing is loaded
