"""README, tutorials and how-to pages, run: every command and code block in order, on small inputs, without downloads.

A page runs in a folder with the files that it names: the bundled clips cut to a few frames, and drawn data. Commands
are called in this process with a small network input. `SKIPPED` lists what cannot run here, with the reason; `CHANGED`
what runs in a smaller form.
"""

import importlib
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from click import Context

from aotlab import InputError, Prediction
from aotlab.configs.files import BUNDLED_CHECKPOINT, ROOT
from aotlab.configs.load import load_config
from aotlab.networks.build import build_model
from aotlab.networks.weights.zoo import find_published_weights
from aotlab.tools.main import main
from aotlab.utils import plugins
from aotlab_testing.drawn_clips import (
    draw_moving_clip,
    stems_from,
    write_davis,
    write_list,
    write_split,
    write_youtube_meta,
)
from aotlab_testing.files import SAMPLE
from aotlab_testing.processes import RUN_SECONDS, run_python
from aotlab_testing.small_model import to_published
from tests.documents import split_blocks, split_commands

aotlab_video = pytest.importorskip("aotlab_video", reason="checks the whole checkout, which lacks packages here")

PAGES = [
    *sorted((ROOT / "docs" / "tutorials").glob("*.md")),
    *sorted((ROOT / "docs" / "howto").glob("*.md")),
    *(
        ROOT / "docs" / name
        for name in ("index.md", "track.md", "start.md", "annotate.md", "formats.md", "speed.md", "vot.md")
    ),
]
SMALL = ("input.max_long_edge=160", "input.min_short_edge=null", "input.min_object=null")
"""Settings appended to every command that takes settings."""

RUN = ("sh", "bash", "python")
"""Languages of blocks that are run."""
FILE_NAME = re.compile(r"# ([\w/]+\.(?:py|toml|yaml))\n")
"""First line of a block that is the content of a file."""
SKIPPED = {
    r"pip install (?!\./gated)|uv pip|python3? -m venv|source ": "test_installed_extras_exist reads it",
    r"bash scripts/": "creates .venv; this suite is run by scripts/test.sh",
    r"\.venv/bin/python -m pytest -m slurm": "needs Slurm and root; run by scripts/test.sh --all",
    r"git clone|cd |docker|sbatch|kubectl|rclone|apt-get install slurm": "needs a network, Docker or a cluster",
    r"python packages/demo/|python -m http\.server": "needs Node; packages/demo/tests builds and serves the page",
    r"vot |toolkit/": "needs the VOT toolkit's own environment; tests/tools/test_vot.py has a TraX session",
    r"aotlab track rtsp:|aotlab annotate rtsp:|aotlab track 0 ": "needs a camera",
    r"ffmpeg -i background": "needs a background and FFmpeg's program",
    r"ffmpeg .*\| aotlab track -": "reads standard input; tests/media/test_streams.py does",
    r"aotlab annotate": "serves until it is stopped; packages/studio/tests/annotation does",
    r"aotlab render .*--refine-edges": "needs pymatting; tests/tools/track/test_refine_edges.py runs it",
    r"aotlab export-clips": "needs clips corrected in the page; packages/studio/tests has them",
    r"(?:\w+=\S+\s+)*python -m research\.": "measures for minutes; research/tests runs it",
    r"python packages/integrations/text/": "needs a text detector; packages/integrations/text/tests has one",
    r".*ytvos_davis\.yaml": "needs the training sets of the papers; tests/engine/training trains on drawn ones",
}
"""First words of a command line or a Python block to the reason that it is not run."""

CHANGED = {
    r"^torchrun --nproc-per-node \d+ -m aotlab (\w+)": r"aotlab \1",  # one process
    r"^python tools/(\w+)\.py": r"aotlab \1",
    r" --device cuda(:\d)?": "",
    r"--size 854x480": "--size 160x96",  # of exported graphs
    r"(aotlab export .*--verify)": r"\1 --no-prompts",  # its conversion is the longest
    r"data.root=my_data --dry-run": "data.root=my_data --dry-run train.phases.0.crop=97",
    r"data.root=my_data --plugin": "data.root=labeled --dry-run train.phases.0.crop=97 --plugin",
    r"--root my_data": "--root labeled",
    r"data.root=SET/train": "data.root=SET/train --dry-run train.phases.0.crop=97",
    r"steps=20": "steps=2",
    r"crop=193": "crop=97",
    r"\b58\b": "20",  # the clip is shorter
    r"--frame 19": "--frame 3",
    r'\("bus", "dogs"\)': '("video",)',
    r'open_frames\("0"\)': 'aotlab_video.open_frames("video.mp4")',
}
"""Patterns in a command line or a Python block to what stands in their place here."""


def find_reason(line):
    """Return why a command line or a Python block is not run here; None: it is run."""
    return next((reason for start, reason in SKIPPED.items() if re.match(start, line)), None)


def shrink(text):
    """Return a command line or a Python block as it runs here, see `CHANGED`."""
    for pattern, replacement in CHANGED.items():
        text = re.sub(pattern, replacement, text)
    return text


def run_command(line, capfd):
    """Call a command in this process; return its exit code."""
    line = shrink(line)
    for inner in re.findall(r"\$\((.*?)\)", line):
        capfd.readouterr()
        assert run_command(inner, capfd) == 0, inner
        line = line.replace(f"$({inner})", capfd.readouterr().out.strip())
    program, command, *words = shlex.split(line)
    if program == "python":
        return subprocess.run([sys.executable, command, *words], timeout=RUN_SECONDS).returncode
    if program in ("mkdir", "cp"):
        return subprocess.run(shlex.split(line), timeout=RUN_SECONDS).returncode
    if program == "pip":
        return install_package(words[-1])
    assert program == "aotlab", f"{line}: neither run nor listed in SKIPPED"
    has_settings = "flow/flow.py" not in words  # the tracker of a tutorial has none
    if (
        has_settings
        and not command.startswith("-")
        and any(
            "KEY=VALUE" in (parameter.metavar or "") for parameter in main.get_command(Context(main), command).params
        )
    ):
        words += SMALL
    return main([command, *words])


def install_package(folder):
    """Install a package into the folder ``site``, without downloads; plug-in files that were loaded are unloaded."""
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", "site"]
    command = [sys.executable, "-m", "pip", "install", *options, folder]
    code = subprocess.run(command, timeout=RUN_SECONDS).returncode
    plugins._loaded_files.clear()
    plugins._read_entry_points.cache_clear()
    importlib.invalidate_caches()
    return code


def run_page(page, capfd):
    """Run the blocks of a page in order in the working directory; return the names that its Python blocks define."""
    names: dict[str, object] = {}
    for place, language, text in split_blocks(page, *RUN, "toml", "yaml"):
        if name := FILE_NAME.match(text):
            Path(name[1]).parent.mkdir(exist_ok=True)
            Path(name[1]).write_text(text)
        elif language in ("toml", "yaml"):
            continue
        elif language == "python":
            if find_reason(text) is None:
                exec(compile(shrink(text), f"{page}:{place}", "exec"), names)
        else:
            for line in split_commands(text):
                if find_reason(line) is None:
                    code = run_command(line, capfd)
                    expected = int(line.startswith("aotlab table "))  # data sets of some rows are missing here
                    assert code == expected, f"{page.name}:{place}: {line}: exit {code}\n{capfd.readouterr().err}"
    return names


def cut_clip(source, path, frames, start=0):
    """Write frames of a video."""
    opened = aotlab_video.open_frames(source)
    with closing(aotlab_video.VideoWriter(path, rate=opened.rate, size=opened.size)) as writer:
        for index in range(frames):
            writer.write(opened.read(start + index), index / opened.rate)


def write_sample(folder, frames):
    """Write datasets/sample below a folder, with a few frames of each clip."""
    sample = folder / "datasets" / "sample"
    shutil.copytree(SAMPLE / "ImageSets", sample / "ImageSets")
    for kind in ("JPEGImages", "Annotations"):
        (sample / kind / "480p" / "pond").mkdir(parents=True)
        for path in sorted((SAMPLE / kind / "480p" / "pond").iterdir())[: min(frames, 6)]:
            shutil.copy(path, sample / kind / "480p" / "pond")
    shutil.copy(SAMPLE / "rabbit.png", sample)
    cut_clip(SAMPLE / "rabbit.mp4", sample / "rabbit.mp4", frames)
    return sample


@pytest.fixture(scope="module")
def published_weights(tmp_path_factory):
    """A home folder with random weights under the names of published files, as if downloaded by hand."""
    home = tmp_path_factory.mktemp("home")
    (home / "weights").mkdir()
    for name in ("r50_aotl", "r50_deaotl"):
        state = to_published(build_model(load_config(name).model))
        torch.save({"state_dict": state}, home / "weights" / find_published_weights(name).file)
    return home


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with the files that the pages name."""
    folder = tmp_path_factory.mktemp("inputs")
    sample = write_sample(folder, 24)
    shutil.copy(sample / "rabbit.mp4", folder / "video.mp4")
    cut_clip(SAMPLE / "rabbit.mp4", folder / "long.mp4", 30, start=40)  # training refuses a copied video
    for name in ("first", "video"):
        shutil.copy(sample / "rabbit.png", folder / f"{name}.png")
    (folder / "frames").symlink_to(sample / "JPEGImages" / "480p" / "pond")
    (folder / "jobs.csv").write_text("video,masks\nvideo.mp4,first.png\nlong.mp4,first.png\n")
    for name in ("A", "B"):
        (folder / f"{name}.safetensors").symlink_to(BUNDLED_CHECKPOINT)
    clip = draw_moving_clip(stems_from(0, 6))
    clips = {f"clip{index}": clip for index in range(4)}
    write_split(folder / "labeled", clips)
    data = folder / "datasets"
    write_davis(data / "DAVIS", {"discs": clip}, "2017", "val")
    write_list(data / "DAVIS" / "ImageSets" / "2017" / "test-dev.txt", ["discs"])
    write_split(data / "YouTubeVOS" / "2019" / "valid", {"discs": clip})
    write_youtube_meta(data / "YouTubeVOS" / "2019" / "valid", {"discs": clip}, categories=False)
    write_split(data / "VOST", {"discs": clip})
    write_list(data / "VOST" / "ImageSets" / "val.txt", ["discs"])
    write_split(data / "MOSEv2" / "valid", {"discs": clip}, labels={"discs": clip.stems[:1]})
    names = ("breakdance-flare", "dog-agility", "drift-turn", "motorbike", "paragliding", "scooter-gray")
    write_split(data / "mini" / "davis16", dict.fromkeys(names, clip))
    for name in ("configs", "pretrain_models"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def test_readme_runs(tmp_path, monkeypatch, capfd):
    write_sample(tmp_path, 3)
    monkeypatch.chdir(tmp_path)
    run_page(ROOT / "README.md", capfd)
    assert len(list((tmp_path / "results" / "first_rabbit" / "masks").glob("*.png"))) == 3
    assert (tmp_path / "results" / "first_rabbit" / "overlay.mp4").is_file()
    assert (tmp_path / "results" / "davis2017" / "scores.json").is_file()


def test_tests_of_tutorials_pass(tmp_path):
    tests = []
    for page in (ROOT / "docs" / "tutorials").glob("*.md"):
        for _, _, text in split_blocks(page, "python"):
            if name := FILE_NAME.match(text):
                path = tmp_path / name[1]
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
                tests += [path] * path.name.startswith("test_")
    assert tests
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    done = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT / "docs").as_posix())
def test_page_runs(page, inputs, published_weights, tmp_path, monkeypatch, capfd, unload):
    folder = tmp_path / "page"
    shutil.copytree(inputs, folder, symlinks=True)
    monkeypatch.setenv("AOTLAB_HOME", str(published_weights))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))  # for commands that start others
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder / "site")  # of packages that the page installs
    run_page(page, capfd)


@pytest.mark.slow
def test_steps_of_the_page_on_a_frame_segment_it(monkeypatch, capfd):
    monkeypatch.chdir(ROOT)
    names = run_page(ROOT / "docs" / "concepts" / "frame.md", capfd)
    assert (names["labels"] == names["mask"]).float().mean() > 0.95


@pytest.mark.slow
def test_steps_of_the_page_on_training_lower_the_loss(monkeypatch, capfd):
    monkeypatch.chdir(ROOT)
    names = run_page(ROOT / "docs" / "concepts" / "training.md", capfd)
    assert names["after"] < names["before"]
    rates = {group["lr_ratio"]: group["lr"] for group in names["optimizer"].param_groups}
    assert rates == {0.1: pytest.approx(1.9e-5), 1.0: pytest.approx(1e-4)}


@pytest.mark.slow
def test_steps_of_the_page_on_a_run_store_and_reuse_it(tmp_path, monkeypatch, capfd):
    shutil.copytree(ROOT / "datasets" / "sample", tmp_path / "datasets" / "sample")
    monkeypatch.chdir(tmp_path)
    run_page(ROOT / "docs" / "concepts" / "run.md", capfd)
    assert len([*(tmp_path / "results" / "by_hand" / "masks").iterdir()]) == 4


def test_supervision_recipe_runs():
    supervision = pytest.importorskip("supervision", reason="needs supervision")
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    recipe = re.search(r"^  ```python\n(  ids = .*?)^  ```$", text, re.MULTILINE | re.DOTALL)[1]
    logits = torch.full((4, 4, 6), -2.0)
    logits[0], logits[2, 1:3, 2:5], logits[3, 3, 5] = 0.0, 4.0, 2.0
    prediction = Prediction((3, 7, 9), logits, logits.max(0).indices)
    names = {"np": np, "supervision": supervision, "prediction": prediction}
    exec(textwrap.dedent(recipe), names)
    detections = names["detections"]
    assert detections.tracker_id.tolist() == [7, 9]  # without object 3, which is not visible
    assert detections.xyxy.tolist() == [[2, 1, 4, 2], [5, 3, 5, 3]]
    assert detections.mask.sum((1, 2)).tolist() == [6, 1]
    assert detections.confidence.tolist() == [prediction.confidence[7], prediction.confidence[9]]


def test_camera_recipe_raises_the_error_of_its_camera(monkeypatch):
    def read_camera(_):
        yield from np.zeros((3, 48, 64, 3), np.uint8)
        raise InputError("camera 0: interrupted")

    tracker = Mock()
    tracker.from_pretrained().step.return_value.labels = np.zeros((48, 64), np.uint8)
    monkeypatch.setattr("aotlab.Tracker", tracker)
    monkeypatch.setattr("aotlab_video.open_frames", read_camera)
    blocks = split_blocks(ROOT / "docs" / "howto" / "sources.md", "python")
    (recipe,) = (text for _, _, text in blocks if "deque" in text)
    with pytest.raises(InputError, match="camera 0: interrupted"):
        exec(recipe, {})
    assert tracker.from_pretrained().step.call_count > 1


def list_commands():
    """Return the command lines and Python blocks of all pages."""
    blocks = [block for page in (ROOT / "README.md", *PAGES) for block in split_blocks(page, *RUN)]
    commands = [[text] if language == "python" else split_commands(text) for _, language, text in blocks]
    return [line for lines in commands for line in lines]


def test_every_skip_and_change_has_a_command():
    commands = list_commands()
    for start in SKIPPED:
        assert any(re.match(start, line) for line in commands), f"{start}: no page has it"
    for pattern in CHANGED:
        assert any(re.search(pattern, line) for line in commands), f"{pattern}: no page has it"


def test_installed_extras_exist():
    lines = [line for line in list_commands() if "pip install" in line]
    groups = re.findall(r"(\.|\./packages/\w+)\[([\w,]+)\]", "\n".join(lines))
    named = {(folder, extra) for folder, extras in groups for extra in extras.split(",")}
    assert (".", "all") in named
    for folder, extra in named:
        project = (ROOT / folder / "pyproject.toml").read_text(encoding="utf-8")
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), f"{folder}[{extra}]"
    assert not [line for line in lines if re.search(r"install '?aotlab", line)]  # no index has it
