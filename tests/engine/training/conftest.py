"""Data and settings of training runs."""

import pytest

from aotlab.dataloaders.training.phases import open_phases
from aotlab.engine.training.build import build_training_model, resolve_training
from aotlab.engine.training.state import TrainState
from tests.engine.training.tiny_recipes import ALONE, draw_sets, phase, tiny_recipe


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two drawn videos of three frames, read only."""
    return draw_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture
def recipe(tmp_path, data):
    """Makes the settings of a run that writes to a folder of its own."""

    def make(output, *phases, overrides=()):
        return tiny_recipe(tmp_path, data, output, *phases, overrides=overrides)

    return make


@pytest.fixture
def state(recipe):
    """The state before the first of seven steps."""
    config = resolve_training(recipe("run", phase(steps=7)))
    (mixture,) = open_phases(config).mixtures.values()
    return TrainState(config, ALONE, build_training_model(config), mixture)
