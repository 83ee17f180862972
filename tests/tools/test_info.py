"""The ``info`` command."""

import re
from importlib.metadata import EntryPoint, version
from types import SimpleNamespace

from aotlab import __version__
from aotlab.tools import info
from aotlab.tools.info import main
from aotlab.utils import plugins
from aotlab.utils.errors import EXTRAS
from aotlab.utils.plugins import INFO_PLUGINS


def test_info_lists_versions_devices_and_plugins(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    rows = dict(re.findall(r"^  (\S+) +(.+)$", text, re.MULTILINE))
    assert rows["aotlab"].startswith(__version__)
    assert rows["torch"] == f"torch {version('torch')}"
    assert {*EXTRAS, "devices", "auto"} <= {*rows}
    assert "cpu" in rows["devices"].split(", ")
    assert re.search(r"^Plug-ins:\n", text, re.MULTILINE)


def test_info_reports_a_broken_library_and_continues(monkeypatch, capsys):
    def fail():
        raise ImportError("libcudart.so.13: cannot open shared object file")
        yield

    monkeypatch.setitem(info.SECTIONS, "Devices", fail)
    assert main([]) == 0
    text = capsys.readouterr().out
    assert "Devices:\n  ImportError: libcudart.so.13: cannot open shared object file\nPlug-ins:\n" in text


def test_info_names_what_is_not_installed(monkeypatch, capsys):
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: {"numpy": ["numpy", "numpy"]})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "OpenEXR")
    assert main([]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^  numpy +numpy [\d.]+$", text, re.MULTILINE)
    assert re.search(r"^  cv2 +missing$", text, re.MULTILINE)


def test_info_lists_packages_whose_name_begins_with_aotlab(monkeypatch, capsys):
    names = ("aotlab", "aotlab-lab", "aotlabs", "lab-aotlab")
    monkeypatch.setattr(info, "distributions", lambda: [SimpleNamespace(name=name, version="1.2") for name in names])
    assert main([]) == 0
    assert re.findall(r"^  (\S+) +1\.2$", capsys.readouterr().out, re.MULTILINE) == ["aotlab-lab"]


def test_package_adds_a_section(monkeypatch, capsys):
    point = EntryPoint("Lab", "tests.tools.test_info:describe_lab", INFO_PLUGINS)
    monkeypatch.setattr(plugins, "_read_entry_points", lambda group, path: [point] if group == INFO_PLUGINS else [])
    assert main([]) == 0
    assert "Lab:\n  bench  two\n" in capsys.readouterr().out
    point = EntryPoint("Lab", "nowhere:describe", INFO_PLUGINS)
    assert main([]) == 0
    assert (
        "Lab:\n  InputError: Lab: nowhere:describe does not load (No module named 'nowhere')" in capsys.readouterr().out
    )


def describe_lab():
    yield "bench", "two"
