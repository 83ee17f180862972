"""Tracker for the VOT toolkit over TraX, with masks and any number of objects (docs/vot.md).

[aotlab]
label = AOT
protocol = trax
command = aotlab vot --checkpoint r50_aotl
"""

from __future__ import annotations

import sys

from aotlab.tools.cli.options import (
    add_tracker_options,
    read_tracker_options,
)
from aotlab.tools.cli.parser import CommandParser, command, require_model
from aotlab.utils.errors import InputError, RunStopped
from aotlab.utils.extras import require_extra


@command
def main(argv: list[str] | None = None) -> int:
    """Serve until the toolkit quits; returns the exit status."""
    parser = CommandParser(
        "vot", "Track for the VOT toolkit, which starts this command as its trackers.ini says."
    )
    add_tracker_options(parser)
    args = parser.parse_args(argv)
    require_model(args.checkpoint, args.config)
    options = read_tracker_options(args)
    if args.print_config:
        print(options.settings_as_yaml(), end="")
        return 0
    require_extra("vot")
    import trax

    from aotlab.engine.evaluation.vot import COLOUR, serve

    tracker = options.load()
    server = trax.Server(
        [trax.Region.MASK],
        [trax.Image.PATH],
        [COLOUR],
        tracker_name="aotlab",
        tracker_family="AOT",
        multiobject=True,
    )
    try:
        serve(server, tracker, trax.Mask.create)
    except InputError as error:
        server.quit(reason=str(error))
        raise
    except trax.TraxException as error:
        raise RunStopped(f"the toolkit closed the connection ({error}); see its messages") from error
    server.quit()
    return 0


if __name__ == "__main__":
    sys.exit(main())
