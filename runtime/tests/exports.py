"""Exports of small models, and their trackers beside PyTorch's."""

from pathlib import Path

import numpy as np
import pytest
import torch

import aotlab
import aotlab_runtime
from aotlab.engine.export.export import ExportOptions, export_model, resolve_export_config
from aotlab.engine.export.graphs import PROMPTING, build_prompt_graph
from aotlab.engine.tracking.tracker import Tracker
from aotlab_runtime.graphs import Graphs
from tests.engine.small_model import HEIGHT, WIDTH, build, draw_texture, stripes

FIFO = ("memory.policy=bounded_fifo", "memory.frames=3", "memory.every=1")
RESTRICTED = (*FIFO, "memory.policy=restricted")
STORED = Path(__file__).parent / "export"
"""Export of a small model, without prompts; to renew it after a change of the format, remove it and run a test."""
MASKS = {0: stripes([1, 2]), 4: stripes([9, 2, 1])}
"""Two objects, and on a later frame a third one."""


class GraphsWithPrompts(Graphs):
    """Graphs of an export without prompts; those of any size run in PyTorch, as converting them takes long."""

    def __init__(self, folder, model):
        super().__init__(folder, threads=1)
        self.prompting = PROMPTING
        self._prompt = build_prompt_graph(model)

    def run(self, name, tensors):
        if name != "prompt":
            return super().run(name, tensors)
        with torch.inference_mode():
            inputs = (torch.from_numpy(np.ascontiguousarray(tensors[key])) for key in self._prompt.inputs)
            results = self._prompt(*inputs)
        return {key: result.numpy() for key, result in zip(self._prompt.outputs, results, strict=True)}


def export_pair(folder, preset, *overrides, tiny=True, video=(HEIGHT, WIDTH), **options):
    """Export a model of random weights unless ``folder`` exists; return trackers of the runtime and of PyTorch."""
    model, config = build(preset, *overrides, tiny=tiny)
    for name, parameter in model.named_parameters():
        if name.endswith("relative_value"):
            parameter.data *= 0.1  # untrained ones amplify rounding
    if not folder.exists():
        export_model(model, config, folder, ExportOptions(**options), video=video)
    return aotlab_runtime.Tracker.from_export(folder, threads=1), Tracker(model, resolve_export_config(config))


def export_stored():
    """Return trackers of the stored export and of its model."""
    return export_pair(STORED, "aott", "model.prompt_blocks=1", *RESTRICTED, prompts=False)


def assert_equal_masks(pair, masks, length=7, min_equal=0.999):
    for index, frame in enumerate(draw_texture(length, *masks[0].shape)):
        found, expected = (tracker.step(frame, masks.get(index)) for tracker in pair)
        assert found.ids == expected.ids
        # onnxruntime sums in another order: masks differ in ties, logits by a thousandth of their spread
        assert (found.labels == expected.labels).mean() >= min_equal
        assert found.confidence == pytest.approx(expected.confidence, abs=2e-3)
        if index not in masks and min_equal >= 0.999:
            np.testing.assert_allclose(found.logits, expected.logits, atol=1e-3 * float(expected.logits.std()))


PROMPTS = {1: {"box": (5, 5, 20, 20)}, 2: {"points": [(40, 16), (5, 5)], "labels": [1, 0]}, 3: {"points": (30, 8)}}
OTHER_OBJECT = stripes([7, 0, 0])


def assert_equal_prompted_masks(pair):
    frame, results = draw_texture(1)[0], []
    for tracker, package in zip(pair, (aotlab_runtime, aotlab), strict=True):
        prompts = {object_id: package.Prompt(**prompt) for object_id, prompt in PROMPTS.items()}
        labels = tracker.fresh().step(frame, OTHER_OBJECT, prompts=prompts).labels
        assert ((labels == 7) == (OTHER_OBJECT == 7)).all()
        results.append((tracker.prompt(frame, prompts).labels, labels))
    assert (np.array(results[0]) == np.array(results[1])).mean() >= 0.999  # ties on outlines
