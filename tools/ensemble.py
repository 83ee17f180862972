"""Combine several sets of results by weighted voting in every pixel; needs no model.

aotlab ensemble results/a results/b results/c --weights 2 1 1 --output results/voted

Between ids of equal weight, the one in the folder listed first wins. Averaging the probabilities of several models or
views is more accurate than voting: see aotlab eval.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aotlab.tools.cli.options import add_shared_options
from aotlab.tools.cli.parser import CommandParser, command, report_failures, require_new_output, require_paths
from aotlab.utils.errors import InputError, require_extra
from aotlab.utils.files import real_path, require_writable
from aotlab.utils.numbers import format_count
from aotlab.utils.progress import progress_bar


@command
def main(argv: list[str] | None = None) -> int:
    """Vote; returns 0, or 1 if a sequence could not be voted on."""
    parser = CommandParser("ensemble", "Combine several sets of results by weighted voting.")
    parser.add_argument(
        "results",
        metavar="DIR",
        type=Path,
        nargs="+",
        help="folders with <sequence>/<frame>.png, the best first",
    )
    parser.add_argument(
        "--weights", metavar="W", nargs="+", help="weight of each folder (default: all equal)"
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, required=True, help="folder for the voted results"
    )
    add_shared_options(parser, "--force")
    args = parser.parse_args(argv)
    if len(args.results) < 2:
        parser.error("give at least two folders of results")
    require_paths(*args.results)
    require_extra("score")
    from aotlab.engine.benchmark.voting import list_sequences, to_integer_weights, vote_sequence

    weights = to_integer_weights(args.weights or [], len(args.results))
    if real_path(args.output) in [real_path(folder) for folder in args.results]:
        raise InputError(f"--output {args.output}: one of the results themselves; choose another folder")
    require_new_output(args.output, force=args.force)
    names = sorted({name for folder in args.results for name in list_sequences(folder)})
    require_writable(args.output)
    frames, failures = 0, {}
    with progress_bar(len(names), unit="sequence") as bar:
        for name in names:
            try:
                frames += vote_sequence(name, args.results, weights, args.output)
            except InputError as error:
                failures[name] = str(error)
            bar.update()
    done = format_count(len(names) - len(failures), "sequence")
    print(f"{format_count(frames, 'frame')} of {done} in {args.output}")
    return report_failures(failures)


if __name__ == "__main__":
    sys.exit(main())
