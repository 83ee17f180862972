"""Settings from presets, files and overrides; every error is one sentence that names the mistake."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from aotlab.configs.files import list_presets
from aotlab.configs.load import build_config, load_config, parse_yaml, to_yaml
from aotlab.configs.methods import METHODS, AOTStage, DeAOTStage
from aotlab.configs.schema import Config
from aotlab.configs.settings import Settings
from aotlab.configs.training import SourceConfig
from aotlab.engine.tracking.options import TrackerOptions
from aotlab.utils.errors import InputError
from aotlab_testing.marks import METHOD_PRESETS, one_of_each_method
from aotlab_testing.mutations import BOMB, raises_one_sentence

FILES = {
    "a base of no file": (r"base: gone\.yaml: no such file or preset", "base: gone.yaml"),
    "then: 5": (r"then: must be a list of phases, got 5", "base: aott\nthen: 5"),
    "then: [5]": (r"train\.phases\.0 must be settings \(key: value\), got 5", "base: aott\nthen: [5]"),
    "memory: null": (r"memory must be settings", "base: aott\nmemory: null"),
    "lists in lists": (r"nested too deeply", "a: " + "[" * 600 + "]" * 600),
    "a key twice": (r"line 4: found duplicate key every", "base: aott\nmemory:\n  every: 3\n  every: 4"),
    "a tag": (r"not readable as YAML \(line 1", "name: !!python/object/apply:os.system [ls]"),
    "a list": (r"not a YAML mapping of settings", "[1, 2]"),
    "two documents": (r"another document", "a: 1\n---\nb: 2"),
    "a control character": (r"not readable", "a: \0b"),
    "a number as key": (r"unknown key 1", "1: 2"),
    "phases: 5 and then": (r"train\.phases must be a list, got 5", "base: aott\ntrain: {phases: 5}\nthen: [{name: a}]"),
}
OVERRIDES = {
    "memory.evry=2": "unknown key memory.evry; did you mean memory.every?",
    "model.stages.0.windw=7": "unknown key model.stages.0.windw; did you mean model.stages.0.window?",
    "lr=1": "unknown key lr; did you mean train.phases.0.lr?",
    "train.policy=first_frame": "unknown key train.policy; valid keys are output, run",
    "model.depth=1.5": "model.depth must be an integer",
    "memory.every=true": "memory.every must be an integer, got True",
    "model.align_corners=maybe": "model.align_corners must be true or false, got 'maybe'",
    "model.stages.0.window.x=3": "aott: model.stages.0.window must be an integer, got {'x': 3}",
    "memory=5": "memory must be settings (key: value), got 5",
    "model.stages.0.window=8": "aott: model.stages.0.window must be odd or 0, up to 1001, got 8",
    "model.method=[aot]": "model.method must be text, got ['aot']",
    "model.method=deott": "deott: not one of aot, aot_rmem, deaot, deaot_rmem, msdeaot, aost, paot; did you",
    "=1": "is written key=value",
    "name={": "name={: not readable as YAML (line 1: ",
    "model.stages.1.window=7": "model.stages.1: no such item; the list has items 0 to 0",
    "model.stages.x.window=7": "model.stages.x: no such item",
    "memory.every=-1": "memory.every must be 1 to 2147483647, got -1",
    "train.seed=-1": "train.seed must be 0 to 9223372036854775807, got -1",
    "input.scale=0": "input.scale must be above 0",
    "train.phases=[{name: ../evil}]": "train.phases.0.name: '../evil' is not a plain name",
    "train.phases=[{name: a, sources: [{pth: b}]}]": "sources.0.pth; did you mean train.phases.0.sources.0.path?",
    "train.phases=[{steps: 1}]": "train.phases.0.name is missing",
    "train.run=[[a]]": "train.run.0 must be text, got ['a']",
    "memory.every=1" + "0" * 9000: "Exceeds the limit",
    "input.scale=1" + "0" * 400: "input.scale must be a number, got 1000",
    "confidence_temperature=1e400": "confidence_temperature must be finite, got inf",
    "model.dim=99999999999999999999": "model.dim must be 16 to 65536, a multiple of 16",
}


def write(path, text):
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", list_presets())
def test_preset_loads_under_its_own_name(name):
    assert load_config(name).name == name


def test_preset_and_file_inherit_from_their_base(tmp_path):
    config = load_config("swinb_aotl")
    assert (config.model.encoder, config.model.align_corners) == ("swin_base", False)
    assert (config.memory.policy, config.memory.every, config.model.stages[0].depth) == ("every_nth", 5, 3)
    config = load_config(write(tmp_path / "mine.yaml", "base: aotl\nname: mine\nmemory:\n  every: 3\n"))
    assert (config.name, config.memory.every, config.memory.policy) == ("mine", 3, "every_nth")


def test_file_with_other_memory_resets_what_depends_on_it(tmp_path):
    config = load_config(write(tmp_path / "mine.yaml", "base: aott_mini\nmemory:\n  frames: 4\n"))
    assert (config.memory.frames, config.memory.max_tracked) == (4, None)
    config = load_config(write(tmp_path / "mine.yaml", "base: aott_mini\nmemory:\n  every: 4\n"))
    assert (config.memory.every, config.memory.max_tracked) == (4, 1)


def test_base_is_found_beside_its_file(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write(tmp_path / "here" / "below.yaml", "base: aotl\nname: here\n")
    write(tmp_path / "below.yaml", "base: aots\nname: below\n")
    config = load_config(write(tmp_path / "above.yaml", "base: below.yaml\nname: above\n"))
    assert (config.name, config.model.stages[0].depth) == ("above", 2)


def test_circular_base_rejected(tmp_path):
    write(tmp_path / "one.yaml", "base: two.yaml\n")
    write(tmp_path / "two.yaml", "base: one.yaml\n")
    with pytest.raises(InputError, match=r"one\.yaml: base: refers back to this file"):
        load_config(tmp_path / "one.yaml")
    with pytest.raises(InputError, match=r"^mini: base: refers back to this file$"):
        load_config("mini", ["base=mini"])


def test_last_base_override_is_used():
    assert load_config("finetune", ["base=deaotl", "base=aots"]).name == "aots_finetune"


def test_base_override_without_preset_rejected(tmp_path):
    mine = write(tmp_path / "mine.yaml", "name: mine")
    for config, name in ((mine, mine), ("aotl", "aotl")):
        problem = f"replaces the preset under a recipe or a file of settings, but {name} names no preset"
        with pytest.raises(InputError, match=rf"^base=aots: {problem}; did you mean --config aots\?$"):
            load_config(config, ["base=aots"])


def test_base_override_of_a_checkpoint_rejected():
    message = r"base=aots: replaces the preset under a recipe or .*; did you mean --config aots\?$"
    with pytest.raises(InputError, match=message):
        TrackerOptions("bundled", overrides=["base=aots"]).read_settings()


def test_default_list_items_can_be_overridden(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine\n", encoding="utf-8")
    config = load_config(tmp_path / "mine.yaml", ["model.stages.0.window=7", "model.stages.0.heads=4"])
    assert config.model.stages == [AOTStage(window=7, heads=4)]
    config = load_config(tmp_path / "mine.yaml", ["model.method=deaot", "model.stages.0.window=7"])
    assert config.model.stages == [DeAOTStage(window=7)]


def test_unknown_name_names_the_nearest_or_all():
    with pytest.raises(InputError, match=r"recipes/minni.yaml: no such file or preset; did you mean mini\?"):
        load_config("recipes/minni.yaml")
    with pytest.raises(InputError, match="r50_aotx: no such file or preset; did you mean r50_aotl"):
        load_config("r50_aotx")
    with pytest.raises(InputError, match=r"presets are aost, .*recipes of aotlab train are .*finetune"):
        load_config("zzz")
    with pytest.raises(InputError, match=r"gone\.yaml: no such file"):
        load_config("gone.yaml")


@pytest.mark.parametrize("name", [*one_of_each_method(list_presets()), "configs/recipes/mini.yaml"])
def test_printed_settings_read_back_equal(tmp_path, name):
    config = load_config(name, ["model.stages.0.drop_path=0.3", "train.seed=3"])
    assert load_config(write(tmp_path / "printed.yaml", to_yaml(config))) == config


def test_empty_file_gives_the_defaults(tmp_path):
    assert load_config(write(tmp_path / "empty.yaml", "")) == Config()


def test_mapping_is_not_changed_by_loading():
    tree = {"name": "mine", "memory": {"every": 3}}
    assert build_config(tree, "mine", overrides=["memory.every=2"]).memory.every == 2
    assert tree == {"name": "mine", "memory": {"every": 3}}


@pytest.mark.parametrize("kind", FILES)
def test_invalid_file_rejected(tmp_path, kind):
    words, text = FILES[kind]
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with raises_one_sentence(words) as caught:
        load_config(str(path))
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("text", [BOMB, "a: &a 1\nb: *a"])
def test_text_that_expands_rejected(text):
    with pytest.raises(InputError, match=r"file: not readable as YAML .*not supported"):
        parse_yaml(text, "file")


@pytest.mark.parametrize(
    "text", ["2020_01", "007", "0x10", "12:30:45", "2024-05-01", "2024-13-45", "yes", "1e4x", "12", "${oc.env:HOME}"]
)
def test_text_stays_as_it_is_written(text):
    assert load_config("aott", [f"data.root={text}"]).data.root == text


@pytest.mark.parametrize(("text", "value"), [(".5", 0.5), ("+5e-1", 0.5), ("1.", 1.0), ("1e0", 1.0)])
def test_numbers_may_omit_digits_and_have_a_sign(text, value):
    assert load_config("aott", [f"input.scale={text}"]).input.scale == value


def test_text_that_is_a_fraction_must_be_quoted():
    with pytest.raises(InputError, match=r"data\.root must be text, got 1\.5"):
        load_config("aott", ["data.root=1.50"])
    assert load_config("aott", ["data.root='1.50'"]).data.root == "1.50"


@pytest.mark.parametrize(("override", "value"), [
    ("lr=1e-4", 1e-4), ("lr=1", 1.0), ("final_lr=null", None), ("final_lr=", None),
    ("steps=5", 5), ("name=5", "5"), ("sources=[{path: b}]", [SourceConfig(path="b")]),
    ("sources.0.path=c", [SourceConfig(path="c")]),
])  # fmt: skip
def test_override_of_a_phase(tmp_path, override, value):
    file = write(tmp_path / "mine.yaml", "base: aott\nthen: [{name: a, sources: [{path: x}]}]")
    phase = load_config(file, [f"train.phases.0.{override}"]).train.phases[0]
    assert getattr(phase, override.partition("=")[0].partition(".")[0]) == value


def test_override_merges_mappings():
    memory = load_config("aott", ["memory={every: 3}", "memory.frames=4", "memory={max_stored: 2}"]).memory
    assert (memory.every, memory.frames, memory.max_stored, memory.policy) == (3, 4, 2, "first_frame")


@pytest.mark.parametrize("override", OVERRIDES)
def test_invalid_override_rejected(override):
    with raises_one_sentence() as caught:
        load_config("aott", [override])
    assert OVERRIDES[override] in str(caught.value)


def list_numbers(settings, prefix=""):
    """Names of all numbers in settings, with the first stage of the model, and whether they are whole."""
    for name, field in type(settings).model_fields.items():
        value, kind = getattr(settings, name), str(field.annotation)
        if isinstance(value, Settings):
            yield from list_numbers(value, f"{prefix}{name}.")
        elif name == "stages":
            yield from list_numbers(value[0], f"{prefix}stages.0.")
        elif "int" in kind or "float" in kind:
            yield f"{prefix}{name}", "int" in kind


@pytest.mark.parametrize("value", ["nan", ".nan", "inf", "-inf", "1e400", 2**64, -(2**64)])
def test_numbers_are_finite_and_within_64_bits(value):
    names = [name for name, whole in list_numbers(Config()) if whole or isinstance(value, str)]
    assert len(names) > 20
    for name in names:
        with pytest.raises(InputError, match=re.escape(name)):
            build_config({}, "mine.yaml", overrides=[f"{name}={value}"])


@given(st.text(max_size=80) | st.text(alphabet="ab:[]{}&*!|>-#'\"\n ,$?.=0", max_size=60))
def test_any_text_is_a_mapping_or_an_input_error(text):
    with contextlib.suppress(InputError):
        assert isinstance(parse_yaml(text, "text"), dict)


@given(
    st.sampled_from(["model", "memory.every", "model.stages", "train.phases", "", "[", "a.b", "model.stages.0"]),
    st.text(alphabet="ab:[]{}&*!-'\" ,$?.=0159e", max_size=20) | st.floats().map(str) | st.integers().map(str),
)
def test_any_override_gives_settings_or_an_input_error(key, value):
    with contextlib.suppress(InputError):
        assert isinstance(build_config({}, "mine.yaml", overrides=[f"{key}={value}"]), Config)


class Item(Settings):
    path: str
    weights: list[float] = Field(default_factory=list)


class Listing(Settings):
    items: dict[str, Item]


def test_other_settings_load_with_the_same_checks():
    listing = build_config({"items": {"a": {"path": "b", "weights": [1, 2.5]}}}, "list.yaml", Listing)
    assert listing == Listing(items={"a": Item(path="b", weights=[1.0, 2.5])})
    with pytest.raises(InputError, match=r"list\.yaml: unknown key items\.a\.pth; did you"):
        build_config({"items": {"a": {"pth": "b"}}}, "list.yaml", Listing)
    with pytest.raises(InputError, match=r"list\.yaml: items\.a\.path is missing"):
        build_config({"items": {"a": {}}}, "list.yaml", Listing)


def test_presets_of_quick_tests_cover_all_methods():
    assert {load_config(name).model.method for name in METHOD_PRESETS} == METHODS.keys()
