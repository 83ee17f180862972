"""Settings from presets, files and overrides; every error is one sentence that names the mistake."""

from __future__ import annotations

import pytest

from aotlab.configs.files import preset_names
from aotlab.configs.load import load_config, to_yaml
from aotlab.configs.schema import Config
from aotlab.utils.errors import InputError


def write(path, text):
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_under_its_own_name(name):
    assert load_config(name).name == name


def test_a_preset_inherits_from_its_base():
    config = load_config("swinb_aotl")
    assert (config.model.encoder, config.model.align_corners) == ("swin_base", False)
    assert (config.memory.policy, config.memory.every) == ("every_nth", 5)
    assert config.model.stages[0].depth == 3


def test_a_file_takes_a_preset_as_base_and_changes_what_it_names(tmp_path):
    config = load_config(write(tmp_path / "mine.yaml", "base: aotl\nname: mine\nmemory:\n  every: 3\n"))
    assert (config.name, config.memory.every, config.memory.policy) == ("mine", 3, "every_nth")


def test_a_base_is_found_beside_the_file_that_names_it(tmp_path):
    write(tmp_path / "below.yaml", "base: aots\nname: below\n")
    config = load_config(write(tmp_path / "above.yaml", "base: below.yaml\nname: above\n"))
    assert (config.name, config.model.stages[0].depth) == ("above", 2)


def test_a_recipe_is_found_from_the_project_whatever_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [phase.name for phase in load_config("configs/recipes/mini.yaml").train.phases] == [
        "static",
        "video",
        "long",
    ]


def test_overrides_win_over_the_file():
    config = load_config("aotl", ["memory.every=2", "input.max_short_edge=480", "name=quick"])
    assert (config.memory.every, config.input.max_short_edge, config.name) == (2, 480, "quick")


def test_an_override_reaches_an_item_of_a_list_and_leaves_its_neighbours():
    stage = load_config("aots", ["model.stages.0.window=7"]).model.stages[0]
    assert (stage.window, stage.depth) == (7, 2)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("memory.evry=2", ["memory.evry", "did you mean memory.every?"]),
        ("modle.dim=128", ["modle", "did you mean model?"]),
        ("model.stages.0.windw=7", ["model.stages.0.windw", "did you mean model.stages.0.window?"]),
        ("train.qqqqq=1", ["train.qqqqq", "valid keys are"]),
        ("memory.every=often", ["memory.every", "often"]),
        ("model.align_corners=maybe", ["model.align_corners", "maybe"]),
        ("memory=5", ["memory", "5"]),
        ("memory.policy=all", ["memory.policy", "first_frame", "all"]),
        ("model.stages.0.window=8", ["window", "odd", "8"]),
        ("model.stages.0.heads=7", ["model.dim", "256", "7"]),
        ("train.precision=float8", ["train.precision", "bfloat16", "float8"]),
    ],
)
def test_a_bad_override_is_one_sentence_that_names_it(override, words):
    with pytest.raises(InputError) as error:
        load_config("aott", [override])
    message = str(error.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(InputError, match="r50_aotx: no such file or preset; did you mean r50_aotl"):
        load_config("r50_aotx")


def test_an_unlike_name_lists_the_presets():
    assert load_config("finetune").train.phases[0].name == "finetune"
    with pytest.raises(
        InputError, match=r"presets are aost, .*recipes of aotlab train are bundled, davis, finetune"
    ):
        load_config("zzz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.yaml: no such file"):
        load_config(tmp_path / "gone.yaml")


def test_an_unknown_key_in_a_file_names_the_file(tmp_path):
    with pytest.raises(
        InputError, match=r"mine\.yaml: unknown key memory\.polcy; did you mean memory\.policy"
    ):
        load_config(write(tmp_path / "mine.yaml", "base: aott\nmemory: {polcy: every_nth}\n"))


def test_a_circle_of_bases_is_refused(tmp_path):
    write(tmp_path / "one.yaml", "base: two.yaml\n")
    write(tmp_path / "two.yaml", "base: one.yaml\n")
    with pytest.raises(InputError, match="circle"):
        load_config(tmp_path / "one.yaml")


@pytest.mark.parametrize("name", [*preset_names(), "configs/recipes/mini.yaml"])
def test_printed_settings_read_back_equal(tmp_path, name):
    config = load_config(name, ["model.stages.0.window=7", "train.seed=3"])
    assert load_config(write(tmp_path / "printed.yaml", to_yaml(config))) == config


def test_an_empty_file_is_the_defaults(tmp_path):
    assert load_config(write(tmp_path / "empty.yaml", "")) == Config()
