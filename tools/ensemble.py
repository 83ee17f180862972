"""Combine several sets of results by weighted voting in every pixel; needs no model.

aotlab ensemble results/a results/b results/c --weights 2,1,1 --output results/voted

Between ids of equal weight, the one in the folder listed first wins. Averaging the probabilities of several models or
views is more accurate than voting: see aotlab eval.
"""

from __future__ import annotations

from pathlib import Path

import click
from click import UsageError

from aotlab.tools.cli.command import command, report_failures
from aotlab.tools.cli.options import force_results
from aotlab.tools.cli.types import ExistingFolder, Folder, list_option, number_type, option
from aotlab.utils.errors import InputError
from aotlab.utils.locks import locked_output
from aotlab.utils.numbers import Range
from aotlab.utils.progress import progress_bar
from aotlab.utils.text import format_count

VoteWeight = number_type(Range(0.001, 1e6))


@command("aotlab ensemble")
@click.argument(
    "results",
    metavar="RESULTS...",
    type=ExistingFolder,
    nargs=-1,
    required=True,
    help="folders with <sequence>/<frame>.png, in order of preference",
)
@list_option("--weights", "weight of each folder, comma-separated (default: 1)", VoteWeight.read)
@option("--output", type=Folder, required=True, help="folder for the voted results")
@force_results
def main(results: tuple[Path, ...], *, weights: tuple[float, ...], output: Path, force: bool) -> int:
    if weights and len(weights) != len(results):
        weight_count = format_count(len(weights), "weight")
        raise UsageError(f"--weights: {weight_count} for {len(results)} folders; give one for each")
    from aotlab.evaluation.results import VotedResults
    from aotlab.evaluation.voting import fingerprint_results, list_sequences, vote_sequence

    votes = [round(1000 * weight) for weight in weights] or [1] * len(results)  # ties of integers are exact
    if any(output.resolve().is_relative_to(folder.resolve()) for folder in results):
        raise UsageError(f"--output {output}: inside one of the results; choose another folder")
    names = sorted({name for folder in results for name in list_sequences(folder)})
    given = weights or (1.0,) * len(results)
    inputs = {"results": [*map(fingerprint_results, results)], "weights": [*given]}
    voted = VotedResults(folder=output, inputs=inputs, sequences=sorted({name.partition("/")[0] for name in names}))
    frames, failures = 0, {}
    with locked_output(output), progress_bar(len(names), unit="sequence") as bar:
        voted = voted.open(force=force)
        finished = {entry["sequence"]: entry["frames"] for entry in voted.entries}
        if voted.is_new:
            voted.start()
        for name in names:
            try:
                if name not in finished:
                    voted.require_no_link(name)
                    finished[name] = vote_sequence(name, results, votes, output)
                    voted.add({"sequence": name, "frames": finished[name]})
                frames += finished[name]
            except InputError as error:
                failures[name] = str(error)
            bar.update()
    if frames:
        sequences = format_count(len(names) - len(failures), "sequence")
        print(f"{format_count(frames, 'frame')} of {sequences} in {output}")
    return report_failures(failures)


if __name__ == "__main__":
    raise SystemExit(main())
