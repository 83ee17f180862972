"""Data and settings of training runs."""

import pytest

from tests.engine.training.tiny_recipes import draw_sets, tiny_recipe


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
