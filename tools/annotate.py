"""Draw, track and correct masks in the browser: ``aotlab annotate video.mp4``."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from argparse import Namespace
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.tools.cli.numbers import PORT
from aotlab.tools.cli.options import (
    BYTES,
    add_device_options,
    add_memory_options,
    add_model_options,
    add_shared,
    bounded_settings,
    option_overrides,
    print_settings,
)
from aotlab.tools.cli.paths import ADDRESS, require_model, require_paths, require_source
from aotlab.tools.cli.program import INTERRUPTED, Parser, command, option
from aotlab.tools.cli.prompts import segmenter_of
from aotlab.tools.cli.surroundings import OutputLost
from aotlab.tools.cli.trackers import Loading, tracker_choice
from aotlab.utils.errors import InputError, require_extra
from aotlab.utils.text import counted

if TYPE_CHECKING:
    from aotlab.annotation.session import Session
    from aotlab.annotation.state import State

ELSEWHERE = (
    "warning: --host {host}: whoever reaches this address and has the token can see and change everything, "
    "unencrypted; ssh -L is safer"
)
LOAD_TIMEOUT = 1.0
"""timeout in seconds for a model that is being loaded at the end"""


def parse(argv: list[str] | None) -> Namespace:
    """Read the command line."""
    parser = Parser("annotate", "Draw, track and correct masks of a video in the browser.")
    option(
        parser,
        "video VIDEO",
        "a video file, a folder of frames, a TIFF stack, a project, the results of a job (aotlab track --jobs), "
        "a camera (/dev/video0), or an address (rtsp://...)",
        nargs="?",
    )
    option(parser, "--project DIR", "folder of the project (default: VIDEO.aotlab, beside the video)")
    option(parser, "--same-video", "open a project although its video's content has changed")
    option(parser, "--host", "address to listen on; 127.0.0.1: this machine only", default="127.0.0.1")
    option(parser, "--port", "port to listen on (default: any free one)", type=PORT, default=0)
    option(parser, "--no-browser", "print the address and open no browser")
    option(parser, "--cache SIZE", "memory for decoded frames", type=BYTES, default="512MB")
    option(parser, "--record", "keep all frames of a camera or address")
    add_shared(parser, "--levels", "--segmenter")
    add_model_options(parser, several="the page offers all of them")
    add_device_options(parser)
    add_shared(parser, "--depth")
    add_memory_options(parser, bounded=True)
    args = parser.parse_args(argv)
    if args.video is None and not args.print_config:
        parser.error("VIDEO must be given")
    args.checkpoint = args.checkpoint or [BUNDLED_CHECKPOINT]
    args.overrides += option_overrides(args)
    return args


def open_session(args: Namespace, leaving: ExitStack) -> Session:
    """Return the session of the video, project or stream on the command line; the first job loads the model.

    ``leaving``: receives what must be removed at the end.
    """
    from aotlab.annotation.results import job_of, open_results
    from aotlab.annotation.session import Session
    from aotlab.annotation.state import State

    segmenter = segmenter_of(args)
    path = Path(args.video)
    if ADDRESS.fullmatch(args.video) or path.is_char_device() or path.is_fifo():
        state = open_stream(args, leaving)
    elif (job := job_of(path)) is not None:
        state = open_results(path, job, project=args.project, cache_bytes=args.cache)
    else:
        state = State(
            path,
            project=args.project,
            cache_bytes=args.cache,
            levels=args.levels,
            same_video=args.same_video,
        )
    choice = tracker_choice(args)
    return Session(state, Loading(args, choice), segmenter, choice)


def open_stream(args: Namespace, leaving: ExitStack) -> State:
    """Return the state of a stream; frames are stored in the project, or in a temporary folder without --record."""
    from aotlab.annotation.live import LiveFrames
    from aotlab.annotation.state import State
    from aotlab.media.video import open_frames

    source = open_frames(args.video, levels=args.levels)
    temporary = None if args.record or args.project else tempfile.mkdtemp(prefix="aotlab-live-")
    folder = args.project or Path(temporary or ".") / f"{source.name}-{datetime.now():%Y%m%d-%H%M%S}.aotlab"
    if (folder / "project.json").exists():
        raise InputError(f"--project {folder}: already a project; choose another folder for this stream")
    if temporary is not None:
        leaving.callback(shutil.rmtree, temporary, ignore_errors=True)
    frames = LiveFrames(source, folder / "frames", record=args.record)
    return State(folder / "frames", project=folder, frames=frames)


def serve_page(session: Session, args: Namespace, leaving: ExitStack) -> None:
    """Print the address of the page and serve it until Ctrl-C."""
    from aotlab.annotation.guard import LOCAL
    from aotlab.annotation.server import Server, bind

    server = Server(session, bind(args.host, args.port), host=args.host)
    name, count = session.state.frames.name, session.state.frames.count
    print(f"{name}: {counted(count, 'frame')}, masks in {session.state.project.folder}")
    print(f"open {server.url}   (Ctrl-C ends; everything is saved)", flush=True)
    if args.host not in LOCAL:
        print(ELSEWHERE.format(host=args.host), file=sys.stderr)
    session.warm()
    loading = session.make_tracker.ahead() if isinstance(session.make_tracker, Loading) else None
    if not args.no_browser:
        _open_browser(server.url, leaving)
    try:
        server.run_here()
    finally:
        session.close()
        if loading is not None:
            _leave(loading, leaving, sys.exc_info()[1])


def _leave(loading: threading.Thread, leaving: ExitStack, error: BaseException | None) -> None:
    """End at once while a model is being loaded, with the exit status of ``error``.

    Loading may take a minute and cannot be stopped; Python would wait for it at exit, or PyTorch abort. Everything is
    saved by then.
    """
    loading.join(LOAD_TIMEOUT)
    if loading.is_alive() and (error is None or isinstance(error, SystemExit | KeyboardInterrupt)):
        leaving.close()
        with suppress(OSError, OutputLost):
            if isinstance(error, KeyboardInterrupt):
                print("interrupted", file=sys.stderr)
            sys.stdout.flush()
        status = int(error.code or 0) if isinstance(error, SystemExit) else INTERRUPTED if error else 0
        os._exit(status)
    loading.join()


def _open_browser(url: str, leaving: ExitStack) -> None:
    """Open the page in a browser, if there is one.

    The address is in a file that only this user may read, as every user of the machine can read command lines.
    """
    import webbrowser

    folder = Path(tempfile.mkdtemp(prefix="aotlab-"))
    leaving.callback(shutil.rmtree, folder, ignore_errors=True)
    file = folder / "open.html"
    with os.fdopen(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as page:
        page.write(f'<!doctype html><meta http-equiv="refresh" content="0;url={url}"><title>aotlab</title>\n')
    threading.Thread(target=webbrowser.open, args=(file.as_uri(),), daemon=True).start()


@command
def main(argv: list[str] | None = None) -> int:
    """Open the video and serve its page until Ctrl-C."""
    args = parse(argv)
    for checkpoint in args.checkpoint:
        require_model(checkpoint, args.config)
    if args.print_config:
        print_settings(bounded_settings(args.checkpoint[0], args.config, args.overrides))
        return 0
    require_source(args.video)
    require_paths(*(args.segmenter or ()))
    require_extra("ui")
    with ExitStack() as leaving:
        session = open_session(args, leaving)
        serve_page(session, args, leaving)
    return 0


if __name__ == "__main__":
    sys.exit(main())
