"""Libraries and codecs of videos in ``aotlab info``."""

import re
from importlib.metadata import packages_distributions

from aotlab.tools.info import main
from aotlab_video.extras import LIBRARIES


def test_libraries_and_codecs_are_listed(capsys):
    assert main([]) == 0
    section = capsys.readouterr().out.partition("\nVideo:\n")[2]
    rows = dict(re.findall(r"^  (\S+) +(.+)$", section, re.MULTILINE))
    assert {*LIBRARIES, "ffmpeg", "decoders"} <= {*rows}
    assert "libx264" in rows["encoders"]


def test_library_without_modules_in_its_metadata_is_listed(monkeypatch, capsys):
    names = {module: found for module, found in packages_distributions().items() if module != "OpenEXR"}
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: names)
    assert main([]) == 0
    assert re.search(r"^  OpenEXR +OpenEXR [\d.]+$", capsys.readouterr().out, re.MULTILINE)
