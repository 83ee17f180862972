"""Objects beyond one identity bank: groups, batches, and one encoding of the image for all."""

from __future__ import annotations

from aotlab.engine.tracking.tracker import Tracker
from tests.engine.small_model import clip, run, stripes


class Counter:
    """Counts calls of a model's `propagate`, and the batch sizes they give."""

    def __init__(self, model, monkeypatch):
        self.batches = []
        original = model.propagate

        def propagate(*args, **kwargs):
            result = original(*args, **kwargs)
            self.batches.append(result.embeddings[0].shape[0])
            return result

        monkeypatch.setattr(model, "propagate", propagate)

    def take(self):
        batches, self.batches = self.batches, []
        return batches


def test_23_objects_are_three_groups_in_one_batch(models, monkeypatch):
    model, config = models["aott"]
    calls, tracker = Counter(model, monkeypatch), Tracker(model, config)
    frames, mask = clip(3), stripes(range(1, 24))
    assert (tracker.step(frames[0], mask).labels == mask).all()
    assert calls.take() == [3]
    for frame in frames[1:]:
        prediction = tracker.step(frame)
        assert calls.take() == [3]
        assert prediction.logits.shape[0] == 24


def test_objects_beyond_existing_groups_get_new_bank(models, monkeypatch):
    model, config = models["few"]
    calls, tracker = Counter(model, monkeypatch), Tracker(model, config)
    frames, late = clip(4), stripes([0, 0, 0, 50, 60])
    tracker.step(frames[0], stripes([1, 2]))
    tracker.step(frames[1])
    assert calls.take() == [1, 1]
    tracker.step(frames[2], late)  # a third for the first group, one for a second
    assert calls.take() == [1, 1, 1]  # predict the known ones, then refer both groups
    prediction = tracker.step(frames[3])
    assert calls.take() == [1, 1]
    assert prediction.ids == (1, 2, 50, 60)
    assert [bank.frames for bank in tracker.video.banks] == [[0, 2], [0]]


def test_image_is_encoded_once_per_frame(models, monkeypatch):
    model, config = models["few"]
    calls, original = [], model.encode
    monkeypatch.setattr(model, "encode", lambda image: calls.append(image.shape[0]) or original(image))
    run(Tracker(model, config), clip(3), {0: stripes(range(1, 8)), 1: stripes([0] * 7 + [70])})
    assert calls == [1, 1, 1]
