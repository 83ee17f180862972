"""Costs, identities and attention of a model.

``aotlab inspect_model --config r50_deaotl --parameters``
``aotlab inspect_model --identities identities.png``
``aotlab inspect_model --attention video.mp4 --mask first.png --frame 20 --object 1 --output attention``
"""

from __future__ import annotations

import json
import re
import sys
from argparse import Namespace
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from aotlab.tools.cli.numbers import MEMORY_FRAMES, NOT_NEGATIVE, OBJECTS
from aotlab.tools.cli.options import SIZE, add_model_options, add_shared, checkpoint_of, print_settings
from aotlab.tools.cli.paths import require_model, require_new, require_paths
from aotlab.tools.cli.program import Parser, argument_type, command, option
from aotlab.utils.errors import InputError
from aotlab.utils.files import PLOT_SUFFIXES, require_output, require_writable, write_text
from aotlab.utils.text import columns

COUNTED = (
    "FLOPs are those of one tracked frame: it is encoded once, what depends on objects runs for every group of them, "
    "and its masks are memorised. A multiplication and its addition count as 2. Matrix products, convolutions and "
    "attention count, as this project computes them, padding included; norms, softmax, activations, resizing and sums "
    "do not."
)


def parse(argv: list[str] | None) -> Namespace:
    """Read the command line."""
    parser = Parser("inspect_model", "Look inside a model.", epilog=COUNTED)
    what = parser.add_mutually_exclusive_group()
    option(what, "--card", "print how the weights were trained: data, phases, hours, commands")
    option(what, "--parameters", "print parameters and FLOPs of every part")
    option(what, "--identities FILE.png", "plot the similarity of each stage's identities", type=Path)
    attention = "draw the attention to long- and short-term memory in every block, on a video or image folder"
    option(what, "--attention VIDEO", attention, type=Path)
    output = "with --parameters a JSON file to write, with --attention a folder"
    option(parser, "--output PATH", output, type=Path)
    add_shared(parser, "--force")
    group = parser.add_argument_group("with --parameters")
    size = "size of the frame before it is resized for the network (default: 854x480)"
    option(group, "--size WIDTHxHEIGHT", size, type=SIZE, default=(854, 480))
    option(group, "--objects N", "tracked objects", type=OBJECTS, default=1)
    option(group, "--stored-frames N", "frames in long-term memory", type=MEMORY_FRAMES, default=1)
    add_attention_options(parser)
    add_model_options(parser, untrained=True)
    args = parser.parse_args(argv)
    if args.attention is not None:
        needed = {"--mask": args.mask, "--frame": args.frame, "--output": args.output}
        missing = [name for name, value in needed.items() if value is None]
        if args.pixel is None and args.object is None:
            missing.append("--pixel or --object")
        if missing:
            parser.error(f"--attention needs {', '.join(missing)}")
    elif not (args.print_config or args.card or args.parameters or args.identities is not None):
        parser.error("one of --card, --parameters, --identities and --attention must be given")
    return args


def add_attention_options(parser: Parser) -> None:
    """Add the options that choose the attention to draw."""
    group = parser.add_argument_group("with --attention")
    option(group, "--mask FILE", "PNG of object ids for the first frame")
    option(group, "--frame N", "frame whose attention is drawn, counted from 0", type=NOT_NEGATIVE)
    whose = group.add_mutually_exclusive_group()
    option(whose, "--pixel X,Y", "pixel whose attention is drawn", type=argument_type(pixel))
    option(whose, "--object ID", "object whose attention is drawn", type=OBJECTS)
    add_shared(group, "--device")


def pixel(text: str) -> tuple[int, int]:
    """Return (x, y) of "120,80"."""
    match = re.fullmatch("([0-9]{1,5}),([0-9]{1,5})", text)
    if match is None:
        raise InputError(f"{text[:40]}: expected two numbers like 854,480")
    return int(match[1]), int(match[2])


def show_identities(args: Namespace) -> None:
    """Plot the similarity of the identities."""
    from aotlab.engine.inspection.attention import identity_similarity
    from aotlab.engine.inspection.images import draw_similarity
    from aotlab.networks.weights.checkpoints import build_or_load

    require_output(args.identities, *PLOT_SUFFIXES)
    require_new(args.identities, force=args.force)
    model, config = build_or_load(checkpoint_of(args), config=args.config, overrides=args.overrides)
    draw_similarity(identity_similarity(model), config.name, args.identities)
    print(args.identities)


def show_card(checkpoint: Path | None) -> None:
    """Print how the weights were trained."""
    from aotlab.networks.weights.checkpoints import read_card
    from aotlab.networks.weights.model_card import describe_card

    if checkpoint is None:
        raise InputError("--card: a preset has no trained weights; give a file by --checkpoint")
    card = read_card(checkpoint)
    if card is None:
        raise InputError(f"{checkpoint}: holds no model card; files that `aotlab train` writes do")
    print(describe_card(card), end="")


def show_costs(args: Namespace) -> None:
    """Print the table of costs, and write it."""
    from aotlab.engine.inspection.costs import PartCost, model_costs
    from aotlab.networks.preprocess import network_size
    from aotlab.networks.weights.checkpoints import read_settings

    if args.output is not None:
        require_output(args.output)
    require_new(args.output, force=args.force)
    width, height = args.size
    config = read_settings(checkpoint_of(args), config=args.config, overrides=args.overrides)
    size = network_size((height, width), config.input, align_corners=config.model.align_corners)
    parts = model_costs(config.model, size, objects=args.objects, frames=args.stored_frames)
    parts.append(PartCost("total", sum(part.parameters for part in parts), sum(part.flops for part in parts)))
    print(
        f"{config.name}, {width}x{height} ({size[1]}x{size[0]} in the network), {args.objects} object(s), "
        f"{args.stored_frames} frame(s) in long-term memory"
    )
    rows = [(part.name, f"{part.parameters:,}", f"{part.flops / 1e9:.2f}") for part in parts]
    for row in columns([("", "parameters", "GFLOP a frame"), *rows], right=1):
        print("  ".join(row))
    if args.output is not None:
        report = {
            "config": config.name, "frame": [width, height], "network": [size[1], size[0]], "objects": args.objects,
            "memory_frames": args.stored_frames, "parts": [asdict(part) for part in parts],
        }  # fmt: skip
        write_text(args.output, json.dumps(report, indent=1))


def show_attention(args: Namespace) -> None:
    """Draw the attention of a pixel or an object into the output folder."""
    require_paths(args.attention, args.mask)
    from aotlab.engine.inspection.attention import inspect_attention
    from aotlab.engine.inspection.images import draw_attention, shown_frames
    from aotlab.engine.tracker import Tracker
    from aotlab.media.masks import read_mask
    from aotlab.media.video import open_frames
    from aotlab.networks.weights.checkpoints import build_or_load

    source = open_frames(args.attention)
    mask = read_mask(args.mask, size=source.size)
    require_writable(args.output)
    model, config = build_or_load(checkpoint_of(args), config=args.config, overrides=args.overrides)
    tracker = Tracker(model, config, device=args.device)
    whose = args.object if args.pixel is None else args.pixel
    report = inspect_attention(tracker, source, mask, frame=args.frame, query=whose)
    wanted = shown_frames(report)
    frames = {n: frame for n, frame in enumerate(islice(source, args.frame + 1)) if n in wanted}
    asked = f"object_{whose}" if args.pixel is None else f"pixel_{whose[0]}_{whose[1]}"
    image = args.output / f"{source.stem(args.frame)}_{asked}.png"
    require_new(image, force=args.force)
    draw_attention(report, frames, image, align_corners=config.model.align_corners)
    print(image)


@command
def main(argv: list[str] | None = None) -> int:
    """Run the requested inspection; return the exit status."""
    args = parse(argv)
    require_model(args.checkpoint, args.config)
    if args.print_config:
        from aotlab.networks.weights.checkpoints import read_settings

        print_settings(read_settings(checkpoint_of(args), config=args.config, overrides=args.overrides))
    elif args.card:
        show_card(checkpoint_of(args))
    elif args.parameters:
        show_costs(args)
    elif args.identities:
        show_identities(args)
    else:
        show_attention(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
