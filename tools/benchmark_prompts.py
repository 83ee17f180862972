"""J after a box and after clicks: ``aotlab benchmark-prompts DATA``."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.tools.cli.options import add_checkpoint_option, add_shared
from aotlab.tools.cli.parser import (
    AT_LEAST_ONE,
    CommandParser,
    command,
    require_model,
    require_new,
    require_paths,
)
from aotlab.utils.errors import InputError
from aotlab.utils.files import require_output

if TYPE_CHECKING:
    from aotlab.prompts.benchmark import Case


def parse(argv: list[str] | None) -> Namespace:
    """Read the command line."""
    parser = CommandParser("benchmark-prompts", "Measure masks from a box and from simulated clicks.")
    parser.add_argument(
        "data", metavar="DATA", type=Path, help="folder with JPEGImages and Annotations, or of training sets"
    )
    parser.add_argument(
        "--list", metavar="FILE", type=Path, help="names of folders to read, one a line (default: all)"
    )
    parser.add_argument(
        "--every-frame", action="store_true", help="all annotated frames (default: the first of each folder)"
    )
    held_out = "N objects of training sets that configs/recipes/prompts.yaml holds out of training"
    parser.add_argument("--held-out", metavar="N", type=AT_LEAST_ONE, help=held_out)
    parser.add_argument(
        "--clicks", metavar="N", type=AT_LEAST_ONE, default=20, help="most clicks per object (default: 20)"
    )
    add_checkpoint_option(parser)
    parser.add_argument("--baselines", action="store_true", help="also measure GrabCut and an ellipse")
    parser.add_argument(
        "--shuffle", action="store_true", help="give each object the prompts of another (negative control)"
    )
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="JSON file with the results of every object"
    )
    add_shared(parser, "--force", "--segmenter")
    return parser.parse_args(argv)


def _cases(args: Namespace) -> list[Case]:
    from aotlab.configs.prompts import load_prompt_training
    from aotlab.prompts.benchmark import held_out_cases, read_cases

    if args.held_out:
        return list(held_out_cases(args.data, load_prompt_training().sources, args.held_out))
    names = args.list.read_text().split() if args.list else []
    return list(read_cases(args.data, names, every_frame=args.every_frame))


@command
def main(argv: list[str] | None = None) -> int:
    """Measure every method on every object and print one table."""
    args = parse(argv)
    require_paths(args.data, args.list, *(args.segmenter or ()))
    require_model(args.checkpoint, None)
    if args.output is not None:
        require_output(args.output, ".json")
    require_new(args.output, force=args.force)
    from aotlab.prompts.benchmark import BASELINES, Result, measure, rows_of, table_of
    from aotlab.prompts.segmenter import load_segmenter
    from aotlab.utils.progress import progress_bar

    cases = _cases(args)
    if len(cases) < 1 + args.shuffle:
        raise InputError(f"{args.data}: {len(cases)} annotated objects; nothing to measure")
    methods = {
        "ONNX" if args.segmenter else "model": load_segmenter(args.segmenter, checkpoint=args.checkpoint)
    }
    methods |= BASELINES if args.baselines else {}
    others = [*cases[1:], cases[0]] if args.shuffle else [None] * len(cases)
    results: dict[str, list[Result]] = {name: [] for name in methods}
    with progress_bar(len(methods) * len(cases), unit="object") as bar:
        for name, segmenter in methods.items():
            for case, other in zip(cases, others, strict=True):
                results[name].append(measure(segmenter, case, limit=args.clicks, other=other))
                bar.update()
    print(table_of({name: rows_of(found, args.clicks) for name, found in results.items()}))
    if args.output is not None:
        listed = {name: [asdict(result) for result in found] for name, found in results.items()}
        args.output.write_text(json.dumps(listed, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
