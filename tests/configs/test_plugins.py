"""Plug-ins that settings name: files in YAML and on the command line, and those that a checkpoint needs."""

import sys
from dataclasses import dataclass
from typing import Annotated

import pytest
import yaml
from pydantic import Field
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from aotlab.configs.load import load_config
from aotlab.configs.methods import AOTStage, Method, find_method
from aotlab.configs.plugins import describe_plugins, load_plugins
from aotlab.configs.schema import MemoryConfig
from aotlab.engine.memory.policies import build_policy
from aotlab.engine.tracking.options import TrackerOptions
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.training.losses import find_loss
from aotlab.networks.build import build_model
from aotlab.networks.encoders import Encoder, build_encoder
from aotlab.networks.weights.checkpoints import load_checkpoint, read_settings, save_checkpoint
from aotlab.tools.main import main as aotlab_command
from aotlab.tools.train import main as train
from aotlab.tools.weights import main as show_weights
from aotlab.utils.errors import InputError
from aotlab.utils.files import sha256
from aotlab.utils.plugins import (
    ENCODER_PLUGINS,
    GROUPS,
    LOSS_PLUGINS,
    METHOD_PLUGINS,
    check_signature,
    describe_plugin,
)
from aotlab_testing.frames import fill_bank
from aotlab_testing.mutations import raises_one_sentence
from aotlab_testing.small_model import build

PLUGIN = """
from aotlab.engine.memory.policies import FIFO
def make_recent(memory):
    return FIFO(memory.every, memory.frames)
memory_policies = {"recent": make_recent}
"""


POLICY = """
from aotlab.sdk import Decision, MemoryPolicy
class Mine(MemoryPolicy):
    every, {capacity} = 1, 2
    def {name}(self, {arguments}):
        return {result}
memory_policies = {{"mine": {make}}}
"""
FAULTY = {
    "maker": ({"make": "lambda: Mine()"}, r"mine\.py: <lambda>: too many positional arguments; expected \(memory\)$"),
    "called": ({"make": "Mine()"}, r"mine\.py: memory_policies: mine is not a function or class$"),
    "number": ({"make": "5"}, r"mine\.py: memory_policies: mine is not a function or class$"),
    "triple": (
        {"result": "True, None, 3"},
        r"Mine\.decide: returned \(True, None, 3\); expected Decision\(store, evict\)$",
    ),
    "bool": ({"result": "True"}, r"Mine\.decide: returned True; expected Decision"),
    "reference": ({"result": "Decision(True, 0)"}, r"Mine\.decide: evicts position 0, but may evict no frame; choose"),
    "full": ({"result": "Decision(True)"}, r"Mine\.decide: stores frame 2 as number 3 of a memory of 2; evict one"),
}


@pytest.mark.parametrize("case", FAULTY)
def test_faulty_policy_is_one_sentence(tmp_path, unload, case):
    words, message = FAULTY[case]
    path = tmp_path / "mine.py"
    whole = {
        "name": "decide", "arguments": "frames, evictable, index, relevance", "capacity": "capacity",
        "result": "Decision(True)", "make": "lambda memory: Mine()",
    }  # fmt: skip
    path.write_text(POLICY.format(**whole | words))
    with raises_one_sentence(message):
        load_plugins([path])
        fill_bank(build_policy(MemoryConfig(policy="mine")), 3)


def test_encoder_of_other_arguments_is_one_sentence(offer):
    offer(ENCODER_PLUGINS, wide=lambda width: None)
    with raises_one_sentence(r"<lambda>: missing a required argument: 'width'; expected \(\)$"):
        build_encoder("wide")


class Maps(Encoder):
    """Four maps, of which the last two are made by ``last``."""

    def __init__(self, channels=(8, 8, 8, 8), last=None, build=lambda maps: maps):
        super().__init__()
        self.channels, self.build = channels, build
        self.layers = nn.ModuleList(nn.Conv2d(3, 8, 3, stride, padding=1) for stride in (4, 8, 16))
        if last is not None:
            self.layers[2] = last
        self.layers.append(nn.BatchNorm2d(3))

    @property
    def freezable_parts(self):
        return []

    def forward(self, image):
        image = self.layers[3](image)
        f4, f8, f16 = (layer(image) for layer in self.layers[:3])
        return self.build([f4, f8, f16, f16])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, None),
        ({"last": nn.Conv2d(3, 8, 32, 16)}, "map 3 of an image of 65×49 is 8×3×2; expected 8×5×4"),
        ({"channels": (8, 8, 48, 8)}, "map 3 of an image of 65×49 is 8×5×4; expected 48×5×4"),
        ({"channels": (8, 8, 8)}, "channels has 3 values; expected four, one for each map"),
        ({"build": lambda maps: maps[:3]}, "forward returns 3 maps; expected a list of four"),
        ({"build": lambda maps: {"f4": maps[0]}}, "forward returns a dict; expected a list of four"),
    ],
    ids=["right", "padding", "width", "widths", "three", "dict"],
)
def test_maps_of_an_encoder_are_checked_once(options, message, offer):
    offer(ENCODER_PLUGINS, maps=lambda: Maps(**options))
    config = build()[1].model.replace(encoder="maps")
    if message is None:
        encoder = build_model(config).encoder
        assert encoder.training
        assert encoder.layers[3].num_batches_tracked == 0
    else:
        with raises_one_sentence(rf"test_plugins\.py: Maps: {message}$"):
            build_model(config)


def test_loss_of_other_arguments_rejected(offer):
    offer(LOSS_PLUGINS, mine=lambda logits, labels, hardest_count: 0)
    with raises_one_sentence(
        r"<lambda>: missing a required argument: 'hardest_count'; expected \(outputs, target_indices\)$"
    ):
        find_loss("mine")


def test_model_of_other_arguments_rejected(offer):
    offer(METHOD_PLUGINS, mine=Method(AOTStage, model=lambda config, size: None))
    with raises_one_sentence(r"<lambda>: missing a required argument: 'size'; expected \(config\)$"):
        find_method("mine")


@dataclass(frozen=True)
class PlainStage:
    gates: int = 2


@dataclass(frozen=True)
class DecoratedStage(AOTStage):
    gates: int = 2


class GatedStage(AOTStage):
    gates: Annotated[int, Field(ge=1)] = 2


@pytest.mark.parametrize("stage", [PlainStage, DecoratedStage])
def test_dataclass_of_stage_settings_rejected(stage, offer):
    offer(METHOD_PLUGINS, mine=Method(stage, model=lambda config: None))
    with raises_one_sentence(
        rf"test_plugins\.py: {stage.__name__}: .*; derive it from aotlab\.sdk\.Stage, without @dataclass$"
    ):
        load_config("aott", ["model.method=mine"])


def test_stage_settings_of_a_plugin_are_checked(offer):
    offer(METHOD_PLUGINS, mine=Method(GatedStage, model=lambda config: None))
    overrides = ["model.method=mine", "model.stages.0.gates=3"]
    assert load_config("aott", overrides).model.stages == [GatedStage(gates=3)]
    for overrides, message in (
        (["model.stages.0.gates=0"], r"model\.stages\.0\.gates: Input should be greater than or equal to 1, got 0"),
        (["model.stages.0.gate=3"], r"unknown key model\.stages\.0\.gate; did you mean model\.stages\.0\.gates\?"),
    ):
        with raises_one_sentence(rf"^aott: {message}$"):
            load_config("aott", ["model.method=mine", *overrides])


def test_built_in_loss_fits_the_call_of_plugins():
    check_signature(find_loss("aot"), GROUPS[LOSS_PLUGINS].arguments)


@pytest.fixture
def plugin(tmp_path, unload):
    path = tmp_path / "recent.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def checkpoint(plugin, unload):
    """A checkpoint of a model with a plug-in's policy, in a process without it."""
    load_plugins([plugin])
    model, config = build("aott", "memory.policy=recent")
    path = plugin.with_name("recent.safetensors")
    save_checkpoint(path, model, config)
    unload()
    build()  # loads the tiny encoder again
    return path


def test_yaml_file_names_plugins_beside_it(plugin, tmp_path):
    (tmp_path / "mine.yaml").write_text("base: aott\nplugins: [recent.py]\nmemory: {policy: recent, frames: 3}\n")
    (tmp_path / "second.yaml").write_text("base: mine.yaml\nmemory: {every: 2}\n")
    config = load_config(tmp_path / "second.yaml")
    assert (config.memory.policy, config.memory.every, config.memory.is_bounded) == ("recent", 2, True)
    assert describe_plugins(config)["memory.policy"]["file"] == "recent.py"


@pytest.mark.parametrize(("text", "message"), [
    ("plugins: recent.py", "mine.yaml: plugins: must be a list of Python files, got recent.py"),
    ("plugins: [3]", "must be a list"),
    ("plugins: [no.py]", "mine.yaml: .*no.py: no such file"),
    ("memory: {policy: recent}", r"memory.policy recent: not one of .*; install the plug-in's package or give"),
])  # fmt: skip
def test_bad_plugins_in_yaml_rejected(plugin, tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(f"base: aott\n{text}\n")
    with pytest.raises(InputError, match=message):
        load_config(tmp_path / "mine.yaml")


@pytest.mark.parametrize(("group", "name"), [
    ("methods", "aot"), ("memory_policies", "first_frame"), ("encoders", "resnet50"),
])  # fmt: skip
def test_built_in_names_rejected_in_plugin_files(tmp_path, unload, group, name):
    (tmp_path / "mine.py").write_text(f"{group} = {{'{name}': None}}")
    with pytest.raises(InputError, match=rf"mine\.py: {group}: {name} is already the name of one in aotlab"):
        load_plugins([tmp_path / "mine.py"])


def test_options_on_the_command_line_name_plugins(plugin, capsys):
    args = ["--config", "mini", "--print-config", "memory.policy=recent"]
    assert train(args) == 2
    assert "not one of" in capsys.readouterr().err
    assert train([*args, "--plugin", str(plugin)]) == 0
    assert "policy: recent" in capsys.readouterr().out
    assert train([*args, "--plugin", "no.py"]) == 2
    assert "no.py: no such file" in capsys.readouterr().err


def test_options_of_a_tracker_carry_plugins_to_other_processes(checkpoint, plugin):
    options = TrackerOptions(checkpoint, plugins=(plugin,))
    origin = {"name": "recent", "file": "recent.py"}
    assert origin.items() <= options.fingerprint()["plugins"]["memory.policy"].items()
    tracker = options.load()
    assert isinstance(tracker, Tracker)
    assert tracker.config.memory.policy == "recent"


def test_checkpoint_names_its_missing_plugin_file(checkpoint):
    message = rf"^{checkpoint}: needs the memory policy recent of recent.py; give --plugin recent.py$"
    with pytest.raises(InputError, match=message):
        load_checkpoint(checkpoint)


def test_changed_code_of_a_checkpoint_is_named(checkpoint, plugin, unload, caplog):
    load_plugins([plugin])
    load_checkpoint(checkpoint)
    assert caplog.text == ""
    unload()
    plugin.write_text(plugin.read_text() + "# changed\n")
    load_plugins([plugin])
    load_checkpoint(checkpoint)
    assert f"{checkpoint}: code of memory.policy=recent has changed since it was trained" in caplog.text


@pytest.mark.parametrize("command", ["eval --dataset davis2017", "export --output new"])
def test_strict_refuses_a_checkpoint_whose_code_has_changed(checkpoint, plugin, unload, capsys, command):
    plugin.write_text(plugin.read_text() + "# changed\n")
    options = ["--strict", "--plugin", str(plugin), "--checkpoint", str(checkpoint), "memory.frames=3"]
    assert aotlab_command([*command.split(), *options]) == 2
    message = (
        f"{checkpoint}: code of memory.policy=recent has changed since it was trained; give the code of its training"
    )
    assert message in " ".join(capsys.readouterr().err.split())


def test_changed_code_beside_a_plugin_file_is_seen(tmp_path, unload, monkeypatch):
    (tmp_path / "helper_of_mine.py").write_text("bce = print")
    (tmp_path / "mine.py").write_text("from helper_of_mine import bce\nlosses = {'mine': bce}")
    monkeypatch.syspath_prepend(tmp_path)
    digests = []
    for text in ("bce = print", "bce = repr"):
        (tmp_path / "helper_of_mine.py").write_text(text)
        monkeypatch.delitem(sys.modules, "helper_of_mine", raising=False)
        load_plugins([tmp_path / "mine.py"])
        digests.append(describe_plugin(LOSS_PLUGINS, "mine")["sha256"])
        unload()
    assert digests[0] != digests[1]


def test_weights_of_a_plugin_are_shown(checkpoint, plugin, capsys):
    assert show_weights(["show", str(checkpoint)]) == 2
    assert "give --plugin recent.py" in capsys.readouterr().err
    assert show_weights(["show", str(checkpoint), "--plugin", str(plugin)]) == 0
    assert "memory recent" in capsys.readouterr().out


def test_checkpoint_names_its_missing_package_and_version(checkpoint):
    with safe_open(checkpoint, "pt") as file:
        metadata = file.metadata()
    origin = '{"model.encoder": {"name": "vit", "package": "lab-vit", "version": "1.2"}}'
    metadata |= {"plugins": origin, "config": metadata["config"].replace("encoder: tiny", "encoder: vit")}
    save_file(load_file(checkpoint), checkpoint, metadata)
    with pytest.raises(InputError, match=r"needs the encoder vit of lab-vit 1\.2; pip install lab-vit==1\.2$"):
        load_checkpoint(checkpoint)


PACKAGE = """
from aotlab.sdk import AOT, AOTStage, Method
gated, broken = Method(AOTStage, model=AOT), AOT
"""
ENTRY_POINTS = "[aotlab.methods]\ngated = lab:gated\nbroken = lab:broken\naot = missing:aot\n"


def test_checkpoint_records_package_of_its_method(tmp_path, monkeypatch):
    info = tmp_path / "site" / "lab-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "site" / "lab.py").write_text(PACKAGE)
    with monkeypatch.context() as installed:
        installed.syspath_prepend(tmp_path / "site")
        assert load_config("aott").model.method == "aot"  # the built-in one, so nothing is imported
        assert "lab" not in sys.modules
        model, config = build("aott", "model.method=gated")
        save_checkpoint(tmp_path / "gated.safetensors", model, config)
        assert load_checkpoint(tmp_path / "gated.safetensors")[1] == config
        origin = describe_plugins(config)["model.method"]
        digest = sha256(tmp_path / "site" / "lab.py")
        assert origin == {"name": "gated", "package": "lab", "version": "1.2", "sha256": digest}
        with pytest.raises(InputError, match="broken: its plug-in does not offer a Method with a model"):
            load_config("aott", ["model.method=broken"])
    with pytest.raises(InputError, match=r"needs the method gated of lab 1\.2; pip install lab==1\.2$"):
        load_checkpoint(tmp_path / "gated.safetensors")


def test_setting_may_replace_missing_policy(checkpoint):
    assert load_checkpoint(checkpoint, overrides=["memory.policy=every_nth"])[1].memory.policy == "every_nth"
    assert read_settings(checkpoint, overrides=["memory={policy: every_nth}"]).memory.policy == "every_nth"


@pytest.mark.parametrize("damage", ["{", "[]", '{"memory.policy": 1}', '{"other": {"name": "recent"}}'])
def test_damaged_record_of_plugins_rejected(checkpoint, damage):
    with safe_open(checkpoint, "pt") as file:
        metadata = file.metadata() | {"plugins": damage}
    save_file(load_file(checkpoint), checkpoint, metadata)
    with pytest.raises(InputError, match=f"{checkpoint}: "):
        load_checkpoint(checkpoint)


def test_plugins_in_a_checkpoint_are_not_run(checkpoint, tmp_path):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nencoders = {{}}")
    with safe_open(checkpoint, "pt") as file:
        metadata = file.metadata()
    settings = yaml.safe_load(metadata["config"]) | {"plugins": [str(tmp_path / "evil.py")]}
    save_file(load_file(checkpoint), checkpoint, metadata | {"config": yaml.safe_dump(settings)})
    with pytest.raises(InputError, match="memory policy recent"):
        load_checkpoint(checkpoint)
    with pytest.raises(InputError, match="unknown key plugins"):
        load_checkpoint(checkpoint, overrides=["memory.policy=first_frame"])
    with pytest.raises(InputError, match="unknown key plugins"):
        load_config("aott", [f"plugins=[{tmp_path / 'evil.py'}]"])
    assert not (tmp_path / "ran").exists()
