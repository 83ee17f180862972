"""Tracker for the VOT toolkit over TraX, with masks and any number of objects (docs/vot.md).

[aotlab]
label = AOT
protocol = trax
command = aotlab vot --checkpoint r50_aotl
"""

from __future__ import annotations

import sys
from argparse import Namespace

from aotlab.tools.cli.command import command
from aotlab.tools.cli.options import (
    device_options,
    list_overrides,
    memory_options,
    model_options,
    print_settings,
    read_bounded_settings,
    settings,
)
from aotlab.utils.errors import InputError, RunStopped, require_extra


@command("aotlab vot", "Track for the VOT toolkit, which starts this command as its trackers.ini says.")
@settings
@model_options()
@device_options
@memory_options(bounded=True)
def main(args: Namespace) -> int:
    """Serve until the toolkit quits; returns the exit status."""
    args.overrides += list_overrides(args)
    if args.print_config:
        print_settings(read_bounded_settings(args.checkpoint, args.config, args.overrides))
        return 0
    require_extra("vot")
    import trax

    from aotlab.engine.benchmark.vot import COLOUR, serve
    from aotlab.engine.tracking.tracker import Tracker

    tracker = Tracker.from_pretrained(
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
