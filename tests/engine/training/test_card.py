"""The model card that training writes into its checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from aotlab.engine.training.trainer import train
from aotlab.networks.weights.checkpoints import read_card
from tests.engine.training.tiny_recipes import ALONE, phase, run


def test_card_lists_phases(recipe):
    config = recipe("run", phase("one"), phase("two", steps=3))
    card = read_card(train(config, ALONE, command="python tools/train.py x=1").checkpoint)
    assert card.weights == "averaged"
    first, second = card.phases
    assert (first.name, first.steps, first.planned, first.crop) == ("one", 2, 2, 65)
    assert first.data == [
        "drawn (video): 2 videos with 6 labelled frames, gaps up to 1; 100.0 % of the draws"
    ]
    assert (first.start, second.start) == ("random weights", "one")
    assert (first.command, first.device) == ("python tools/train.py x=1", "1 × cpu")
    assert second.steps == 3
    assert 0 < second.hours < 1
    assert len(read_card(train(recipe("other", phase("one")), ALONE).checkpoint).phases) == 1


def test_card_includes_phases_of_start_from(recipe):
    before = run(recipe("before", phase("one"))).checkpoint
    card = read_card(run(recipe("after", phase("two"), overrides=[f"train.start_from={before}"])).checkpoint)
    assert [each.name for each in card.phases] == ["one", "two"]


def test_card_has_last_scores(recipe):
    config = recipe("run", phase("one", steps=1), overrides=["data.validation=[{path: drawn}]"])
    (record,) = read_card(run(config).checkpoint).phases
    assert set(record.scores) == {"J&F", "J", "F"}
    assert read_card(Path(config.train.output) / "best.safetensors").phases[0].scores == record.scores


def test_half_weights(recipe):
    half = load_file(
        run(recipe("half", phase("one", steps=1), overrides=["train.half_weights=true"])).checkpoint
    )
    assert {tensor.dtype for tensor in half.values() if tensor.is_floating_point()} == {torch.float16}
