"""``track`` and ``eval`` killed at random moments and begun again: the same bytes, and nothing half written stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aotlab.media.masks import write_mask
from tests.drawn_clips import draw_clip, stems_from, write_frames
from tests.miniatures import make_mose

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import importlib, os, random, signal, sys, time
import torch
torch.set_num_threads(1)
tool = importlib.import_module(f"aotlab.tools.{sys.argv[1]}")
import aotlab.media.streams, aotlab.engine.benchmark.evaluator
import aotlab.engine.tracker, aotlab.engine.video.tracking
aotlab.engine.video.resume.SAVE_EVERY = 0.0
output, arguments = sys.argv[2], sys.argv[3:]
rng, kills = random.Random(5), 0

def start(name):  # a fork has all modules: it starts at once
    process = os.fork()
    if process == 0:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        os._exit(tool.main([*arguments, "--output", f"{output}/{name}"]))
    return process

begun = time.monotonic()
assert os.waitpid(start("calm"), 0)[1] == 0
whole = time.monotonic() - begun
while kills < 6:
    process = start("killed")
    whole *= 0.98  # the first run was slower than those that follow
    deadline = time.monotonic() + rng.uniform(0.02, 0.8) * whole
    while not (ended := os.waitpid(process, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.002)
    if not ended[0]:
        os.kill(process, signal.SIGKILL)
        kills += os.waitpid(process, 0)[1] != 0
assert os.waitpid(start("killed"), 0)[1] == 0
print(kills)
"""


def killed(tool, folder, *arguments):
    """Results of an undisturbed run and of one that was killed again and again, by path; after six kills."""
    command = [sys.executable, "-c", KILLED, tool, str(folder), *map(str, arguments)]
    environment = {**os.environ, "AOTLAB_TUNE": "off"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 6
    assert not [path for path in (folder / "killed").rglob("*") if ".part" in path.name]
    return [
        {
            str(path.relative_to(folder / name)): path.read_bytes()
            for path in (folder / name).rglob("*")
            if path.suffix in (".png", ".mp4", ".xml")
        }
        for name in ("calm", "killed")
    ]


def test_a_tracked_video_is_the_same_after_kills(tmp_path):
    clip = draw_clip(stems_from(0, 8), seed=1)
    write_frames(tmp_path / "clip", clip)
    write_mask(tmp_path / "clip.png", clip.labels[0])
    arguments = [tmp_path / "clip", "--mask", tmp_path / "clip.png", "--write", "masks,overlay,objects,cvat"]
    calm, again = killed("track", tmp_path, *arguments)
    assert len(calm) >= 18
    assert again == calm


def test_an_evaluation_is_the_same_after_kills(tmp_path):
    make_mose(tmp_path / "mose")
    calm, again = killed(
        "eval", tmp_path, "--dataset", "mose", "--root", tmp_path / "mose", "--split", "valid"
    )
    assert len(calm) >= 9
    assert again == calm
