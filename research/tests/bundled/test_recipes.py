"""The recipe of the bundled model, and the script that runs it."""

import subprocess
from pathlib import Path

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.load import load_config
from aotlab.configs.schema import RulesConfig
from aotlab.networks.weights.checkpoints import read_settings
from tests.processes import WAIT_SECONDS

BUNDLED = Path(__file__).resolve().parents[2] / "bundled"


def test_recipe_tracks_as_the_bundled_model():
    recipe, bundled = load_config(BUNDLED / "recipes" / "bundled.yaml"), read_settings(BUNDLED_CHECKPOINT)
    assert (recipe.input, recipe.memory.policy) == (bundled.input, bundled.memory.policy)
    assert recipe.rules == bundled.rules == RulesConfig(ownership=True, cuts=True)


def test_script_without_data_names_the_missing_option(tmp_path):
    for arguments in ([], [str(tmp_path / "nowhere")]):
        command = ["bash", str(BUNDLED / "train.sh"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {[*arguments, 'DATA'][0]}: not a folder; give the training data")
