"""Write a model as ONNX graphs, and check that they compute the same.

``aotlab export --config aott --size 854x480 --output exported --verify``
``aotlab export --precision int8 --calibrate FRAMES MASKS --output exported --verify``
``aotlab export --checkpoint my.safetensors --memory bounded_fifo --memory-frames 4 --output exported``
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click import UsageError

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.tools.cli.command import command, group
from aotlab.tools.cli.options import memory_options, model_options, overwrite, print_settings, settings
from aotlab.tools.cli.types import ExistingPath, Folder, Size, flag, number, option
from aotlab.utils.errors import RunStopped, require, require_extra, require_module
from aotlab.utils.numbers import MAX_COUNT, Range

if TYPE_CHECKING:
    import numpy as np

    from aotlab.configs.schema import Config
    from aotlab.engine.export.quantize import Clip
    from aotlab.networks.model import VOSModel

MIN_EQUAL_HALF = 0.99
"""smallest accepted share of equal labels with weights in float16"""


def check_export(
    model: VOSModel,
    config: Config,
    output: Path,
    *,
    clip: Clip,
    provider: str,
    half: bool,
    max_loss: float | None,
) -> None:
    """Verify and print one line; raise `RunStopped` if graphs and model differ.

    ``max_loss``: accepted loss of J in points; None: logits or labels are compared.
    """
    import torch

    from aotlab.engine.export.verify import TOLERANCE, verify_export

    agreement = verify_export(model, config, output, clip=clip, provider=provider)
    exported, pytorch = 100 * agreement.exported_region, 100 * agreement.pytorch_region
    print(
        f"largest difference of logits {agreement.difference:.1e} of their spread, "
        f"{agreement.equal:.4%} of the labels equal; J {exported:.1f}, PyTorch {pytorch:.1f}; "
        f"{agreement.exported_seconds:.3f} s per frame, PyTorch {agreement.pytorch_seconds:.3f} "
        f"({torch.get_num_threads()} threads)"
    )
    if max_loss is not None:
        if not pytorch - exported <= max_loss:
            raise RunStopped(
                f"{output}: J is {pytorch - exported:.1f} points below PyTorch's, expected at most {max_loss:g}; "
                "calibrate with a clip like your videos, or export with --precision float32"
            )
    elif half and agreement.equal < MIN_EQUAL_HALF:
        raise RunStopped(
            f"{output}: {agreement.equal:.2%} of the labels equal PyTorch's, expected at least "
            f"{MIN_EQUAL_HALF:.0%}; export without --half"
        )
    elif not half and not agreement.difference <= TOLERANCE:
        raise RunStopped(
            f"{output}: logits differ from PyTorch's by {agreement.difference:.1e} of their spread, "
            f"expected at most {TOLERANCE}; do not use these graphs"
        )


def read_clip(images: Path, masks: Path, length: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read the first frames of a folder that have masks of the same name, at least 2.

    Raises:
        InputError: fewer frames with masks, unreadable files, or a first mask without objects.
    """
    from aotlab.dataloaders.benchmarks.sequences import match_masks, read_video
    from aotlab.media.images import read_image
    from aotlab.media.masks import read_mask

    video = read_video("calibration", images, masks)
    clip = []
    for index, path in sorted(match_masks(video.frames, video.annotations).items())[:length]:
        frame = read_image(video.frames[index])
        clip.append((frame, read_mask(path, size=frame.shape[:2])))
    require(len(clip) > 1, f"--calibrate {masks}: expected masks for at least 2 frames of {images}")
    require(
        bool(clip[0][1].any()), f"--calibrate {masks}: the first mask has no objects; start with one that has"
    )
    return clip


@command("aotlab export", "Write a model as ONNX files.")
@settings
@option("--size", type=Size, default=(854, 480), help="size of the frames (default: 854x480)")
@flag("--half", "store weights in float16, half the size; the graphs compute in float32")
@option(
    "--precision",
    type=click.Choice(("float32", "int8")),
    default="float32",
    help="int8: large convolutions and products with weights in int8, needs --calibrate",
)
@option(
    "--calibrate",
    metavar="FRAMES MASKS",
    nargs=2,
    type=ExistingPath,
    help="folders of a clip like your videos, which int8 is calibrated with and --verify tracks",
)
@flag(
    "--quantize-encoder",
    "int8 for the encoder too: faster, less accurate on objects unlike those of --calibrate",
)
@option(
    "--max-loss",
    type=number(Range(0, 100)),
    default=1.0,
    help="maximum drop of J in points allowed for int8 (default: 1)",
)
@flag("--no-prompts", "leave out the prompt network")
@flag(
    "--verify",
    "track a drawn clip, or that of --calibrate, with PyTorch and the graphs; exit code 1 if they differ",
)
@option(
    "--verify-frames",
    metavar="N",
    type=number(Range(2, MAX_COUNT, whole=True)),
    default=12,
    help="frames of that clip",
)
@option(
    "--provider",
    type=click.Choice(("cpu", "cuda", "tensorrt", "coreml", "directml", "openvino")),
    default="cpu",
    help="execution provider for --verify",
)
@group("output", option("--output", type=Folder, help="folder to write"), overwrite)
@model_options(untrained=True)
@memory_options(bounded=False)
def main(
    overrides: tuple[str, ...],
    *,
    size: tuple[int, int],
    half: bool,
    precision: str,
    calibrate: tuple[Path, Path] | None,
    quantize_encoder: bool,
    max_loss: float,
    no_prompts: bool,
    verify: bool,
    verify_frames: int,
    provider: str,
    output: Path | None,
    force: bool,
    checkpoint: Path | None,
    config: str | None,
    print_config: bool,
) -> int:
    """Export, and verify if asked to; returns the exit code."""
    from aotlab.engine.export.graphs import EXPORT_PACKAGES, export_model, resolve_export_config
    from aotlab.engine.export.quantize import CALIBRATION_FRAMES
    from aotlab.networks.weights.checkpoints import build_or_load, read_settings

    path = checkpoint or (None if config else BUNDLED_CHECKPOINT)
    export_config = resolve_export_config(read_settings(path, config=config, overrides=overrides))
    if print_config:
        print_settings(export_config)
        return 0
    if output is None:
        raise UsageError("--output: missing")
    if (precision == "int8") != (calibrate is not None):
        raise UsageError("--precision int8 and --calibrate FRAMES MASKS: give both or neither")
    if quantize_encoder and not calibrate:
        raise UsageError("--quantize-encoder: only with --precision int8")
    require_extra("export", *EXPORT_PACKAGES)
    if verify or calibrate:
        require_module("aotlab_runtime", "./runtime in a checkout")
    if verify:
        from aotlab.engine.export.verify import require_provider

        require_provider(provider)
    clip = read_clip(*calibrate, max(verify_frames, CALIBRATION_FRAMES)) if calibrate else []
    model, loaded = build_or_load(path, config=config, overrides=overrides)
    description = export_model(
        model, loaded, output, video=size[::-1], half=half, prompts=not no_prompts, force=force,
        calibration=clip, quantize_encoder=quantize_encoder,
    )  # fmt: skip
    megabytes = sum(path.stat().st_size for path in output.iterdir()) / 1e6
    print(
        f"{output}: {loaded.name} as ONNX graphs of {megabytes:.1f} MB for {size[0]}x{size[1]}, "
        f"up to {description.config.memory.frames} frames in long-term memory"
    )
    if verify:
        from aotlab.media.synthetic_clip import draw_clip

        clip = clip[:verify_frames] or list(zip(*draw_clip(verify_frames, *size[::-1], seed=0), strict=True))
        check_export(
            model, description.config, output, clip=clip, provider=provider, half=half,
            max_loss=max_loss if calibrate else None,
        )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
