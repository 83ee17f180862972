"""Weights by name: ``aotlab weights list``, ``get r50_deaotl``, ``show bundled``."""

from __future__ import annotations

import click
from click import UsageError

from aotlab.tools.cli.command import COMMANDS, CommandGroup
from aotlab.tools.cli.options import plugin_files
from aotlab.tools.cli.types import flag, option
from aotlab.utils.errors import InputError
from aotlab.utils.text import align_columns

SCORE_TITLES = {"youtube_vos_2019": "YouTube-VOS 2019", "davis_2017": "DAVIS 2017"}


def describe_weights(name: str) -> str:
    """Return the settings, parameters, FLOPs and training of a checkpoint or preset as text."""
    from aotlab.configs.files import list_presets
    from aotlab.engine.training.model_card import describe_card, load_card
    from aotlab.networks.weights import zoo
    from aotlab.networks.weights.checkpoints import read_settings
    from aotlab.prompting.weights import is_prompt_network, load_prompt_network
    from aotlab.tools.cli.model_report import describe_model

    file = zoo.find_weights(name) if name in zoo.list_published_weights() else None
    path = file or (None if name in list_presets() else zoo.resolve_checkpoint(name))
    card = None if path is None else load_card(path)
    if path is not None and is_prompt_network(path):
        network = load_prompt_network(path)
        parameters = sum(weight.numel() for weight in network.parameters()) / 1e6
        text = f"prompt network: encoder {network.config.encoder}, {parameters:.2f} M parameters"
    else:
        text = "\n".join(describe_model(read_settings(path, config=name if path is None or file else None)))
    return f"{text}\n\n{describe_card(card)}" if card else f"{text}\n"


def describe_trackers() -> list[list[str]]:
    """Return names and descriptions of the trackers that plug-ins offer, or why one does not load."""
    from aotlab.utils.plugins import TRACKER_PLUGINS, find_plugin, list_plugin_names

    rows = []
    for name in list_plugin_names(TRACKER_PLUGINS):
        try:
            description = getattr(find_plugin(TRACKER_PLUGINS, name), "descriptions", {}).get(name, "")
        except InputError as error:
            description = str(error)
        rows.append([name, description])
    return rows


@click.group("aotlab weights", CommandGroup, help=COMMANDS["weights"], invoke_without_command=True)
@click.pass_context
def main(ctx: click.Context) -> int:
    return ctx.invoke(show_list) if ctx.invoked_subcommand is None else 0


names_argument = click.argument("names", metavar="NAME...", nargs=-1, required=True, help="name in `aotlab weights`")


@main.command("list")
def show_list() -> int:
    """List names, published scores, and which are stored; then the trackers of plug-ins (default)."""
    from aotlab.networks.weights import zoo

    rows = [["name", "published as", "M parameters", *SCORE_TITLES.values(), "here"]]
    for name, entry in zoo.list_published_weights().items():
        here = "yes" if zoo.find_weights(name) else ""
        scores = [f"{entry.scores[key]:.1f}" if key in entry.scores else "" for key in SCORE_TITLES]
        rows.append([name, entry.title, f"{entry.parameters:.1f}", *scores, here])
    print(*align_columns(rows), sep="\n")
    print(f"stored in {zoo.weights_folder()}; scores are the published ones")
    if trackers := describe_trackers():
        print("\ntrackers of plug-ins for --checkpoint; their weights are downloaded on first use:")
        print(*align_columns(trackers), sep="\n")
    return 0


@main.command("get")
@names_argument
@option("--from", "source", metavar="SOURCE", help="URL, file or hf://owner/repository[/file] instead of Google Drive")
@flag("--force", "download again and replace the file")
def get_weights(names: tuple[str, ...], *, source: str | None, force: bool) -> int:
    """Download weights and print their paths."""
    if source and len(names) != 1:
        raise UsageError("--from: takes exactly one NAME")
    from aotlab.networks.weights import zoo

    for name in names:
        print(zoo.download_weights(name, source=source, overwrite=force))
    return 0


@main.command("show")
@click.argument(
    "names", metavar="NAME...", nargs=-1, required=True, help="name in `aotlab weights`, a file, or a preset"
)
@plugin_files
def show(names: tuple[str, ...]) -> int:
    """Show the training, parameters and FLOPs of checkpoints."""
    for name in names:
        print(describe_weights(name), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
