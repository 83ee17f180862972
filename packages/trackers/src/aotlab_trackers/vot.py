"""Tracker for the VOT toolkit over TraX, with masks and any number of objects (docs/vot.md).

[aotlab]
label = AOT
protocol = trax
command = aotlab vot --checkpoint r50_aotl
"""

from __future__ import annotations

from pathlib import Path

from aotlab.tools.cli.command import command
from aotlab.tools.cli.options import print_settings, settings, tracker_options
from aotlab.utils.errors import EXTRAS, InputError, RunStopped

EXTRAS["trax"] = "./packages/trackers[vot]"


@command("aotlab vot")
@settings
@tracker_options()
def main(
    *, checkpoint: str | Path, config: str | None, overrides: tuple[str, ...], strict: bool, device: str,
    print_config: bool,
) -> int:  # fmt: skip
    from aotlab import TrackerOptions
    from aotlab.utils.plugins import find_tracker_plugin

    options = TrackerOptions(checkpoint, config, overrides, device)
    if print_config:
        return print_settings(options.read_settings())
    if strict:
        options.require_trained_code()
    import trax

    from aotlab_trackers.vot_session import COLOR, serve

    tracker = options.load()
    formats = ([trax.Region.MASK], [trax.Image.PATH], [COLOR])
    family = find_tracker_plugin(checkpoint) or "AOT"
    server = trax.Server(*formats, tracker_name="aotlab", tracker_family=family, multiobject=True)
    try:
        serve(server, tracker, trax.Mask.create)
    except InputError as error:
        server.quit(reason=str(error))
        raise
    except trax.TraxException as error:
        raise RunStopped(f"the toolkit closed the connection ({error}); see its messages") from error
    server.quit()
    return 0
