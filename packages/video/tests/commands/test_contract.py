"""Contract of the commands: their help in the list, --device, --force, a missing library."""

import re

import pytest
from click import Context

from aotlab.tools.main import COMMANDS, main
from aotlab_testing.processes import run_python

WITHOUT_PYAV = """
import sys
sys.modules["av"] = None
from aotlab.tools.main import main
print(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("name", ["track", "render", "mask"])
def test_list_of_commands_has_their_help(name):
    assert main.get_command(Context(main), name).help == COMMANDS[name]


def test_device_is_auto():
    options = {option.name: option for option in main.get_command(Context(main), "track").params}
    assert options["device"].default == "auto"


def test_mask_is_not_overwritten_without_force(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("image.png", "there.png", "film.mp4"):
        (tmp_path / name).write_bytes(b"mine")
    line = ["mask", "image.png", "--box", "1,1,9,9", "--output"]
    assert main([*line, "there.png"]) == 2
    assert re.search(r"there.png: already contains .*replace it with --force", capsys.readouterr().err)
    assert main([*line, "film.mp4", "--force"]) == 2
    assert "film.mp4: unsupported extension" in capsys.readouterr().err
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"mine"}


def test_missing_library_is_one_sentence(tmp_path):
    (tmp_path / "clip").mkdir()
    (tmp_path / "mask.png").touch()
    words = ("track", tmp_path / "clip", "--mask", tmp_path / "mask.png", "--output", tmp_path / "out")
    done = run_python("-c", WITHOUT_PYAV, *words)
    message = "error: av must be installed for this; pip install './packages/video' in a checkout\n"
    assert (done.stdout, done.stderr) == ("2\n", message)
