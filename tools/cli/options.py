"""Options of several commands, and the objects that they choose: a tracker, the videos of a benchmark."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.dataloaders.benchmarks.datasets import DATASETS, open_dataset, select_videos
from aotlab.tools.cli.command import option_group
from aotlab.tools.cli.types import (
    Checkpoint,
    Choice,
    ConfigFile,
    Device,
    ExistingPath,
    Folder,
    flag,
    list_option,
    option,
)

if TYPE_CHECKING:
    from aotlab.configs.schema import Config
    from aotlab.dataloaders.benchmarks.labeled_video import Video

Decorator = Callable[[Any], Any]

SETTING = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z0-9_]+)*=.*", re.DOTALL)
"""A setting such as ``memory.every=2``; not ``./a=b``, which names a file."""
SETTINGS_METAVAR = "[KEY=VALUE]..."
SETTINGS_HELP = "settings to change, such as {}; write ./a=b for a file named a=b"

device = option("--device", type=Device, default="cpu", help="cpu, cuda, cuda:N or mps")
force_results = flag("--force", "replace existing results of another run")
force_file = flag("--force", "replace an existing output")
print_config = flag("--print-config", "print the resolved settings and stop")
settings = click.argument("overrides", metavar=SETTINGS_METAVAR, nargs=-1, help=SETTINGS_HELP.format("memory.every=2"))
root = option("--root", type=Folder, help="folder of the data set (default: in $AOTLAB_DATA or ./datasets)")


def dataset_option(names: Iterable[str], *, help: str = "", **attributes: Any) -> Decorator:
    """Return ``--dataset``, one of ``names``; None if unset."""
    return option(
        "--dataset",
        metavar="NAME",
        type=Choice([*names], case_sensitive=False),
        help=f"{help}one of {', '.join(names)}",
        **attributes,
    )


def video_argument(metavar: str, help: str, type: Any = str) -> Decorator:
    """Return the argument ``video``, a tuple of videos and settings, which `split_settings` separates."""
    return click.argument(
        "video",
        metavar=f"{metavar} {SETTINGS_METAVAR}",
        nargs=-1,
        type=type,
        help=f"{help}; {SETTINGS_HELP.format('input.scale=0.6 or compute.precision=bfloat16 to be faster')}",
    )


def split_settings(arguments: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the arguments that are not settings, and the settings."""
    settings = tuple(text for text in arguments if SETTING.fullmatch(text))
    return tuple(text for text in arguments if text not in settings), settings


def checkpoint_option(*, multiple: str | None = None, untrained: bool = False) -> Decorator:
    """Return ``--checkpoint``, by default the bundled one; a tuple if repeatable, None if unset and ``untrained``.

    ``multiple``: purpose of repeating the option; None: it is given once.
    """
    repetition = f"; repeat it to {multiple}" if multiple else ""
    random = "; --config alone: random weights" if untrained else ""
    return option(
        "--checkpoint",
        type=Checkpoint,
        multiple=multiple is not None,
        default=None if multiple or untrained else BUNDLED_CHECKPOINT,
        help=f"weights: a file, or a name of `aotlab weights`{repetition} (default: the bundled model{random})",
    )


def config_option(
    *, multiple: bool = False, required: bool = False, name: str = "preset (aott, aotl, r50_aotl, ...)"
) -> Decorator:
    """Return ``--config``, by default the checkpoint's settings unless it is required; ``name``: names for the help."""
    default = "[required]" if required else "(default: the checkpoint's)"
    text = f"{name} or YAML file with the settings {default}"
    return option("--config", type=ConfigFile, multiple=multiple, required=required, help=text)


def tracker_options(*, multiple: str | None = None) -> Decorator:
    """Return the options of a tracker, by the fields of `TrackerOptions`; ``multiple``: as in `checkpoint_option`."""
    return option_group("model", checkpoint_option(multiple=multiple), config_option(), device, print_config)


def print_settings(*settings: Config) -> int:
    """Print the settings of each model as a YAML document, for ``--print-config``; return the exit code."""
    from aotlab.configs.load import to_yaml

    print("---\n".join(map(to_yaml, settings)), end="")
    return 0


@dataclass(frozen=True)
class BenchmarkOptions:
    """Videos of a benchmark, chosen by `benchmark_options`."""

    dataset: str = ""
    """Name of the data set; empty without ``--dataset``."""
    root: Path | None = None
    """Folder of the data set; None: `find_default_root`."""
    split: str = "val"
    sequence: tuple[str, ...] = ()
    """Names of the videos to use; empty: all."""
    new_objects: bool = False

    def open_videos(self, *, all_frames: bool = False) -> list[Video]:
        """Return the chosen videos; raise `InputError` as `open_dataset` and `select_videos` do."""
        videos = open_dataset(self.dataset, self.root, self.split, all_frames=all_frames, new_objects=self.new_objects)
        return select_videos(videos, self.sequence)

    def describe(self, *, all_frames: bool = False) -> dict[str, Any]:
        """Return the data set and its options as inputs of a run; the folder and the chosen sequences are none."""
        flags = {"new_objects": self.new_objects, "all_frames": all_frames}
        return {"dataset": self.dataset, "split": self.split, **{name: True for name, value in flags.items() if value}}

    def explain_no_score(self, results: Path) -> str | None:
        """Return why ``aotlab eval`` does not score the results, and what to do; None if it does."""
        dataset = DATASETS[self.dataset]
        root = f" --root {self.root}" if self.root is not None else ""
        options = f"--dataset {dataset.name}{root} --split {self.split}"
        if dataset.hota:
            return f"{dataset.name} is scored by HOTA; score with: aotlab score {options} {results}"
        if self.split not in dataset.server_splits:
            return None
        reason = f"the annotations of {dataset.name} {self.split} are not public"
        server = f"its scores come from the server linked from {dataset.source}"
        files = f"--results {results} --output {results}.zip"
        return f"{reason}, {server}; write the archive with: aotlab submit {options} {files}"


def benchmark_options(names: Iterable[str], *others: Decorator) -> Decorator:
    """Return the options of a benchmark, by the fields of `BenchmarkOptions`, and others in the same group."""
    return option_group(
        "benchmark",
        dataset_option(names),
        root,
        option("--split", metavar="NAME", default=BenchmarkOptions.split, help="train, val, test, ..."),
        list_option("--sequence", "sequences to use, comma-separated (default: all)"),
        flag("--new-objects", "with --dataset folder: later masks add objects"),
        *others,
    )


def prompt_options(*, frames: bool = True) -> Decorator:
    """Return ``--box``, ``--point``, ``--not-point`` and ``--segmenter``; with ``frames`` they may name a frame."""
    prefix = "[[FRAME][:ID]=]" if frames else "[:ID=]"
    prompts = [
        option(name, field, metavar=f"{prefix}{values}", multiple=True, help=text)
        for name, field, values, text in (
            ("--box", "boxes", "X,Y,W,H|X1:Y1-X2:Y2", "box around an object, in pixels"),
            ("--point", "points", "X,Y", "point on an object, in pixels; repeat it to refine the mask"),
            ("--not-point", "not_points", "X,Y", "point off the object"),
        )
    ]
    return option_group("prompts instead of masks" if frames else "prompts", *prompts, segmenter_option())


def segmenter_option() -> Decorator:
    """Return ``--segmenter``, the first argument of `load_segmenter`."""
    return option(
        "--segmenter",
        metavar="ENCODER DECODER",
        nargs=2,
        type=ExistingPath,
        help="SAM-like segmenter as two ONNX files (default: the bundled model's, or the checkpoint's own)",
    )
