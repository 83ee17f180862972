"""Plug-ins of packages and of files; commands: tools/cli/test_command."""

import hashlib
from importlib.metadata import EntryPoint

import pytest

import aotlab
import aotlab.sdk
from aotlab.utils import plugins


def test_error_names_the_broken_plugin_without_a_package():
    with pytest.raises(aotlab.InputError, match=r"box: nowhere:read does not load \(No module"):
        plugins.load_plugin(EntryPoint("box", "nowhere:read", plugins.LOSS_PLUGINS))


def test_entry_point_with_other_arguments_rejected(monkeypatch):
    monkeypatch.setattr(EntryPoint, "load", lambda point: lambda: None)
    with pytest.raises(aotlab.InputError, match=r"too many positional arguments; expected \(outputs, target_indices\)"):
        plugins.load_plugin(EntryPoint("mine", "mine:wrong", plugins.LOSS_PLUGINS))


SHAPES = plugins.PluginGroup("shape", ("size",))
"""A group of `groups`."""


@pytest.fixture
def groups(monkeypatch):
    """A package that adds the group ``aotlab.shapes``, and a function in it."""
    points = {
        plugins.GROUP_PLUGINS: [EntryPoint("aotlab.shapes", "tests.utils.test_plugins:SHAPES", plugins.GROUP_PLUGINS)],
        "aotlab.shapes": [EntryPoint("round", "builtins:round", "aotlab.shapes")],
    }
    monkeypatch.setattr(plugins, "_read_entry_points", lambda group, path: points.get(group, []))


def test_package_adds_a_group(groups, tmp_path, unload):
    assert plugins.find_group("aotlab.shapes") == SHAPES
    assert plugins.find_plugin("aotlab.shapes", "round") is round
    with pytest.raises(aotlab.InputError, match=r"^shape cube: unknown; no plug-in provides it; plug-ins offer round"):
        plugins.find_plugin("aotlab.shapes", "cube")
    plugins.load_plugin_file(write_plugin(tmp_path, "shapes = {'square': lambda size: size}"))
    assert plugins.list_plugin_names("aotlab.shapes") == ["round", "square"]


def test_arguments_of_an_added_group_are_checked(groups, tmp_path, unload):
    plugins.load_plugin_file(write_plugin(tmp_path, "shapes = {'square': lambda: 0}"))
    with pytest.raises(aotlab.InputError, match=r"too many positional arguments; expected \(size\)"):
        plugins.find_plugin("aotlab.shapes", "square")


def test_group_of_a_missing_package_is_unknown():
    with pytest.raises(aotlab.InputError, match=r"^group of plug-ins aotlab.shapes: unknown; no plug-in provides it"):
        plugins.find_group("aotlab.shapes")


def write_plugin(folder, text):
    path = folder / "mine.py"
    path.write_text(text)
    return path


def test_loaded_file_offers_its_objects(tmp_path, unload):
    text = """
from __future__ import annotations
from dataclasses import dataclass
@dataclass
class Spread:
    every: int = 2
memory_policies = {"spread": Spread}
losses = {"focal": print}
"""
    path = write_plugin(tmp_path, text)
    plugins.load_plugin_file(path)
    assert plugins.find_plugin(plugins.POLICY_PLUGINS, "spread")().every == 2
    assert plugins.find_plugin(plugins.LOSS_PLUGINS, "focal") is print
    assert plugins.list_plugin_names(plugins.POLICY_PLUGINS) == ["spread"]
    origin = {"file": "mine.py", "sha256": hashlib.sha256(text.encode()).hexdigest()}
    assert plugins.describe_plugin(plugins.LOSS_PLUGINS, "focal") == origin


def test_plugin_file_runs_once(tmp_path, unload, capsys):
    path = write_plugin(tmp_path, "print('run')\nlosses = {}")
    for name in (path, tmp_path / ".." / tmp_path.name / "mine.py"):
        plugins.load_plugin_file(name)
    assert capsys.readouterr().out == "run\n"


BROKEN = {
    "import missing_module": r"does not load \(line 1: ModuleNotFoundError: No module named 'missing_module'",
    "\nx = (": r"does not load \(line 2: SyntaxError: '\(' was never closed\)",
    "\n\nraise SystemExit('bye')": r"does not load \(line 3: SystemExit: bye\); correct it",
    "x = 1": "offers nothing; define one of the dicts methods, memory_policies, encoders, losses",
    "losses = [1]": "losses must be a dict by name",
    "losses = {'bce': 1}": "losses: bce is already the name of one in aotlab; choose another name",
}


@pytest.mark.parametrize("text", BROKEN)
def test_broken_plugin_file_is_named_with_the_cause(tmp_path, unload, text):
    path = write_plugin(tmp_path, text)
    with pytest.raises(aotlab.InputError, match=f"mine.py: {BROKEN[text]}"):
        plugins.load_plugin_file(path, {plugins.LOSS_PLUGINS: ["bce"]})
    assert path not in plugins._loaded_files


def test_missing_plugin_file_rejected(tmp_path, unload):
    with pytest.raises(aotlab.InputError, match=r"no\.py: no such file; give another file"):
        plugins.load_plugin_file(tmp_path / "no.py")


def test_name_in_two_plugin_files_rejected(tmp_path, unload):
    plugins.load_plugin_file(write_plugin(tmp_path, "losses = {'focal': print}"))
    other = tmp_path / "other.py"
    other.write_text("losses = {'focal': print}")
    with pytest.raises(aotlab.InputError, match=r"other\.py: losses: focal is already the name of one in .*mine\.py"):
        plugins.load_plugin_file(other)


def test_unknown_plugin_rejected_with_similar_name(tmp_path, unload, monkeypatch):
    monkeypatch.setattr(plugins, "_read_entry_points", lambda group, path: [])
    with pytest.raises(
        aotlab.InputError, match="loss fcal: unknown; no plug-in provides it; install the plug-in's package or"
    ):
        plugins.find_plugin(plugins.LOSS_PLUGINS, "fcal")
    plugins.load_plugin_file(write_plugin(tmp_path, "losses = {'focal': print}"))
    with pytest.raises(aotlab.InputError, match=r"no plug-in .*; plug-ins offer focal; did you mean focal\?"):
        plugins.find_plugin(plugins.LOSS_PLUGINS, "fcal")
