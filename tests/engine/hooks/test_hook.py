"""Hooks of a user: what they see, what they change, and their states."""

import numpy as np
import pytest
import torch

from aotlab.configs.plugins import load_plugins
from aotlab.engine.hooks.hook import Hook
from aotlab.engine.tracking.options import TrackerOptions, describe_tracker
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.weights.checkpoints import load_checkpoint, save_checkpoint
from aotlab.utils.errors import InputError
from aotlab_testing.small_model import build, draw_stripes, draw_texture, run_tracker


class Recorder(Hook):
    """Records its calls, and keeps objects out of the left half."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.calls = []

    def allows_short_term(self, frame, notes):
        self.calls.append("before")
        notes["left"] = False
        return True

    def correct(self, draft):
        logits = draft.logits.clone()
        logits[1:, :, : logits.shape[2] // 2] = -1e10
        draft.notes["left"] = True
        return draft._replace(logits=logits, indices=logits.max(0).indices)

    def stored(self, draft, prediction, mask):
        self.calls.append((draft.notes.get("left"), prediction.ids, mask is not None))

    def forget(self, object_id):
        self.calls.append(object_id)

    def state_dict(self):
        return {"calls": [*self.calls]}

    def load_state_dict(self, state):
        self.calls = [*state["calls"]]


@pytest.fixture(scope="module")
def model():
    return build("aott", "model.max_objects=3")


def test_hook_sees_and_corrects_each_frame(model):
    hook, frames = Recorder(), draw_texture(3)
    tracker = Tracker(*model, [hook])
    predictions = run_tracker(tracker, frames, {0: draw_stripes([1, 2])})
    assert hook.calls == ["before", (False, (1, 2), True), *["before", (True, (1, 2), False)] * 2]
    assert not any(prediction.labels[:, : prediction.labels.shape[1] // 2].any() for prediction in predictions[1:])
    tracker.forget(2)
    assert hook.calls[-1] == 2
    tracker.reset()
    assert hook.calls == []


def test_memory_stores_the_corrected_masks(model):
    frames, mask = draw_texture(3), {0: draw_stripes([1, 2])}
    plain, corrected = (
        run_tracker(Tracker(*model), frames, mask),
        run_tracker(Tracker(*model, [Recorder()]), frames, mask),
    )
    half = frames.shape[2] // 2
    assert torch.equal(plain[1].logits[..., half:], corrected[1].logits[..., half:])
    assert not torch.equal(plain[2].logits[..., half:], corrected[2].logits[..., half:])


def test_frame_without_short_term_memory_ignores_it(model, monkeypatch):
    frames, mask = draw_texture(4), {0: draw_stripes([1, 2])}
    hook = Recorder()
    monkeypatch.setattr(hook, "allows_short_term", lambda frame, notes: not np.array_equal(frame, frames[2]))
    monkeypatch.setattr(hook, "correct", lambda draft: draft)
    changed = frames.copy()
    changed[1] = 0
    for clip in (frames, changed):
        predictions = run_tracker(Tracker(*model, [hook]), clip, mask)
        assert [prediction.cut for prediction in predictions] == [False, False, True, False]
    first, second = (run_tracker(Tracker(*model, [hook]), clip, mask)[2] for clip in (frames, changed))
    assert torch.equal(first.logits, second.logits)


def test_fresh_tracker_has_fresh_hooks(model):
    hook = Recorder()
    tracker = Tracker(*model, [hook])
    tracker.step(draw_texture(1)[0], draw_stripes([1]))
    other = tracker.fresh()
    assert other.hooks[0] is not hook
    other.step(draw_texture(1)[0], draw_stripes([4]))
    (copied,) = other.hooks
    assert isinstance(copied, Recorder)
    assert [calls[1][1] for calls in (hook.calls, copied.calls)] == [(1,), (4,)]


def test_state_holds_those_of_hooks(model):
    frames, tracker = draw_texture(2), Tracker(*model, [Recorder()])
    tracker.step(frames[0], draw_stripes([1]))
    state, hook = tracker.state_dict(), Recorder()
    other = Tracker(*model, [hook])
    other.load_state_dict(state)
    assert hook.calls == ["before", (False, (1,), True)]
    np.testing.assert_array_equal(other.step(frames[1]).logits, tracker.step(frames[1]).logits)
    with pytest.raises(InputError, match="tracker state: saved with other hooks"):
        Tracker(*model).load_state_dict(state)


class Shift(Hook):
    """A hook with a setting."""

    def __init__(self, value):
        self.value, self.seen = value, frozenset()


@pytest.mark.parametrize(("value", "other"), [
    (5, 40), ("a", "b"), (torch.zeros(2), torch.ones(2)), (np.zeros(2), np.zeros(3)), ({1}, {2}),
])  # fmt: skip
def test_state_of_a_hook_with_other_settings_rejected(model, value, other):
    tracker = Tracker(*model, [Shift(value)])
    tracker.step(draw_texture(1)[0], draw_stripes([1]))
    state = tracker.state_dict()
    Tracker(*model, [Shift(value)]).load_state_dict(state)
    with pytest.raises(InputError, match="tracker state: saved with other hooks; give those that it was saved with"):
        Tracker(*model, [Shift(other)]).load_state_dict(state)


def test_state_with_a_hook_that_cannot_be_compared_rejected(model):
    tracker = Tracker(*model, [Shift(object())])
    with pytest.raises(InputError, match=r"^hook Shift: its attributes cannot be compared \(.*; let them be numbers"):
        tracker.state_dict()


def test_run_records_hooks_of_a_user(model):
    network, config = model
    inputs = [describe_tracker(Tracker(network, config, hooks)) for hooks in ([], [Recorder()])]
    assert inputs[1] == {**inputs[0], "hooks": ["Recorder"]}


def test_draft_of_another_tracker_rejected(model):
    first, second = Tracker(*model), Tracker(*model)
    for tracker in (first, second):
        tracker.step(draw_texture(1)[0], draw_stripes([1]))
    with pytest.raises(InputError, match="out of date"):
        second.commit(first.predict(draw_texture(1)[0]))


def test_state_that_a_hook_refuses_changes_nothing(model):
    tracker = Tracker(*model, [Recorder()])
    tracker.step(draw_texture(1)[0], draw_stripes([1]))
    state, other = tracker.state_dict(), Tracker(*model, [Recorder()])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "load_state_dict", lambda _, state: state["missing"])
        with pytest.raises(KeyError):
            other.load_state_dict(state)
    assert other.ids == ()


def test_options_accept_one_setting_as_text():
    options = TrackerOptions(overrides="memory.every=2")
    assert options == TrackerOptions(overrides=["memory.every=2"])
    assert options.read_settings().memory.every == 2


def test_object_that_is_no_hook_rejected(model):
    with pytest.raises(InputError, match=r"hooks: expected objects of Hook, got <object.*; derive its class from"):
        Tracker(*model, hooks=[object()])  # type: ignore[list-item]


HOOK = """
from aotlab.sdk import Hook
class KeepOut(Hook):
    def correct(self, draft):
        logits = draft.logits.clone()
        logits[1:] = -1e10
        return draft._replace(logits=logits, indices=logits.max(0).indices)
hooks = {"keep_out": KeepOut, "number": int}
"""


@pytest.fixture
def plugin(tmp_path, unload):
    path = tmp_path / "mine.py"
    path.write_text(HOOK)
    return path


def test_settings_turn_on_hooks_of_plugins(plugin, tmp_path, unload):
    load_plugins([plugin])
    small, config = build("aott", "rules.hooks=[keep_out]")
    predictions = run_tracker(Tracker(small, config), draw_texture(2), {0: draw_stripes([1, 2])})
    assert not predictions[1].labels.any()
    save_checkpoint(tmp_path / "weights.safetensors", small, config.replace(rules={"hooks": []}))
    options = TrackerOptions(tmp_path / "weights.safetensors", overrides=["rules.hooks=[keep_out]"])
    origin = {"name": "keep_out", "file": "mine.py"}
    assert origin.items() <= options.fingerprint()["plugins"]["rules.hooks.keep_out"].items()
    save_checkpoint(tmp_path / "weights.safetensors", small, config)
    unload()
    build()  # loads the tiny encoder again
    with pytest.raises(InputError, match=r"needs the hook keep_out of mine\.py; give --plugin mine.py"):
        load_checkpoint(tmp_path / "weights.safetensors")
    assert load_checkpoint(tmp_path / "weights.safetensors", overrides=["rules.hooks=[]"])[1].rules.hooks == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("[keep_ot]", r"rules\.hooks\.0 keep_ot: .*; did you mean keep_out\?"),
        ("keep_out", "rules.hooks must be a list, got 'keep_out'"),
        ("[number]", "hooks: expected objects of Hook, got 0; derive its class from aotlab.sdk.Hook"),
    ],
)
def test_unusable_hooks_of_plugins_rejected(name, message, plugin):
    load_plugins([plugin])
    with pytest.raises(InputError, match=message):
        Tracker(*build("aott", f"rules.hooks={name}"))
