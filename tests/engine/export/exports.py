"""Small models as graphs in a folder, and what trackers say of a clip by them and by PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from aotlab.configs.schema import Config
from aotlab.engine.export.runtime import exported_tracker
from aotlab.engine.export.verify import TOLERANCE, difference
from aotlab.engine.export.writing import export_model
from aotlab.engine.tracker import Tracker
from aotlab.networks.vos_model import VOSModel
from tests.engine.small_model import HEIGHT, WIDTH, build, clip, stripes

FIFO = ("memory.policy=bounded_fifo", "memory.frames=3", "memory.every=1")


@dataclass(frozen=True)
class Export:
    """A folder of graphs and the model that they were made of."""

    folder: Path
    model: VOSModel
    config: Config


def make(folder, preset, *overrides, groups=1):
    model, config = build(preset, *overrides)
    for name, parameter in model.named_parameters():
        if name.endswith("position_value"):
            parameter.data *= 0.1  # untrained ones amplify rounding to 1.6e-3 of the logits' deviation
    export_model(
        model, config, folder, video=(HEIGHT, WIDTH), groups=groups, prompts=model.prompts is not None
    )
    return Export(folder, model, config)


def both(export):
    """A tracker by graphs, and one of the model with the same settings."""
    exported = exported_tracker(export.folder)
    return exported, Tracker(export.model, exported.config)


def assert_alike(export, masks, length=7):
    """Logits agree on every frame that is tracked; random weights have few ties, so labels do too."""
    exported, plain = both(export)
    compared = 0
    for index, frame in enumerate(clip(length)):
        one, other = exported.step(frame, masks.get(index)), plain.step(frame, masks.get(index))
        assert one.ids == other.ids
        assert (one.channels == other.channels).double().mean() > 0.999
        if index not in masks:
            assert torch.std(other.logits) > 0.1
            assert difference(one, other) < TOLERANCE
            compared += 1
        assert [bank.kept for bank in exported.banks] == [bank.kept for bank in plain.banks]
        assert all(len(bank) <= exported.config.memory.frames for bank in exported.banks)
    assert compared == length - len(masks)
    return exported


MASKS = {0: stripes([1, 2]), 4: stripes([9, 2, 1])}
"""two objects, and on a later frame a third one"""
