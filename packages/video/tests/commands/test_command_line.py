"""Command lines of track: videos among settings, values and paths that are wrong, completion."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, strategies

from aotlab.media.masks import write_mask
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import PositiveFloat, flag, list_option, option
from aotlab.tools.main import COMPLETION_VARIABLE, main
from aotlab_video.commands.options import split_settings, video_argument


@command("aotlab example", "An example.")
@video_argument("[VIDEO]", "a video")
@list_option("--scales", "scales", PositiveFloat.read)
@list_option("--write", "outputs")
@option("--output", help="folder")
@flag("--flip", "flip")
def example(**options):
    return 0


def parse(line):
    """The options of a command line of `example`."""
    return SimpleNamespace(**example.make_context("aotlab example", line).params)


PARTS = ["--flip", "--output=a=b", "--output a=b", "--write masks", "--scales 2,1", "--scales=3", "m=2 n=4"]
VIDEOS = ["0001", "clip.mp4", "./take=2", "Take=2", "http://host/video?id=2", "=2", "1=2"]


@pytest.mark.parametrize("video", VIDEOS)
@given(parts=strategies.permutations(PARTS))
def test_settings_and_video_may_be_anywhere(video, parts):
    args = parse(" ".join(parts).replace("--flip", f"{video} --flip").split())
    assert split_settings(args.video) == ((video,), ("m=2", "n=4"))
    assert args.scales in ((2, 1, 3), (3, 2, 1))
    assert (args.output, args.write, args.flip) == ("a=b", ("masks",), True)


def test_misspelled_section_is_a_setting(run_expecting_error):
    message = run_expecting_error(main, "track", "memori.every=2", "--print-config")
    assert "unknown key memori; did you mean memory?" in message


@pytest.mark.parametrize(("line", "message"), [
    ("clip --mask 5:first.png", "--mask 5:first.png: no such file; did you mean 5=first.png?"),
    ("clip --mask 5:2:first.png", "--mask 5:2:first.png: no such file; did you mean 5:2=first.png?"),
    ("clip --mask first.png --output out.mov", "--output out.mov: not a folder; give a folder, and --write overlay "),
    ("clip/cat.%04d.png", "clip/cat.%04d.png: no such file or folder; give the folder clip"),
    ("clip/*.png --mask first.png", "clip/*.png: no such file or folder; give the folder clip"),
    ("--jobs clips --end 2", "--end: applies to a single video; remove it, or give --jobs a list instead of a folder"),
    ("clip clips/clip", "2 videos are named clip (case is ignored); use a list with a column name"),
])  # fmt: skip
def test_error_of_track_names_the_remedy(run_expecting_error, tmp_path, monkeypatch, line, message):
    monkeypatch.chdir(tmp_path)
    for folder in ("clip", "clips/clip"):
        write_mask(tmp_path / folder / "1.png", np.ones((4, 4), np.uint8))
    write_mask(tmp_path / "first.png", np.ones((4, 4), np.uint8))
    before = sorted(tmp_path.rglob("*"))
    assert run_expecting_error(main, "track", *line.split()).startswith(f"error: {message}")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("line", "message"), [
    ("c.mp4 --mask", "Option '--mask' requires an argument; see aotlab track --help"),
    ("c.mp4 -zq", "No such option '-z'; see aotlab track --help"),
    ("c.mp4 --output=", "--output: empty; give a folder"),
    ("c.mp4 --output FILE", "--output: Folder '{file}' is a file; see aotlab track --help"),
    *((f"a --remove {text}", "--remove: ") for text in ("9" * 5000 + ":1", "1:0", "²:1", "1:-1")),
])  # fmt: skip
def test_wrong_options_are_reported_in_one_sentence(run_expecting_error, line, message, tmp_path):
    (tmp_path / "file").touch()
    line = line.replace("FILE", str(tmp_path / "file"))
    shown = run_expecting_error(main, "track", *line.split())
    assert message.format(file=tmp_path / "file") in shown
    assert len(shown) < 300


@pytest.mark.parametrize(
    "value",
    ["n" * 300, "memory.every=" + "9" * 5000, "x\0y", "a\x1b[2Jb\nc\u202e"],
    ids=["long", "setting", "nul", "control"],
)
@pytest.mark.parametrize("line", ["? --mask x", "x --mask ?", "x --mask x --checkpoint ?", "x --mask x --config ?"])
def test_impossible_path_is_reported_in_one_sentence(run_expecting_error, value, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").touch()
    words = [value if word == "?" else word for word in line.split()]
    run_expecting_error(main, "track", *words, "--output", "out")


@pytest.mark.parametrize(("shell", "words", "current", "kind", "expected"), [
    ("bash", "track --neg", "2", "plain", {"--negative-point"}),
    ("bash", "track --mask fi", "3", "file", {"fi"}),
    ("zsh", "track --frame-numbers ", "3", "plain", {"index", "file"}),
])  # fmt: skip
def test_shells_complete(monkeypatch, capsys, shell, words, current, kind, expected):
    monkeypatch.setenv(COMPLETION_VARIABLE, f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", f"aotlab {words}")
    monkeypatch.setenv("COMP_CWORD", current)
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert expected <= {word for line in lines for word in line.replace("\t", ",").split(",")}
    assert len([line for line in lines if kind in line]) == len(expected)


def test_command_of_another_package_replaces_none(tmp_path, monkeypatch, capsys):
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aotlab.commands]\ntrack = other:main\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["track", "--help"]) == 0
    assert "--both-directions" in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.count("\n  track ") == 1
