"""Paired training of several models and seeds, in turns, so that they advance evenly until the command is stopped.

``python -m research.family.train DATA OUTPUT --encoder-weights FILE``. Started again, it resumes; started twice, each
process trains another run.
"""

from __future__ import annotations

import os
import sys
from itertools import product
from pathlib import Path

import click

from aotlab.configs.load import load_config
from aotlab.configs.schema import Config
from aotlab.engine.training.listener import StepResult, TrainingListener
from aotlab.engine.training.saved_states import list_saved_states
from aotlab.engine.training.state import TrainState
from aotlab.engine.training.trainer import train
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import ExistingFolder, File, Folder, list_option, option
from aotlab.utils.distributed import join_process_group
from aotlab.utils.errors import RunStopped
from aotlab.utils.files import make_folder
from aotlab.utils.locks import InUseError

RECIPE = Path(__file__).parent / "recipes" / "first.yaml"
MODELS = ("aott", "deaott", "msdeaott")
TURN = 100
"""Steps after which another run may continue."""
KEPT = "turns"
"""Folder of the states at the ends of turns, beside that of the newest states."""


class TurnEnd(TrainingListener):
    """Stops a run, whose state is then saved, at each multiple of `TURN` steps."""

    reached = False

    def stepped(self, state: TrainState, result: StepResult) -> None:
        """Raise `RunStopped` at the end of a turn, but not of the phase."""
        if not result.skipped and state.step % TURN == 0 and state.step < state.phase.steps:
            self.reached = True
            raise RunStopped(f"a turn of {TURN} steps has ended")


def is_finished(config: Config) -> bool:
    """Return whether the weights of the last phase are written."""
    return (Path(str(config.train.output)) / f"{config.train.phases[-1].name}.safetensors").exists()


def count_steps(config: Config) -> int:
    """Return the steps of a run's newest saved state; 0 without one."""
    states = list_saved_states(Path(str(config.train.output)))
    return int(states[0].stem.rsplit("_", 1)[1]) if states else 0


def train_turn(config: Config, command_line: str) -> None:
    """Train a run to the end of its turn, whose state is kept, or of its recipe.

    Raises:
        InUseError: another process trains it.
    """
    turn, output = TurnEnd(), Path(str(config.train.output))
    try:
        with join_process_group("cpu") as world:
            train(config, world, command=command_line, listeners=[turn])
    except RunStopped:
        if not turn.reached:
            raise
        state = list_saved_states(output)[0]
        kept = make_folder(output / KEPT) / state.name
        kept.unlink(missing_ok=True)
        os.link(state, kept)


@command("python -m research.family.train")
@click.argument("data", type=ExistingFolder, metavar="DATA", help="folder of static/, davis16/, pairs/ and crossings/")
@click.argument("output", type=Folder, metavar="OUTPUT", help="folder of the runs")
@option("--encoder-weights", type=File, required=True, help="ImageNet weights of MobileNetV2")
@option("--recipe", type=File, default=RECIPE, help="file of settings (default: recipes/first.yaml)")
@list_option("--seeds", "seeds, one after the other (default: 0)", int)
def main(*, data: Path, output: Path, encoder_weights: Path, recipe: Path, seeds: tuple[int, ...]) -> int:
    """Train AOTT, DeAOTT and MSDeAOT on the same clips."""
    runs = {
        (seed, model): load_config(
            recipe,
            [f"base={model}", f"data.root={data}", f"train.seed={seed}", f"train.encoder_weights={encoder_weights}",
             f"train.output={output / f'{model}_{seed}'}"],
        )
        for seed, model in product(seeds or (0,), MODELS)
    }  # fmt: skip
    command_line = click.get_current_context().meta["command_line"]
    while unfinished := [run for run, config in runs.items() if not is_finished(config)]:
        for run in sorted(unfinished, key=lambda run: (run[0], count_steps(runs[run]))):
            try:
                train_turn(runs[run], command_line)
            except InUseError:
                continue
            break
        else:
            break  # other processes train the rest
    return 0


if __name__ == "__main__":
    sys.exit(main())
