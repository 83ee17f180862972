"""Rows of AOT's ablation table as settings: each changes one setting of AOT-Small, tracks and trains."""

import json
from pathlib import PurePath

import pytest

from aotlab.benchmark.paper_tables import load_table
from aotlab.configs.load import load_config
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.weights.checkpoints import load_checkpoint
from aotlab_testing.marks import slow
from aotlab_testing.small_model import draw_stripes, draw_texture, register_tiny_encoder, run_tracker
from tests.engine.training.tiny_recipes import draw_sets, log_lines, phase, run_recipe

ROWS = {
    PurePath(model.checkpoints[0]).parent.name.removeprefix("aots_"): model.train
    for model in load_table("aot_ablation").models.values()
    if len(model.train) > 1
}
"""Arguments of aotlab train by the row's name in its checkpoint."""
KEYS = {
    "identities": ["max_objects"], "window": ["window"], "frames": ["window", "short_term_frames"], "blocks": ["depth"],
    "no": ["sine_position", "relative_position"],
}  # fmt: skip
"""Prefix of a row's name to the settings that it may change."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_sets(tmp_path_factory.mktemp("sets"), frames=4)


def flatten(settings, prefix=""):
    """All settings by their path."""
    found = {}
    for key, value in settings.items() if isinstance(settings, dict) else enumerate(settings):
        found |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict | list) else {f"{prefix}{key}": value}
    return found


def test_table_has_all_ablations():
    assert len(ROWS) == 12


@pytest.mark.parametrize("name", ROWS)
def test_row_differs_from_aot_small_in_one_setting(name):
    base, *overrides = ROWS[name]
    assert base == "base=aots"
    full, row = (flatten(load_config("aots", settings).model_dump()) for settings in ((), overrides))
    (changed,) = {key for key in full if full[key] != row[key]}
    kind, _, value = name.partition("_")
    assert changed.rpartition(".")[2] in KEYS[kind]
    assert row[changed] == (False if kind == "no" else int(value))


@pytest.mark.parametrize("name", ["window_0", *slow(*(name for name in ROWS if name != "window_0"))])
def test_row_trains_and_tracks(name, tmp_path, data):
    register_tiny_encoder()
    overrides = ["model.encoder=tiny", "model.dim=32", *ROWS[name][1:]]
    settings = {
        "base": "aots",
        "data": {"root": str(data), "workers": 0},
        "train": {"output": str(tmp_path / "run"), "log_every": 1, "image_every": 0, "phases": [phase(clip_length=4)]},
    }  # fmt: skip
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(settings))  # JSON is YAML
    config = load_config(str(recipe), overrides)
    model, trained = load_checkpoint(run_recipe(config).checkpoint)
    assert all(line["gradient_norm"] > 0 for line in log_lines(config))
    assert (trained.model, trained.memory) == (config.model, config.memory)
    predictions = run_tracker(Tracker(model, trained), draw_texture(5), {0: draw_stripes([1, 2])})
    assert all(prediction.logits.isfinite().all() for prediction in predictions)
    assert predictions[-1].labels.shape == (33, 49)
