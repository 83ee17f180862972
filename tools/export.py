"""Write a model as ONNX graphs, and check that they compute the same.

``aotlab export --config aott --size 854x480 --output exported --verify``
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
from aotlab.tools.cli.options import (
    force,
    memory_options,
    model_options,
    print_settings,
    settings,
)
from aotlab.tools.cli.types import Folder, Size, flag, number, option
from aotlab.utils.errors import RunStopped, require_extra, require_module
from aotlab.utils.numbers import MAX_COUNT, Range

if TYPE_CHECKING:
    from aotlab.configs.schema import Config
    from aotlab.networks.model import VOSModel

MIN_EQUAL_HALF = 0.99
"""smallest accepted share of equal labels with weights in float16"""


def check_export(
    model: VOSModel,
    config: Config,
    output: Path,
    *,
    size: tuple[int, int],
    half: bool,
    frames: int,
    provider: str,
) -> None:
    """Verify and print one line; raise `RunStopped` if graphs and model differ."""
    import torch

    from aotlab.engine.export.verify import TOLERANCE, verify_export

    agreement = verify_export(model, config, output, video=size[::-1], frames=frames, provider=provider)
    print(
        f"largest difference of logits {agreement.difference:.1e} of their spread, "
        f"{agreement.equal:.4%} of the labels equal; "
        f"{agreement.exported_seconds:.3f} s per frame, PyTorch {agreement.pytorch_seconds:.3f} "
        f"({torch.get_num_threads()} threads)"
    )
    if half and agreement.equal < MIN_EQUAL_HALF:
        raise RunStopped(
            f"{output}: {agreement.equal:.2%} of the labels equal PyTorch's, expected at least "
            f"{MIN_EQUAL_HALF:.0%}; export without --half"
        )
    if not half and not agreement.difference <= TOLERANCE:
        raise RunStopped(
            f"{output}: logits differ from PyTorch's by {agreement.difference:.1e} of their spread, "
            f"expected at most {TOLERANCE}; do not use these graphs"
        )


@command("aotlab export", "Write a model as ONNX files.")
@settings
@option("--size", type=Size, default=(854, 480), help="size of the frames (default: 854x480)")
@flag("--half", "store weights in float16, half the size; the graphs compute in float32")
@flag("--no-prompts", "leave out the prompt network")
@flag("--verify", "track a drawn clip with PyTorch and with the graphs; exit status 1 if their logits differ")
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
@group("output", option("--output", type=Folder, help="folder to write"), force)
@model_options(untrained=True)
@memory_options(bounded=False)
def main(
    overrides: tuple[str, ...],
    *,
    size: tuple[int, int],
    half: bool,
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
    """Export, and verify if asked to; returns the exit status."""
    from aotlab.engine.export.graphs import EXPORT_PACKAGES, export_model, resolve_export_config
    from aotlab.networks.weights.checkpoints import build_or_load, read_settings

    path = checkpoint or (None if config else BUNDLED_CHECKPOINT)
    chosen = resolve_export_config(read_settings(path, config=config, overrides=overrides))
    if print_config:
        print_settings(chosen)
        return 0
    if output is None:
        raise UsageError("--output: missing")
    require_extra("export", *EXPORT_PACKAGES)
    if verify:
        require_module("aotlab_runtime", "./runtime in a checkout")
        from aotlab.engine.export.verify import require_provider

        require_provider(provider)
    model, loaded = build_or_load(path, config=config, overrides=overrides)
    description = export_model(
        model, loaded, output, video=size[::-1], half=half, prompts=not no_prompts, force=force
    )
    megabytes = sum(path.stat().st_size for path in output.iterdir()) / 1e6
    print(
        f"{output}: {loaded.name} as ONNX graphs of {megabytes:.1f} MB for {size[0]}x{size[1]}, "
        f"up to {description.config.memory.frames} frames in long-term memory"
    )
    if verify:
        check_export(
            model, description.config, output, size=size, half=half, frames=verify_frames, provider=provider
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
