"""The recipe of the bundled model, and the script that runs it."""

import subprocess
from pathlib import Path

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.load import load_config
from aotlab.configs.schema import RulesConfig
from aotlab.networks.weights.checkpoints import read_settings
from aotlab_testing.processes import WAIT_SECONDS

BUNDLED = Path(__file__).resolve().parents[2] / "bundled"


def test_recipe_tracks_as_the_bundled_model():
    recipe, bundled = load_config(BUNDLED / "recipes" / "bundled.yaml"), read_settings(BUNDLED_CHECKPOINT)
    assert (recipe.input, recipe.memory.policy) == (bundled.input, bundled.memory.policy)
    assert recipe.rules == bundled.rules == RulesConfig(cuts=True)


def test_script_without_data_names_the_missing_option(tmp_path):
    for arguments in ([], [str(tmp_path / "nowhere")]):
        command = ["bash", str(BUNDLED / "train.sh"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {[*arguments, 'DATA'][0]}: not a folder; give the training data")


def test_rendered_clips_are_30_percent_of_the_draws():
    recipe = load_config(BUNDLED / "recipes" / "crossings.yaml")
    (phase,) = recipe.train.phases
    weights = {source.path: source.weight for source in phase.sources}
    assert weights == {"davis16": 4.0, "pairs": 1.0, "static": 2.0, "crossings": 3.0}
    assert recipe.rules == read_settings(BUNDLED_CHECKPOINT).rules


def test_control_lacks_only_rendered_clips():
    (line,) = (line for line in (BUNDLED / "README.md").read_text().splitlines() if "train.phases.0.sources=[" in line)
    rendered, control = (
        load_config(BUNDLED / "recipes" / "crossings.yaml", overrides).train.phases[0]
        for overrides in ([], [line.strip().strip("'")])
    )
    assert control == rendered.replace(sources=rendered.sources[:3])
