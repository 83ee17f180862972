"""Tracker for the VOT toolkit over TraX, with masks and any number of objects (docs/vot.md).

[aotlab]
label = AOT
protocol = trax
command = aotlab vot --checkpoint r50_aotl
"""

from __future__ import annotations

import sys

from aotlab.tools.cli.options import (
    add_device_options,
    add_memory_options,
    add_model_options,
    list_overrides,
    print_settings,
    read_bounded_settings,
)
from aotlab.tools.cli.parser import CommandParser, command, require_model
from aotlab.utils.errors import InputError, RunStopped, require_extra


@command
def main(argv: list[str] | None = None) -> int:
    """Serve until the toolkit quits; returns the exit status."""
    parser = CommandParser(
        "vot", "Track for the VOT toolkit, which starts this command as its trackers.ini says."
    )
    add_model_options(parser)
    add_device_options(parser)
    add_memory_options(parser, bounded=True)
    args = parser.parse_args(argv)
    args.overrides += list_overrides(args)
    require_model(args.checkpoint, args.config)
    if args.print_config:
        print_settings(read_bounded_settings(args.checkpoint, args.config, args.overrides))
        return 0
    require_extra("vot")
    import trax

    from aotlab.engine.benchmark.vot import COLOUR, serve
    from aotlab.engine.tracking.tracker import Tracker

    tracker = Tracker.from_checkpoint(
        args.checkpoint, config=args.config, overrides=args.overrides, device=args.device
    )
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
