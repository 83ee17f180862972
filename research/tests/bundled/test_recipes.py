"""The recipe of the bundled model, and the script that runs it."""

import subprocess
from pathlib import Path

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.load import load_config
from aotlab.configs.protocol import resolve_training
from aotlab.configs.schema import RulesConfig
from aotlab.networks.weights.checkpoints import read_settings

BUNDLED = Path(__file__).resolve().parents[2] / "bundled"


def test_phases_go_from_images_to_long_clips():
    config = resolve_training(load_config(BUNDLED / "recipes" / "bundled.yaml"))
    assert config.model.method == "aot"
    static, video, long = config.train.phases
    assert [source.kind for source in static.sources] == ["static"]
    assert (
        {source.kind for source in video.sources}
        == {source.kind for source in long.sources}
        == {"video", "static"}
    )
    assert static.crop < video.crop < long.crop
    assert long.clip_length > video.clip_length
    assert all(phase.compose > 0 for phase in config.train.phases)
    assert all(phase.feed_predictions_after < 1 for phase in config.train.phases)
    assert config.train.half_weights
    assert config.train.validate_every > 0


def test_recipe_tracks_as_the_bundled_model():
    recipe, bundled = load_config(BUNDLED / "recipes" / "bundled.yaml"), read_settings(BUNDLED_CHECKPOINT)
    assert (recipe.input, recipe.memory.policy) == (bundled.input, bundled.memory.policy)
    assert recipe.rules == bundled.rules == RulesConfig(ownership=True, cuts=True)


def test_batches_can_be_split_over_two_processes():
    phases = load_config(BUNDLED / "recipes" / "bundled.yaml").train.phases
    assert all(phase.batch % 2 == 0 for phase in phases)


def test_script_without_data_prints_usage(tmp_path):
    for arguments in ([], [str(tmp_path / "nowhere")]):
        done = subprocess.run(
            ["bash", str(BUNDLED / "train.sh"), *arguments], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 2
        assert done.stderr.startswith("error: usage: bash research/bundled/train.sh DATA")
