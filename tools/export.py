"""Write a model as ONNX graphs, and check that they compute the same.

``aotlab export --config aott --size 854x480 --output exported --verify``
``aotlab export --checkpoint my.safetensors --memory bounded_fifo --memory-frames 4 --output exported``
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.tools.cli.options import (
    SIZE,
    add_memory_options,
    add_model_options,
    add_shared_options,
    list_overrides,
    print_settings,
    read_checkpoint_option,
)
from aotlab.tools.cli.parser import AT_LEAST_ONE, AT_LEAST_TWO, CommandParser, command, require_model
from aotlab.utils.errors import RunStopped

if TYPE_CHECKING:
    from aotlab.networks.model import VOSModel


def parse(argv: list[str] | None) -> Namespace:
    """Read the command line."""
    parser = CommandParser("export", "Write a model as ONNX files.")
    size = "size of the frames (default: 854x480)"
    parser.add_argument("--size", metavar="WIDTHxHEIGHT", type=SIZE, default=(854, 480), help=size)
    objects = "objects per batch; more objects run as further batches (default: the model's identities)"
    parser.add_argument("--objects", metavar="N", type=AT_LEAST_ONE, help=objects)
    parser.add_argument(
        "--prompts",
        action="store_true",
        help="also write the prompt network: prompt_encode.onnx and prompt_masks.onnx",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="track a drawn clip with PyTorch and with the graphs; exit status 1 if their logits differ",
    )
    parser.add_argument(
        "--verify-frames", metavar="N", type=AT_LEAST_TWO, default=12, help="frames of that clip"
    )
    provider = "execution provider of onnxruntime for --verify (default: CPUExecutionProvider)"
    parser.add_argument("--provider", metavar="NAME", help=provider)
    output = parser.add_argument_group("output")
    output.add_argument("--output", metavar="DIR", type=Path, help="folder to write")
    add_shared_options(output, "--force")
    add_model_options(parser, untrained=True)
    add_memory_options(parser, bounded=False)
    args = parser.parse_args(argv)
    if args.output is None and not args.print_config:
        parser.error("--output must be given")
    args.overrides += list_overrides(args)
    return args


def check_export(args: Namespace, model: VOSModel) -> None:
    """Verify and print one line; raise `RunStopped` if graphs and model differ."""
    import torch

    from aotlab.engine.export.runtime import CPU, TOLERANCE, verify_export

    agreement = verify_export(model, args.output, frames=args.verify_frames, provider=args.provider or CPU)
    print(
        f"largest difference of logits {agreement.difference:.1e} of their spread, {agreement.equal:.4%} of the labels equal; "
        f"{agreement.exported_seconds:.3f} s per frame, PyTorch {agreement.pytorch_seconds:.3f} ({torch.get_num_threads()} threads)"
    )
    if not agreement.difference <= TOLERANCE:
        raise RunStopped(
            f"{args.output}: logits differ from PyTorch's by {agreement.difference:.1e} of their spread, expected at most "
            f"{TOLERANCE}; do not use these graphs"
        )


@command
def main(argv: list[str] | None = None) -> int:
    """Export, and verify if asked to; returns the exit status."""
    args = parse(argv)
    require_model(args.checkpoint, args.config)
    from aotlab.engine.export.graphs import (
        EXPORT_PACKAGES,
        export_model,
        require_packages,
        resolve_export_config,
    )
    from aotlab.networks.weights.checkpoints import build_or_load, read_settings

    path = read_checkpoint_option(args)
    settings = resolve_export_config(read_settings(path, config=args.config, overrides=args.overrides))
    if args.print_config:
        print_settings(settings)
        return 0
    require_packages(*EXPORT_PACKAGES, *(["onnxruntime"] if args.verify else []))
    model, config = build_or_load(path, config=args.config, overrides=args.overrides)
    identities = config.model.max_objects
    description = export_model(
        model, config, args.output, video=args.size[::-1], groups=-(-(args.objects or identities) // identities),
        prompts=args.prompts, force=args.force,
    )  # fmt: skip
    print(
        f"{args.output}: {config.name} as {len(description.sha256)} ONNX graphs for {args.size[0]}x"
        f"{args.size[1]}, up to {description.config.memory.frames} frames in long-term memory"
    )
    if args.verify:
        check_export(args, model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
