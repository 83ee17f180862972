"""SAM's models against sessions of transformers driven by hand, which drop nothing; their segmenter; loading."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from aotlab import InputError, Prompt, TrackerOptions, sdk
from aotlab_trackers.loading import REPOSITORIES, SamLoader, resolve_sam
from aotlab_trackers.sam import SamTracker
from trackers.tests.models import BUILDERS, HEIGHT, WIDTH, build_sam, draw_frames, draw_mask, make_segmenter

FRAMES = 30
"""More than the frames that the models read: 6 memories and 15 object pointers."""
FIRST = draw_mask(o1=(4, 24, 4, 30), o300=(28, 46, 34, 60))
BOX = Prompt(box=(34, 28, 26, 18))


@pytest.fixture(params=BUILDERS)
def built(request):
    return build_sam(request.param)


@torch.inference_mode()
def drive_session(model, processor, masks, boxes=()):
    """Logits of every frame of a session that keeps everything, by object id; masks and boxes by frame and id."""
    session, found = processor.init_video_session(), []
    for index, frame in enumerate(draw_frames(FRAMES)):
        pixels = processor(images=frame, return_tensors="pt").pixel_values[0]
        given = dict(masks.get(index, {}))
        if given:
            processor.process_new_mask_for_video_frame(session, index, [*given], [*given.values()])
        for object_id, (left, top, width, height) in dict(boxes).get(index, {}).items():
            corners = [[[left, top, left + width, top + height]]]  # nested by image, then box
            processor.add_inputs_to_inference_session(
                session, index, object_id, input_boxes=corners, original_size=(HEIGHT, WIDTH)
            )
            given[object_id] = None
        session.obj_with_new_inputs = [*given]
        output = model(session, frame=pixels, frame_idx=index)
        logits = F.interpolate(output.pred_masks, (HEIGHT, WIDTH), mode="bilinear", align_corners=False)
        found.append(dict(zip(output.object_ids, logits[:, 0], strict=True)))
    assert len(session.processed_frames) == FRAMES
    return found


def assert_same_logits(prediction, expected):
    for object_id in prediction.ids:
        assert torch.equal(prediction.logits[1 + prediction.ids.index(object_id)], expected[object_id])


def test_logits_equal_a_session_that_drops_nothing(built):
    late, corrected = draw_mask(o7=(0, 10, 50, 64)), draw_mask(o1=(6, 26, 8, 34))
    masks = {0: FIRST, 11: late, 20: corrected}
    tracker = SamTracker(*built, device="cpu")
    predictions = [tracker.step(frame, masks.get(index)) for index, frame in enumerate(draw_frames(FRAMES))]
    by_id = {index: {int(i): mask == i for i in np.unique(mask) if i} for index, mask in masks.items()}
    expected = drive_session(*built, by_id)
    for index in set(range(FRAMES)) - masks.keys():
        assert_same_logits(predictions[index], expected[index])
    assert predictions[-1].ids == (1, 300, 7)


def encode_one_by_one(model):
    """A function that encodes the memory of each object by itself, not in a batch, whose size changes last bits."""
    encode = type(model)._encode_new_memory.__get__(model)

    def encode_each(current_vision_feats, pred_masks_high_res, object_score_logits, is_mask_from_pts):
        objects = range(len(pred_masks_high_res))
        found = [
            encode(current_vision_feats[:, i : i + 1], pred_masks_high_res[i : i + 1], object_score_logits[i : i + 1],
                   is_mask_from_pts)
            for i in objects
        ]  # fmt: skip
        return tuple(torch.cat(parts, 1) for parts in zip(*found, strict=True))

    return encode_each


def test_other_objects_do_not_notice_a_forgotten_one(built, monkeypatch):
    monkeypatch.setattr(built[0], "_encode_new_memory", encode_one_by_one(built[0]), raising=False)
    tracker, last = SamTracker(*built, device="cpu"), {}
    for index, frame in enumerate(draw_frames(FRAMES)):
        if index == 5:
            tracker.forget(1)
        last = tracker.step(frame, {0: FIRST, 9: draw_mask(o1=(0, 10, 50, 64))}.get(index))
    masks = {0: {300: FIRST == 300}, 9: {1: draw_mask(o1=(0, 10, 50, 64)) == 1}}
    expected = drive_session(*built, masks)[-1]
    assert last.ids == (300, 1)
    assert_same_logits(last, expected)


def test_boxes_equal_those_of_a_session(built):
    tracker = SamTracker(*built, device="cpu")
    prompts = {0: {300: BOX}, 8: {4: Prompt(box=(2, 3, 20, 12))}}
    predictions = [tracker.step(frame, prompts=prompts.get(index)) for index, frame in enumerate(draw_frames(FRAMES))]
    expected = drive_session(*built, {}, {0: {300: BOX.box}, 8: {4: (2, 3, 20, 12)}})
    for prediction, logits in zip(predictions, expected, strict=True):
        assert_same_logits(prediction, logits)


def test_scribbles_become_points_and_masks_boxes():
    scribble = [(float(x), 9.0) for x in range(3, 20)]
    rough = FIRST == 300
    given = {4: Prompt(scribble=scribble), 5: Prompt([(40, 30)], [0], mask=rough)}
    plain = {4: Prompt([(3, 9), (11, 9), (19, 9)]), 5: Prompt([(40, 30)], [0], box=(34, 28, 26, 18))}
    segmenter, frame = make_segmenter("sam2"), draw_frames(1)[0]
    np.testing.assert_array_equal(segmenter(frame, given), segmenter(frame, plain))
    trackers = [SamTracker(*build_sam("sam2"), device="cpu") for _ in range(2)]
    found = [tracker.step(frame, prompts=prompts) for tracker, prompts in zip(trackers, (given, plain), strict=True)]
    assert torch.equal(found[0].logits, found[1].logits)


def test_excluded_pixels_are_never_part_of_the_object(built):
    excluded = np.zeros((HEIGHT, WIDTH), bool)
    excluded[:, : WIDTH // 2] = True
    tracker, frame = SamTracker(*built, device="cpu"), draw_frames(1)[0]
    whole = Prompt(box=(0, 0, WIDTH, HEIGHT))
    plain = tracker.fresh().step(frame, prompts={4: whole}).labels
    assert (plain[excluded] == 4).any()
    found = tracker.step(frame, prompts={4: replace(whole, exclude=excluded[:, ::-1][:, ::-1])}).labels
    np.testing.assert_array_equal(found, np.where(excluded, 0, plain))


@pytest.mark.parametrize("family", BUILDERS)
def test_segmenter_returns_masks_of_boxes_and_points(family):
    segmenter, frame = make_segmenter(family), draw_frames(1)[0]
    labels = segmenter(frame, {1: (10, 10), 300: BOX})
    assert labels.shape == (HEIGHT, WIDTH)
    assert labels.dtype == np.uint16
    assert set(np.unique(labels)) <= {0, 1, 300}
    np.testing.assert_array_equal(labels, segmenter(frame, {1: (10, 10), 300: BOX}))
    kept = segmenter(frame, {300: BOX}, keep=FIRST)
    assert (kept[FIRST == 1] == 1).all()


@torch.inference_mode()
def test_segmenter_takes_the_mask_of_the_best_iou():
    model, processor = build_sam("sam2", video=False)
    frame = draw_frames(1)[0]
    inputs = processor(images=frame, input_points=[[[[10, 10]]]], input_labels=[[[1]]], return_tensors="pt")
    output = model(**inputs, multimask_output=True)
    best = output.iou_scores[0, 0].argmax()
    expected = processor.post_process_masks(output.pred_masks[:, :, best : best + 1], [frame.shape[:2]])[0][0, 0]
    np.testing.assert_array_equal(make_segmenter("sam2")(frame, {5: (10, 10)}) == 5, expected.numpy())


def test_folder_of_weights_is_loaded_by_name(tmp_path):
    model, processor = build_sam("sam2")
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    options = TrackerOptions(f"sam2:{tmp_path}", overrides="compute.precision=bfloat16", device="cpu")
    made_by = options.fingerprint()
    assert made_by["settings"] == {"compute.precision": "bfloat16"}
    assert made_by["library"].startswith("transformers ")
    assert made_by["plugins"]["tracker"]["package"] == "aotlab-trackers"
    copied = shutil.copytree(tmp_path, tmp_path / "copy")
    assert replace(options, checkpoint=f"sam2:{copied}").fingerprint() == made_by
    tracker = options.load()
    assert tracker.precision == "bfloat16"
    tracker.step(draw_frames(1)[0], FIRST)
    assert tracker.step(draw_frames(2)[1]).logits.dtype == torch.float32
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text() + " ")
    assert options.fingerprint()["weights"]["sha256"] != made_by["weights"]["sha256"]


def test_segmenter_is_loaded_by_name(tmp_path):
    model, processor = build_sam("sam2", video=False)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    segmenter = sdk.load_segmenter(f"sam2:{tmp_path}", device="cpu")
    frame, expected = draw_frames(1)[0], make_segmenter("sam2")(draw_frames(1)[0], {1: (9, 9)})
    np.testing.assert_array_equal(segmenter(frame, {1: (9, 9)}), expected)
    assert (expected == 1).any()


@pytest.mark.parametrize(("checkpoint", "words"), [
    ("sam2:no/such/folder", "sam2:no/such/folder: no such folder; give sam2:OWNER/NAME or a folder"),
    ("sam2:", "sam2:: no such folder"),
])  # fmt: skip
def test_unknown_weights_are_refused(checkpoint, words):
    with pytest.raises(InputError, match=words):
        SamLoader(checkpoint, {}, "cpu").fingerprint()


def test_names_have_a_family_and_an_address():
    assert {resolve_sam(name)[0] for name in REPOSITORIES} == BUILDERS.keys()
    assert resolve_sam("sam2.1_hiera_tiny") == ("sam2", "facebook/sam2.1-hiera-tiny")
    assert resolve_sam("edgetam:owner/name") == ("edgetam", "owner/name")
