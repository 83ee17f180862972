"""The ``info`` command."""

import re
from importlib.metadata import version

from aotlab import __version__
from aotlab.tools import info
from aotlab.tools.info import main
from aotlab.utils.errors import EXTRAS


def test_info_lists_versions_devices_codecs_and_plugins(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    rows = dict(re.findall(r"^  (\S+) +(.+)$", text, re.MULTILINE))
    assert rows["aotlab"].startswith(__version__)
    assert rows["torch"] == f"torch {version('torch')}"
    assert {*EXTRAS, "devices", "auto", "encoders", "decoders"} <= {*rows}
    assert "libx264" in rows["encoders"]
    assert "cpu" in rows["devices"].split(", ")
    assert re.search(r"^Plug-ins:\n", text, re.MULTILINE)


def test_info_reports_a_broken_library_and_continues(monkeypatch, capsys):
    def fail():
        raise ImportError("libcudart.so.13: cannot open shared object file")
        yield

    monkeypatch.setitem(info.SECTIONS, "Devices", fail)
    assert main([]) == 0
    text = capsys.readouterr().out
    assert "Devices:\n  ImportError: libcudart.so.13: cannot open shared object file\nCodecs:\n  ffmpeg" in text


def test_info_names_what_is_not_installed(monkeypatch, capsys):
    monkeypatch.setattr(info, "packages_distributions", lambda: {"numpy": ["numpy", "numpy"]})
    monkeypatch.setattr(info, "find_spec", lambda name: name == "OpenEXR")
    assert main([]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^  numpy +numpy [\d.]+$", text, re.MULTILINE)
    assert re.search(r"^  OpenEXR +OpenEXR [\d.]+$", text, re.MULTILINE)
    assert re.search(r"^  cv2 +missing$", text, re.MULTILINE)
