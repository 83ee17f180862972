"""Writes the files of a version that all later versions have to open, with its own commands, as an archive.

python packages/testing/stored/write.py /srv/clips    # writes packages/testing/stored/VERSION.zip

Run it once for each version, in a clean checkout of its tag; an archive of an earlier version is never written again.
The files contain the paths of the folder and of the checkout, so both must say nothing about the machine, such as
/srv/clips and /srv/aotlab. The folder is removed, because tests check that moved files are found.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import numpy as np
from PIL import Image
from websockets.sync.client import connect

import aotlab
import aotlab_runtime
from aotlab import sdk
from aotlab.__main__ import main

HEIGHT, WIDTH, LENGTH = 64, 96, 6
COLORS = np.array([[40, 70, 40], [220, 60, 60], [60, 90, 220]], np.uint8)
CORNER = 6, 10
"""Left and top of object 1 on the first frame of the video."""
PLUGIN = "encoder.py"
MODEL = "--checkpoint", "training/whole/video.safetensors", "--plugin", PLUGIN
SHORT = "train.phases.0.steps=12", "train.log_every=1"
"""Settings of the run that is interrupted, and of the same one to its end."""
SIGINT_STATUS = 128 + signal.SIGINT


def draw_labels(index: int, left: int, top: int) -> np.ndarray:
    """Draw the object ids H×W of a frame: object 1 slides right from a corner, object 2 slides up."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[top : top + 26, left + 3 * index :][:, :26] = 1
    labels[36 - index : 60 - index, 60:84] = 2
    return labels


def write_video(frames: Path, masks: Path, corner: tuple[int, int], suffix: str = ".png") -> None:
    """Write the frames and masks of a video, which begins with object 1 at this corner."""
    for index in range(LENGTH):
        labels = draw_labels(index, *corner)
        frames.mkdir(parents=True, exist_ok=True)
        Image.fromarray(COLORS[labels]).save(frames / f"{index:05d}{suffix}", "PNG")
        aotlab.write_mask(masks / f"{index:05d}.png", labels)


def run(*words: object, status: int = 0, **variables: str) -> None:
    """Run a command, and require its exit status."""
    command = [sys.executable, "-m", "aotlab", *map(str, words)]
    found = subprocess.run(command, env={**os.environ, **variables}, check=False).returncode
    if found != status:
        sys.exit(f"{' '.join(map(str, words))}: exit code {found}, not {status}")


def write_training() -> None:
    """Write a run with its weights, and one that a signal has interrupted, with the log that it would have had."""
    (Path("training/recipe.yaml")).write_text("""\
base: aott
name: small
model:
  encoder: few_convolutions
  dim: 16
  max_objects: 1
  stages: [{heads: 2, window: 3, feedforward: 32, drop_path: 0}]
data: {root: benchmark, workers: 0, validation: []}
train:
  encoder_weights: null
  freeze_encoder_stages: 4
  image_every: 0
  keep: 1
  phases:
    - name: video
      steps: 600
      batch: 2
      clip_length: 3
      crop: 65
      short_edge: 64
      merge: 0
      lr: 2.0e-3
      feed_predictions_after: 1.0
      sources: [{path: train, kind: video, max_gap: 1}]
""")
    line = "train", "--config", "training/recipe.yaml", "--plugin", PLUGIN, "--device", "cpu", "--log", "csv"
    run(*line, "train.output=training/whole")
    for path in [*Path("training/whole").iterdir()]:  # the log and the state of the other run are enough
        if path.suffix != ".safetensors":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    run(*line, *SHORT, "train.output=training/short")
    log = Path("training/interrupted/log.jsonl")
    words = [*line, *SHORT, f"train.output={log.parent}"]
    with subprocess.Popen([sys.executable, "-m", "aotlab", *words]) as process:
        while not log.exists() or log.read_text().count("\n") < 5:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
    if process.returncode != SIGINT_STATUS:
        sys.exit(f"train: exit code {process.returncode}, not {SIGINT_STATUS}: write the files again")
    Path("training/short/log.jsonl").replace("training/short.jsonl")
    shutil.rmtree("training/short")


def write_tracked() -> None:
    """Write results with several outputs, and those of a run that a signal has interrupted."""
    line = "track", "video", "--mask", "first.png", "--class", "rabbit", *MODEL, "--device", "cpu"
    run(*line, "--end", 3, "--write", "masks,soft,overlay,coco,review,mattes16", "--output", "tracked")
    prompts = "--box", "6,10,26,26", "--negative-point", "60,50"
    run(
        "track",
        "video",
        *prompts,
        "--both-directions",
        *MODEL,
        "--device",
        "cpu",
        "--write",
        "cvat",
        "--output",
        "boxed",
    )
    line = "track", "video", "--mask", "first.png", *MODEL, "--device", "cpu", "--write", "masks"
    run(*line, "--output", "whole")
    numbers, step = count(), aotlab.Tracker.step

    def stop_at_fourth(self: aotlab.Tracker, *args: Any, **options: Any) -> aotlab.Prediction:
        if next(numbers) == 3:
            signal.raise_signal(signal.SIGINT)
        return step(self, *args, **options)

    words = [*map(str, line), "--output", "unfinished"]
    with patch.object(aotlab.Tracker, "step", stop_at_fourth), patch("sys.argv", ["aotlab", *words]):
        assert main() == SIGINT_STATUS


def write_benchmark() -> None:
    """Write the results of a benchmark, those of one of its sequences, and votes on the former."""
    line = "eval", "--dataset", "mose", "--split", "train", "--root", "benchmark", *MODEL, "--device", "cpu"
    run(*line, "--output", "evaluated")
    run(*line, "--sequence", "first", "--output", "evaluated_one")
    run("ensemble", "evaluated", "evaluated", "--output", "voted")


def write_export() -> None:
    """Write an export, and the state of its tracker after half of the frames."""
    run("export", "--size", f"{WIDTH}x{HEIGHT}", "--no-prompts", "--output", "exported", *MODEL)
    tracker = aotlab_runtime.Tracker.from_export("exported")
    for index in range(LENGTH // 2):
        tracker.step(COLORS[draw_labels(index, *CORNER)], None if index else draw_labels(0, *CORNER))
    np.savez_compressed("exported_state.npz", **tracker.state_dict())


class Page:
    """The server of ``aotlab annotate``, as its page uses it; see docs/reference/http.md."""

    def __init__(self, url: str) -> None:
        address = url.partition("/?")[0]
        self.client = httpx.Client(base_url=address, headers={"Origin": address}, timeout=60)
        self.client.get(url)
        cookies = "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())
        self.open = lambda path: connect(
            f"ws{address[4:]}{path}", origin=address, additional_headers={"Cookie": cookies}, proxy=None
        )

    def edit(self, *messages: dict[str, Any], clip: str = "") -> None:
        """Perform edits."""
        for answer in self.client.post(f"{clip}/edits", json=list(messages)).raise_for_status().json():
            assert "error" not in answer, answer

    def load_masks(self, index: int, mask: Path) -> None:
        """Draw the masks of a file on a frame."""
        self.client.post(f"/masks/{index}", content=mask.read_bytes()).raise_for_status()

    def track(self, **request: Any) -> None:
        """Track, and wait until the job has ended."""
        with self.open("/socket") as socket:

            def send(**message: Any) -> dict[str, Any]:
                socket.send(json.dumps({"id": 1, **message}))
                while True:
                    answer = json.loads(socket.recv(60))
                    if answer.get("id") == 1:
                        assert "error" not in answer, answer
                        return answer

            send(do="track", **request)
            while send(do="describe")["result"]["job"] is not None:
                time.sleep(0.05)


@contextmanager
def serve(path: str) -> Iterator[Page]:
    """Open a video or results in the studio."""
    command = [sys.executable, "-m", "aotlab", "annotate", path, "--no-browser", *MODEL, "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = next(match[0] for line in process.stdout if (match := re.search(r"http://\S+", line)))
        yield Page(url)
        process.send_signal(signal.SIGINT)


def fill(frame: int, object_id: int, *corners: tuple[int, int]) -> dict[str, Any]:
    return {"do": "fill_polygon", "frame": frame, "object_id": object_id, "points": corners}


def write_projects() -> None:
    """Write a project with drawn and tracked masks, and one that a person has corrected and not tracked to its end."""
    with closing(sdk.VideoWriter(Path("studio/plain.mp4"), rate=Fraction(25), size=(HEIGHT, WIDTH))) as writer:
        for index in range(LENGTH):
            writer.write(COLORS[draw_labels(index, *CORNER)], Fraction(index, 25))
    shutil.copytree("video", "studio/corrected")
    for name, last in {"plain.mp4": None, "corrected": 3}.items():
        with serve(f"studio/{name}") as page:
            page.load_masks(0, Path("first.png"))
            page.edit({"do": "change_object", "object_id": 1, "class_name": "rabbit", "name": "left"})
            page.track(frame=0, last=last)
            if name == "corrected":
                page.edit(
                    fill(2, 1, (2, 50), (14, 50), (14, 62), (2, 62)),
                    {"do": "mark_absent", "frame": 3, "object_id": 2},
                    {"do": "reshape", "frame": 1, "object_id": 1, "shape": "grow", "radius": 2},
                    {"do": "set_checked", "frame": 1, "checked": True},
                )
        run("convert", f"studio/{name}.aotlab", f"studio/{name}.masks", "--to", "masks", "--video", f"studio/{name}")


def write_list() -> None:
    """Write the results of a list: one corrected and exported, one corrected only in its project, one as tracked."""
    rows = ["video,masks,classes"]
    for name, corner in {"exported": (4, 4), "edited": (10, 20), "tracked": (2, 30)}.items():
        write_video(Path("list", name), Path("list", f"{name}.masks"), corner)
        rows.append(f"{name},{name}.masks/00000.png,rabbit; :2=stone")
    Path("list/clips.csv").write_text("\n".join([*rows, ""]))
    for masks in Path("list").glob("*.masks"):
        for path in sorted(masks.iterdir())[1:]:
            path.unlink()
    run(
        "track",
        "--jobs",
        "list/clips.csv",
        "--output",
        "list/results",
        *MODEL,
        "--device",
        "cpu",
        "--write",
        "masks,coco",
    )
    correction = fill(2, 1, (80, 2), (92, 2), (92, 14), (80, 14))
    with serve("list/results") as page:
        page.edit(correction, {"do": "set_done", "done": True, "force": True}, clip="/clip/exported")
    run("export-clips", "list/results")
    with serve("list/results") as page:
        page.edit(correction, clip="/clip/edited")


def write_all() -> None:
    """Write everything into the working directory."""
    for name, corner in {"first": (4, 4), "second": (10, 20)}.items():
        write_video(Path("benchmark/train/JPEGImages", name), Path("benchmark/train/Annotations", name), corner, ".jpg")
    write_video(Path("video"), Path("masks"), CORNER)
    Path("masks/00000.png").replace("first.png")
    shutil.rmtree("masks")
    for folder in ("training", "studio"):
        Path(folder).mkdir()
    write_training()
    write_tracked()
    write_benchmark()
    write_export()
    write_projects()
    write_list()
    for pattern in (".lock", ".aotlab-token", "__pycache__"):  # locks and keys of this machine
        for path in [*Path().rglob(pattern)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    stored = Path(__file__).resolve().parent
    folder = Path(sys.argv[1], aotlab.__version__)
    folder.mkdir(parents=True)
    shutil.copy(stored / PLUGIN, folder)
    os.chdir(folder)
    write_all()
    archive = shutil.make_archive(str(stored / folder.name), "zip", folder)
    shutil.rmtree(folder)
    print(f"{archive}: {os.path.getsize(archive)} bytes")
