"""Write a model as ONNX graphs, and check that they compute the same.

``aotlab export --config aott --size 854x480 --output exported --verify``
``aotlab export --checkpoint my.safetensors --memory bounded_fifo --memory-frames 4 --output exported``
"""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from click import UsageError

from aotlab.tools.cli.command import command, group
from aotlab.tools.cli.options import (
    force,
    list_overrides,
    memory_options,
    model_options,
    print_settings,
    read_checkpoint_option,
    settings,
)
from aotlab.tools.cli.types import Folder, Size, flag, number, option
from aotlab.utils.errors import RunStopped, require_extra
from aotlab.utils.numbers import MAX_COUNT, Range

if TYPE_CHECKING:
    from aotlab.configs.schema import Config
    from aotlab.networks.model import VOSModel

MIN_EQUAL_HALF = 0.99
"""smallest accepted share of equal labels with weights in float16"""


def check_export(args: Namespace, model: VOSModel, config: Config) -> None:
    """Verify and print one line; raise `RunStopped` if graphs and model differ."""
    import torch

    from aotlab.engine.export.verify import TOLERANCE, verify_export

    agreement = verify_export(
        model, config, args.output, video=args.size[::-1], frames=args.verify_frames, provider=args.provider
    )
    print(
        f"largest difference of logits {agreement.difference:.1e} of their spread, "
        f"{agreement.equal:.4%} of the labels equal; "
        f"{agreement.exported_seconds:.3f} s per frame, PyTorch {agreement.pytorch_seconds:.3f} "
        f"({torch.get_num_threads()} threads)"
    )
    if args.half and agreement.equal < MIN_EQUAL_HALF:
        raise RunStopped(
            f"{args.output}: {agreement.equal:.2%} of the labels equal PyTorch's, expected at least "
            f"{MIN_EQUAL_HALF:.0%}; export without --half"
        )
    if not args.half and not agreement.difference <= TOLERANCE:
        raise RunStopped(
            f"{args.output}: logits differ from PyTorch's by {agreement.difference:.1e} of their spread, "
            "expected at most "
            f"{TOLERANCE}; do not use these graphs"
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
    metavar="NAME",
    default="cpu",
    help="execution provider for --verify: cpu, cuda, tensorrt, coreml, directml, openvino (default: cpu)",
)
@group("output", option("--output", type=Folder, help="folder to write"), force)
@model_options(untrained=True)
@memory_options(bounded=False)
def main(args: Namespace) -> int:
    """Export, and verify if asked to; returns the exit status."""
    if args.output is None and not args.print_config:
        raise UsageError("--output: missing")
    args.overrides += list_overrides(args)
    from aotlab.engine.export.graphs import EXPORT_PACKAGES, export_model, resolve_export_config
    from aotlab.networks.weights.checkpoints import build_or_load, read_settings

    path = read_checkpoint_option(args)
    chosen = resolve_export_config(read_settings(path, config=args.config, overrides=args.overrides))
    if args.print_config:
        print_settings(chosen)
        return 0
    require_extra("export", *EXPORT_PACKAGES)
    if args.verify:
        require_extra("runtime", "aotlab_runtime")
    model, config = build_or_load(path, config=args.config, overrides=args.overrides)
    description = export_model(
        model, config, args.output, video=args.size[::-1], half=args.half, prompts=not args.no_prompts,
        force=args.force,
    )  # fmt: skip
    megabytes = sum(path.stat().st_size for path in args.output.iterdir()) / 1e6
    print(
        f"{args.output}: {config.name} as ONNX graphs of {megabytes:.1f} MB for {args.size[0]}x"
        f"{args.size[1]}, up to {description.config.memory.frames} frames in long-term memory"
    )
    if args.verify:
        check_export(args, model, description.config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
