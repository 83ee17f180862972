"""Objects from texts: a detector of transformers at a small size, and boxes that appear during a video."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from click.testing import CliRunner
from text_prompts import Detection, TextDetector, TextTracker, find_untracked, main

from aotlab import InputError, Tracker
from aotlab.export.synthetic_clip import draw_clip

TEXTS = ("a red leaf", "a blue leaf")
FRAMES, CLIP = draw_clip(40, 120, 200, seed=0)[0][:5], draw_clip(40, 120, 200, seed=0)[1][:5]


def box(object_id: int, index: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of an object of the clip."""
    rows, columns = np.nonzero(CLIP[index] == object_id)
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def iou(labels: np.ndarray, object_id: int, index: int, true_id: int) -> float:
    found, true = labels == object_id, CLIP[index] == true_id
    return (found & true).sum() / (found | true).sum()


def test_object_appears_during_video():
    """Object 1 is detected from the first frame on, object 3 from the third, when the detector runs again."""
    indices = iter((0, 2, 4))

    def detect(frame):
        index = next(indices)
        known = [Detection(box(1, index), TEXTS[0], 0.9)]
        return known if index == 0 else [*known, Detection(box(3, index), TEXTS[1], 0.8)]

    run = TextTracker(Tracker.from_pretrained(), detect, every=2)
    results = [*run.track(FRAMES)]
    assert [[*np.unique(labels)] for labels in results] == [[0, 1], [0, 1], [0, 1, 2], [0, 1, 2], [0, 1, 2]]
    assert run.texts == {1: TEXTS[0], 2: TEXTS[1]}
    assert iou(results[4], 1, 4, true_id=1) > 0.5
    assert iou(results[4], 2, 4, true_id=3) > 0.5


def test_adding_an_object_does_not_change_other_masks():
    """Objects tracked so far have the same pixels on the frame where another is added."""
    boxes = iter(([Detection(box(1, 0), TEXTS[0], 0.9)], [Detection(box(3, 1), TEXTS[1], 0.9)]))
    added = [*TextTracker(Tracker.from_pretrained(), lambda _: next(boxes), every=1).track(FRAMES[:2])][1]
    boxes = iter(([Detection(box(1, 0), TEXTS[0], 0.9)], []))
    alone = [*TextTracker(Tracker.from_pretrained(), lambda _: next(boxes), every=1).track(FRAMES[:2])][1]
    np.testing.assert_array_equal(added == 1, alone == 1)
    assert (added == 2).any()


def test_video_without_detections_is_background():
    run = TextTracker(Tracker.from_pretrained(), lambda _: [], every=2)
    assert not any(labels.any() for labels in run.track(FRAMES[:3]))
    assert run.texts == {}


def test_tracked_repeated_and_outside_boxes_are_dropped():
    labels = np.zeros((100, 100), np.uint8)
    labels[10:50, 10:50] = 7
    tracked = Detection((12, 12, 50, 50), "a", 0.9)
    best, repeated = Detection((60, 60, 120, 90), "b", 0.8), Detection((62, 60, 100, 90), "a", 0.5)
    outside = Detection((150, 10, 190, 40), "a", 0.7)
    (found,) = find_untracked([tracked, best, repeated, outside], labels)
    assert found == Detection((60, 60, 100, 90), "b", 0.8)
    assert find_untracked([], labels) == []


def test_missing_video_is_named_before_the_detector_is_loaded(tmp_path):
    result = CliRunner().invoke(main, ["missing.mp4", "--text", "a", "--output", str(tmp_path / "output")])
    assert result.exit_code == 2
    assert result.output.startswith("error: missing.mp4: ")


def test_texts_are_written_after_a_failure(tmp_path, monkeypatch):
    def read(self):
        yield FRAMES[0]
        raise InputError("frame 1: damaged")

    for index, frame in enumerate(FRAMES[:2]):
        Image.fromarray(frame).save(tmp_path / f"{index}.png")
    monkeypatch.setattr("aotlab_video.sources.frames.ImageFrames.__iter__", read)
    detector = SimpleNamespace(from_pretrained=lambda *_, **__: lambda _: [Detection(box(1, 0), TEXTS[0], 0.9)])
    monkeypatch.setattr("text_prompts.TextDetector", detector)
    result = CliRunner().invoke(main, [str(tmp_path), "--text", "a", "--output", str(tmp_path / "output")])
    assert result.exit_code == 2
    assert json.loads((tmp_path / "output" / "objects.json").read_text()) == {"1": TEXTS[0]}


def test_masks_of_an_earlier_run_are_kept(tmp_path):
    (tmp_path / "masks").mkdir()  # no model is loaded, and no video is opened
    result = CliRunner().invoke(main, ["a.mp4", "--text", "a", "--output", str(tmp_path)])
    assert result.exit_code == 2
    assert "has masks already" in result.output


def test_folder_without_a_detector_rejected(tmp_path):
    pytest.importorskip("transformers", reason="pip install transformers")
    with pytest.raises(InputError, match=r"not a detector of transformers \(.*\); give a folder or a name"):
        TextDetector.from_pretrained(str(tmp_path), TEXTS)


def test_detector_of_transformers_runs():
    """OWLv2 with random weights: all boxes have a text and a score, the best first, and the tracker takes them."""
    transformers = pytest.importorskip("transformers", reason="pip install transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = ["[PAD]", "[UNK]", *sorted({word for text in TEXTS for word in text.split()})]
    base = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]")
    )
    base.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=base, pad_token="[PAD]", unk_token="[UNK]", model_max_length=8
    )
    layers = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"vocab_size": len(words), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
    config = transformers.Owlv2Config(
        text_config={**layers, **ids, "max_position_embeddings": 8},
        vision_config={**layers, "image_size": 64, "patch_size": 16},
        projection_dim=16,
    )
    images = transformers.Owlv2ImageProcessor(size={"height": 64, "width": 64})
    model = transformers.Owlv2ForObjectDetection(config)
    detector = TextDetector(model, transformers.Owlv2Processor(images, tokenizer), TEXTS, threshold=0.0)
    found = detector(FRAMES[0])
    assert len(found) == 16  # 4×4 patches
    assert {detection.text for detection in found} <= {*TEXTS}
    scores = [detection.score for detection in found]
    assert scores == sorted(scores, reverse=True)
    run = TextTracker(Tracker.from_pretrained(), detector, every=1)
    assert all(labels.shape == (120, 200) for labels in run.track(FRAMES[:2]))
