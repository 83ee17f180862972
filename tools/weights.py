"""Published weights by name: ``aotlab weights list``, ``get r50_deaotl``, ``path r50_deaotl``, ``verify``."""

from __future__ import annotations

import sys

from aotlab.tools.cli.program import Parser, command, option
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file
from aotlab.utils.text import columns

SCORES = {"youtube_vos_2019": "YouTube-VOS 2019", "davis_2017": "DAVIS 2017"}


def listed() -> str:
    """Return the table of names, published scores, and which are stored."""
    from aotlab.networks.weights.zoo import published_weights, weights_folder

    rows = [["name", "published as", "M parameters", *SCORES.values(), "here"]]
    for name, entry in published_weights().items():
        here = "yes" if is_file(weights_folder() / f"{name}.safetensors") else ""
        scores = [f"{entry.scores[key]:.1f}" if key in entry.scores else "" for key in SCORES]
        rows.append([name, entry.title, f"{entry.parameters:.1f}", *scores, here])
    lines = ["  ".join(row).rstrip() for row in columns(rows)]
    return "\n".join([*lines, f"kept in {weights_folder()}; scores are the published ones"])


def require_fetched(name: str) -> str:
    """Return the path of stored weights; raise `InputError` if they are not stored."""
    from aotlab.networks.weights.zoo import weights_path

    path = weights_path(name)
    if path is None:
        raise InputError(f"{name}: not fetched yet; run aotlab weights get {name}")
    return str(path)


def verify(names: list[str]) -> int:
    """Verify the digests of stored files; return 1 if one was changed."""
    from aotlab.networks.weights.zoo import published_weights, weights_folder, weights_path

    is_file(weights_folder() / "any")  # a folder that cannot be is one sentence, not one of every name
    status = 0
    for name in names or published_weights():
        try:
            path = weights_path(name)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            status = 1
            continue
        if path is not None:
            print(f"{name}: as stored")
        elif names:
            print(f"error: {name}: not fetched yet; run aotlab weights get {name}", file=sys.stderr)
            status = 1
    return status


@command
def main(argv: list[str] | None = None) -> int:
    """List, fetch, locate or verify weights; return 1 if verify finds a changed file."""
    parser = Parser("weights", "List, fetch and check the published AOT and DeAOT checkpoints.")
    parser.add_argument("action", nargs="?", default="list", choices=["list", "get", "path", "verify"])
    option(parser, "names NAME", "name of the list; verify without a name checks all", nargs="*")
    source = "get: a URL, a file, or hf://owner/repository[/file] instead of Google Drive"
    option(parser, "--from SOURCE", source, dest="source")
    option(parser, "--force", "get: download again and replace the file")
    args = parser.parse_args(argv)
    if args.action in ("get", "path") and not args.names:
        parser.error(f"{args.action} needs a NAME; aotlab weights list shows them")
    if args.source and len(args.names) != 1:
        parser.error("--from is for one NAME")
    if args.action == "list":
        print(listed())
    elif args.action == "get":
        from aotlab.networks.weights.zoo import get_weights

        for name in args.names:
            print(get_weights(name, source=args.source, overwrite=args.force))
    elif args.action == "path":
        for name in args.names:
            print(require_fetched(name))
    else:
        return verify(args.names)
    return 0


if __name__ == "__main__":
    sys.exit(main())
