"""Our checkpoints and the published ones: round trips, and one sentence for a file that does not match."""

import json
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from aotlab.configs.files import BUNDLED_CHECKPOINT, list_presets
from aotlab.configs.load import apply_overrides, load_config, parse_yaml, to_yaml
from aotlab.configs.training import PhaseConfig, TrainConfig
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.build import build_model
from aotlab.networks.encoders import build_encoder
from aotlab.networks.weights.checkpoints import load_checkpoint, read_card, read_settings, save_checkpoint
from aotlab.networks.weights.published import find_published_weights
from aotlab.networks.weights.published_keys import (
    convert_published,
    guess_presets,
    load_encoder_weights,
    to_published_name,
)
from aotlab.networks.weights.zoo import load_model
from aotlab.utils.errors import InputError
from aotlab_testing.limits import limit_file_size
from aotlab_testing.marks import one_of_each_method, slow
from aotlab_testing.mutations import raises_one_sentence
from aotlab_testing.small_model import assert_same_weights, tiny_settings, to_published
from tests.golden import synthetic
from tests.golden.references import golden_table

LAYOUTS = {
    "safetensors": lambda state, path: save_file(state, path.with_suffix(".safetensors")),
    "state_dict": lambda state, path: torch.save({"state_dict": state, "optimizer": {"state": {}}}, path),
    "module": lambda state, path: torch.save({"state_dict": {f"module.{key}": x for key, x in state.items()}}, path),
    "model": lambda state, path: torch.save({"model": state}, path),
    "bare": torch.save,
}
"""How a file of published weights is written."""


@pytest.fixture(scope="module")
def config():
    return load_config("aott", [*tiny_settings("aott"), "memory.every=3", "name=small"])


@pytest.fixture(scope="module")
def model(config):
    torch.manual_seed(0)
    model = build_model(config.model)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():  # relative values begin as zeros, which would hide a lost tensor
                parameter.normal_()
    return model.eval()


@pytest.fixture(scope="module")
def aott():
    torch.manual_seed(1)
    return build_model(load_config("aott").model).eval()


@torch.inference_mode()
def logits(model):
    generator = torch.Generator().manual_seed(0)
    features = model.encode(torch.randn(1, 3, 33, 49, generator=generator))
    identities = model.assign_identities(torch.rand(1, 3, 33, 49, generator=generator))
    return model.decode(model.propagate(features, id_embeddings=identities), features)


def test_checkpoint_is_loaded_as_saved(tmp_path, model, config):
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, model, config)
    loaded, settings = load_checkpoint(path)
    assert settings == config
    assert not loaded.training
    assert_same_weights(loaded.state_dict(), model.state_dict())
    assert torch.equal(logits(loaded), logits(model))


def test_half_precision_halves_a_checkpoint(tmp_path, model, config):
    save_checkpoint(tmp_path / "full.safetensors", model, config)
    save_checkpoint(tmp_path / "half.safetensors", model, config, half=True)
    full, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.51 * full
    loaded, expected = load_checkpoint(tmp_path / "half.safetensors")[0].state_dict(), model.state_dict()
    for key, tensor in loaded.items():
        # 11 bits of mantissa: relative 2^-11, and 2^-25 where a number is too small for a normal one
        torch.testing.assert_close(tensor, expected[key], rtol=2**-11, atol=2**-25)


def test_overrides_change_stored_settings(tmp_path, model, config):
    save_checkpoint(tmp_path / "small.safetensors", model, config)
    for overrides in (["memory.every=9"], "memory.every=9"):
        _, settings = load_model(tmp_path / "small.safetensors", overrides=overrides)
        assert (settings.memory.every, settings.model) == (9, config.model)
    with pytest.raises(InputError, match=r"settings for .*small.safetensors: unknown key memory.evry"):
        load_model(tmp_path / "small.safetensors", overrides=["memory.evry=9"])
    with pytest.raises(InputError, match=r"^settings for aott_mini: unknown key memory.evry"):
        load_model("bundled", overrides=["memory.evry=9"])


@pytest.mark.parametrize(("arguments", "policy"), [({}, "rmem"), ({"protocol": "published"}, "every_nth")])
def test_model_and_tracker_of_a_checkpoint_have_the_same_memory(tmp_path, model, config, arguments, policy):
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, model, config.replace(memory={"policy": "every_nth"}))
    loaded, settings = load_model(path, **arguments)
    assert settings.memory.policy == policy
    assert Tracker(loaded, settings).config == settings
    assert Tracker.from_pretrained(path, **arguments).config.memory == settings.memory


def test_file_with_metadata_of_another_version_loads(tmp_path, caplog):
    """The metadata of the bundled file at commit 07857374d."""
    metadata = json.loads(Path(__file__).with_name("earlier_metadata.json").read_text(encoding="utf-8"))
    path = tmp_path / "earlier.safetensors"
    save_file(load_file(BUNDLED_CHECKPOINT), path, metadata)
    earlier, settings = load_checkpoint(path)
    (line,) = [record.getMessage() for record in caplog.records]
    names = "rules.ownership, compute.graphs, train.optimizer, train.schedule"
    assert line == f"{path}: ignoring settings of another version: {names}"
    bundled, expected = load_checkpoint(BUNDLED_CHECKPOINT)
    assert settings == expected
    assert_same_weights(earlier.state_dict(), bundled.state_dict())
    assert len(caplog.records) == 1
    assert read_card(path) == read_card(BUNDLED_CHECKPOINT)


@pytest.mark.parametrize("unknown", ["rules.halo=1", "compute.lanes=4", "train.phases.0.tempo=2", "data.roots=a"])
def test_unknown_keys_of_records_are_dropped_and_named(unknown, tmp_path, model, config, caplog):
    path, name = tmp_path / "small.safetensors", unknown.partition("=")[0]
    stored = apply_overrides(
        parse_yaml(to_yaml(config.replace(train=TrainConfig(phases=[PhaseConfig(name="one")]))), ""), [unknown]
    )
    save_file(model.state_dict(), path, {"config": yaml.safe_dump(stored)})
    settings = load_checkpoint(path)[1]
    assert (settings.model, settings.rules) == (config.model, config.rules)
    assert settings.train.phases == [PhaseConfig(name="one")]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: ignoring settings of another version: {name}"
    ]
    with pytest.raises(InputError, match=f"unknown key {name}"):
        load_checkpoint(path, overrides=["train.phases=[{name: one}]", unknown])


def test_bundled_settings_are_those_of_this_version():
    with safe_open(BUNDLED_CHECKPOINT, "pt") as file:
        assert file.metadata()["config"] == to_yaml(read_settings(BUNDLED_CHECKPOINT))


def test_full_disk_keeps_the_old_file(tmp_path, model, config):
    path = tmp_path / "small.safetensors"
    path.write_bytes(b"old")
    with limit_file_size(1000), pytest.raises(InputError, match="File too large"):
        save_checkpoint(path, model, config)
    assert [file.name for file in tmp_path.iterdir()] == ["small.safetensors"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("layout", ["module", "safetensors", *slow("state_dict", "model", "bare")])
def test_published_file_gives_the_same_logits(tmp_path, aott, layout):
    LAYOUTS[layout](to_published(aott), tmp_path / "AOTT.pth")
    loaded, settings = load_checkpoint(next(tmp_path.iterdir()), config="aott")
    assert settings == load_config("aott")
    assert torch.equal(logits(loaded), logits(aott))


@pytest.mark.parametrize("variant", one_of_each_method(list_presets()))
def test_published_keys_round_trip(variant):
    keys = golden_table(f"keys/{variant}")
    computed = {key: spec for key, spec in keys.items() if key.endswith("relative_position_index")}
    # Every tensor holds its own number: a pair of names exchanged would show.
    state = {
        key: torch.full(shape, float(number)).to(getattr(torch, dtype.removeprefix("torch.")))
        for number, (key, (shape, dtype)) in enumerate(keys.items())
    } | synthetic.make_weights(computed)
    model = build_model(load_config(variant).model)
    model.load_state_dict(convert_published(state, model), strict=True)
    back = to_published(model)
    state.pop("LSTT.mask_token", None)  # unused
    assert set(back) == set(state)
    assert [key for key, tensor in state.items() if back[key].shape != tensor.shape] == []
    assert [key for key, tensor in state.items() if back[key].dtype != tensor.dtype] == []
    assert_same_weights(back, state)


@pytest.mark.parametrize(("name", "warnings"), [("aott", 0), ("aotl", 1)])
def test_keys_of_a_published_file_name_its_variant(tmp_path, caplog, name, warnings):
    torch.manual_seed(0)
    model = build_model(load_config(name).model).eval()
    torch.save(to_published(model), tmp_path / "it.pth")
    loaded, config = load_checkpoint(tmp_path / "it.pth")
    assert config == load_config(guess_presets(model.state_dict())[0])
    assert torch.equal(loaded.projector.weight, model.projector.weight)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [f"{tmp_path}/it.pth: loaded as aotb; its keys also fit aotl (config=)"] * warnings
    assert read_settings(tmp_path / "it.pth", overrides=["memory.every=3"]).memory.every == 3


PUBLISHED = {
    "unknown keys": (lambda state: {"a": torch.zeros(1)}, {}, r"it\.pth: its keys fit no preset; give a checkpoint"),
    "a missing key": (lambda state: {key: x for key, x in state.items() if key != "patch_wise_id_bank.bias"},
                      {"config": "aott"}, r"does not fit aott \(.*missing keys identity_bank.bias.*; if it is damaged"),
    "another shape": (dict, {"config": "aott", "overrides": ["model.stages.0.window=7"]},
                      r"size mismatch for .*relative_"),
    "another variant": (lambda state: to_published(build_model(load_config("aots").model)), {"config": "aott"},
                        r"does not fit aott \(.*LSTT\.layers\.1\..*; its keys fit aots$"),
}  # fmt: skip
"""What is wrong with a published file, the options it is loaded with, and words of the message."""


@pytest.mark.parametrize("case", PUBLISHED)
def test_published_file_that_does_not_match_rejected(tmp_path, aott, case):
    change, options, words = PUBLISHED[case]
    torch.save({"state_dict": change(to_published(aott))}, tmp_path / "it.pth")
    with raises_one_sentence(words):
        load_checkpoint(tmp_path / "it.pth", **options)


def test_missing_file_rejected(tmp_path):
    with pytest.raises(InputError, match=r"gone\.safetensors: not readable \(No such file or directory\)"):
        load_checkpoint(tmp_path / "gone.safetensors")
    with pytest.raises(InputError, match="r50_deotl: no such checkpoint; did you mean r50_deaotl"):
        load_model("r50_deotl")
    with raises_one_sentence("checkpoint 5: not a path or a name"):
        load_model(5)


def test_settings_that_misfit_own_weights_rejected(tmp_path, model, config):
    save_checkpoint(tmp_path / "own.safetensors", model, config)
    for options in ({"config": "aott"}, {"overrides": ["model.stages.0.window=9"]}):
        with pytest.raises(InputError, match=r"own\.safetensors: does not fit \w+ \(.*; its keys fit"):
            load_checkpoint(tmp_path / "own.safetensors", **options)


def test_own_file_with_a_missing_key_rejected(tmp_path, model, config):
    state = {key: tensor for key, tensor in model.state_dict().items() if key != "projector.bias"}
    save_file(state, tmp_path / "own.safetensors", metadata={"config": to_yaml(config)})
    with pytest.raises(InputError, match=r"does not fit small \(.*missing keys .*projector\.bias") as error:
        load_checkpoint(tmp_path / "own.safetensors")
    assert "config" not in str(error.value)


def test_training_state_is_not_a_checkpoint(tmp_path, aott):
    state = aott.state_dict()
    (tmp_path / "run" / "states").mkdir(parents=True)
    path = tmp_path / "run" / "states" / "0_video_000002.pt"
    torch.save({"model": state, "ema": state, "optimizer": {}, "step": 2}, path)
    with pytest.raises(InputError, match=r"state of a training run.*PHASE\.safetensors .*run$"):
        load_checkpoint(path)


def test_encoder_weights_load_without_a_classifier(aott):
    torch.manual_seed(2)
    fresh = build_model(load_config("aott").model).encoder
    weights = {
        to_published_name(f"encoder.{key}").removeprefix("encoder."): tensor
        for key, tensor in aott.encoder.state_dict().items()
    }
    load_encoder_weights(fresh, weights | {"classifier.1.weight": torch.zeros(3)})
    assert_same_weights(fresh.state_dict(), aott.encoder.state_dict())
    with pytest.raises(RuntimeError, match="Missing key"):
        load_encoder_weights(fresh, {"conv9.weight": torch.zeros(3)})


def test_classifier_of_swin_has_no_output_norms():
    with torch.device("meta"):
        swin = build_encoder("swin_base")
    weights = {
        to_published_name(f"encoder.{key}").removeprefix("encoder."): tensor
        for key, tensor in swin.state_dict().items()
        if not key.startswith("norms.")
    }
    load_encoder_weights(swin, weights)
    weights.popitem()
    with pytest.raises(RuntimeError, match="Missing key"):
        load_encoder_weights(swin, weights)


# aott_mini is aott with a prompt network, whose settings are in its file
@pytest.mark.parametrize("name", one_of_each_method(name for name in list_presets() if name != "aott_mini"))
def test_keys_name_the_preset(name):
    with torch.device("meta"):
        model = build_model(load_config(name).model)
    likely = guess_presets(model.state_dict())
    assert name in likely
    assert likely == guess_presets(to_published(model))
    assert all(load_config(other).model == model.config for other in likely)


def test_presets_with_equal_keys_differ_by_file_name(tmp_path):
    model = build_model(load_config("aotl").model)
    path = tmp_path / find_published_weights("aotl").file
    torch.save(to_published(model), path)
    assert load_checkpoint(path)[1] == read_settings(path) == load_config("aotl")
    other = path.rename(tmp_path / "mine.pth")
    assert read_settings(other) == load_config("aotb")


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_file_without_permission_is_not_called_damaged(name, tmp_path, monkeypatch):
    (tmp_path / name).write_bytes(b"weights")

    refuse = Mock(side_effect=PermissionError(13, "Permission denied"))
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"not readable \(Permission denied\)"):
        load_checkpoint(tmp_path / name)
