"""Masks, frames and training steps on one GPU, one Markdown file for each: ``python -m research.speed.gpu OUT``.

It takes about 8 minutes. The file of a step that fails ends with its error; the other steps run nevertheless.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click

from aotlab.configs.files import ROOT
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import Device, Folder, option

MODELS = ("aott", "r50_aotl", "r50_deaotl", "swinb_aotl")
FRAMES = "memory.policy=bounded_fifo,compute.precision=bfloat16,at_frame=50"
TRAINING = "train=4x5x465,train.precision=bfloat16"
LIMIT = 150
"""Largest number of seconds of a step."""


def list_steps(device: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each step and the arguments of Python."""
    compare = ["-m", "research.speed.compare", "--device", device, "--rounds"]
    yield "masks", ["-m", "pytest", "-q", "-k", "bundled", "tests/engine/test_gpu.py"]
    for model in MODELS:
        settings = [f"{model},{FRAMES},objects={objects}" for objects in (1, 3, 10)]
        yield f"frames_{model}", [*compare, "300", *settings]
    yield "frames_1920x1080", [*compare, "60", *(f"{model},{FRAMES},objects=3,size=1920x1080" for model in MODELS)]
    for model in ("aott", "r50_deaotl"):
        kernels = ["-m", "research.speed.kernels", "--device", device]
        yield f"kernels_{model}", [*kernels, f"{model},{FRAMES},objects=3"]
    yield "training", [*compare, "10", f"aott,{TRAINING}", f"r50_aotl,{TRAINING}"]
    yield "compile", [*compare, "60", *(f"aott,{FRAMES},objects=3,compute.compile={x}" for x in ("false", "true"))]
    if find_spec("transformers"):
        peers = [f"{name},compute.precision=bfloat16,objects=3" for name in ("edgetam", "sam2_tiny")]
        yield "peers", [*compare, "20", f"aott,{FRAMES},objects=3", *peers]


@command("python -m research.speed.gpu")
@click.argument("output", type=Folder, metavar="OUT", help="folder of the files")
@option("--device", type=Device, default="cuda", help="cuda or cuda:N")
def main(output: Path, *, device: str) -> int:
    """Measure frames and training steps on one GPU; exit with 1 if a step failed."""
    output.mkdir(parents=True, exist_ok=True)
    failed = []
    for name, arguments in list_steps(device):
        with (output / f"{name}.md").open("w", encoding="utf-8") as file:
            try:
                words = [sys.executable, *arguments]
                subprocess.run(words, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, timeout=LIMIT, check=True)
            except subprocess.SubprocessError as error:
                file.write(f"\n{error}\n")
                failed.append(name)
        print(f"{name} failed" if name in failed else name, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
