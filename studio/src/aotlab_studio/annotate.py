"""Draw, track and correct masks of a video or a batch in the browser: ``aotlab annotate video.mp4``."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from argparse import Namespace
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click import UsageError

from aotlab import InputError
from aotlab.sdk import Bytes, command, load_segmenter, read_tracker_options, tracker_options, video_argument

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from aotlab_studio.server.batch import Batch
    from aotlab_studio.server.session import Segmenter, Session
    from aotlab_studio.tracking.models import TrackerLoader

HOST_WARNING = (
    "warning: --host {host}: whoever reaches this address and has the token can see and change everything, "
    "unencrypted; ssh -L is safer"
)
LOAD_TIMEOUT = 1.0
"""seconds to wait at the end for a model that is being loaded"""
INTERRUPTED = 130
"""exit status after Ctrl-C"""


def open_session(args: Namespace) -> Session:
    """Return the session of the video or project on the command line; the first job loads the model."""
    from aotlab_studio.document.document import Document
    from aotlab_studio.document.results import open_results, read_job
    from aotlab_studio.server.session import Session
    from aotlab_studio.tracking.models import TrackerLoader

    segmenter = _load_segmenter(args)
    path = Path(args.video[0])
    if "://" in args.video[0] or path.is_char_device() or path.is_fifo():
        raise InputError("VIDEO: a stream; record it to a file first, or track it with aotlab track")
    if (job := read_job(path)) is not None:
        document = open_results(
            path, job, project=args.project, cache_bytes=args.cache, same_video=args.same_video
        )
    else:
        document = Document.open(
            path, project=args.project, cache_bytes=args.cache, levels=args.levels, same_video=args.same_video
        )
    loader = TrackerLoader(read_tracker_options(args), args.checkpoint)
    return Session(document, loader, segmenter, loader.choice)


def open_batch(args: Namespace, loader: TrackerLoader) -> Batch:
    """Return the videos of the batch on the command line, which share a model and a segmenter."""
    from aotlab_studio.document.document import Document
    from aotlab_studio.document.results import open_results, read_job
    from aotlab_studio.server.batch import Batch
    from aotlab_studio.server.session import Session

    if args.project is not None:
        raise InputError(
            f"--project {args.project}: a batch has a project next to each of its results; leave it out"
        )
    segmenter = _load_segmenter(args)

    def open_clip(path: Path, project: Path) -> Session:
        job = read_job(path)
        if job is None:
            document = Document.open(
                path, project=project, cache_bytes=args.cache, levels=args.levels, same_video=args.same_video
            )
        else:
            document = open_results(
                path, job, project=project, cache_bytes=args.cache, same_video=args.same_video
            )
        return Session(document, lambda: loader().fresh(), segmenter, loader.choice)

    return Batch(Path(args.video[0]), open_clip)


def _load_segmenter(args: Namespace) -> Segmenter | None:
    tracker = read_tracker_options(args)
    return load_segmenter(
        args.segmenter, plugin=args.segmenter_plugin, checkpoint=tracker.checkpoint, device=tracker.device
    )


def serve_session(args: Namespace, cleanup: ExitStack) -> None:
    """Serve the page of the video on the command line until Ctrl-C."""
    from aotlab_studio.server.app import build_app
    from aotlab_studio.server.guard import LOCAL_HOSTS
    from aotlab_studio.tracking.models import TrackerLoader

    session = open_session(args)
    session.shared = args.host not in LOCAL_HOSTS
    frames = session.document.frames
    unit = "frame" if frames.count == 1 else "frames"
    title = f"{frames.name}: {frames.count} {unit}, masks in {session.document.folder}"
    session.prefetch()
    session.runner.wake()
    loader = session.make_tracker if isinstance(session.make_tracker, TrackerLoader) else None
    serve_app(build_app(session), args, cleanup, title=title, loader=loader, close=session.close)


def serve_batch(args: Namespace, cleanup: ExitStack) -> None:
    """Serve the list and the pages of the batch on the command line until Ctrl-C."""
    from aotlab_studio.server.batch import build_batch_app
    from aotlab_studio.tracking.models import TrackerLoader

    loader = TrackerLoader(read_tracker_options(args), args.checkpoint)
    batch = open_batch(args, loader)
    title = f"{batch.folder}: {len(batch.list_clips())} videos"
    serve_app(build_batch_app(batch), args, cleanup, title=title, loader=loader, close=batch.close)


def serve_app(
    app: ASGIApp,
    args: Namespace,
    cleanup: ExitStack,
    *,
    title: str,
    loader: TrackerLoader | None,
    close: Callable[[], None],
) -> None:
    """Print the address of an application and serve it until Ctrl-C.

    Args:
        title: first printed line.
        loader: loads the model meanwhile.
        close: called at the end.
    """
    from aotlab_studio.server.app import Server, bind_socket
    from aotlab_studio.server.guard import LOCAL_HOSTS

    loading = None
    try:
        server = Server(app, bind_socket(args.host, args.port), host=args.host)
        print(title)
        print(f"open {server.url}   (Ctrl-C ends; everything is saved)", flush=True)
        if args.host not in LOCAL_HOSTS:
            print(HOST_WARNING.format(host=args.host), file=sys.stderr)
        loading = loader.preload() if loader is not None else None
        if not args.no_browser:
            _open_browser(server.url, cleanup)
        server.run_on_socket()
    finally:
        close()
        if loading is not None:
            _exit_while_loading(loading, cleanup, sys.exc_info()[1])


def _exit_while_loading(loading: threading.Thread, cleanup: ExitStack, error: BaseException | None) -> None:
    """End at once while a model is being loaded, with the exit status of ``error``.

    Loading may take a minute and cannot be stopped; Python would wait for it at exit, or PyTorch abort. Everything is
    saved by then.
    """
    loading.join(LOAD_TIMEOUT)
    if loading.is_alive() and (error is None or isinstance(error, SystemExit | KeyboardInterrupt)):
        cleanup.close()
        with suppress(Exception):  # a closed standard output
            if isinstance(error, KeyboardInterrupt):
                print("interrupted", file=sys.stderr)
            sys.stdout.flush()
        status = int(error.code or 0) if isinstance(error, SystemExit) else INTERRUPTED if error else 0
        os._exit(status)
    loading.join()


def _open_browser(url: str, cleanup: ExitStack) -> None:
    """Open the page in a browser, if there is one.

    The address is in a file that only this user may read, as every user of the machine can read command lines.
    """
    import webbrowser

    folder = Path(tempfile.mkdtemp(prefix="aotlab-"))
    cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
    file = folder / "open.html"
    with os.fdopen(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as page:
        page.write(f'<!doctype html><meta http-equiv="refresh" content="0;url={url}"><title>aotlab</title>\n')
    threading.Thread(target=webbrowser.open, args=(file.as_uri(),), daemon=True).start()


@command("aotlab annotate", "Draw, track and correct masks of a video in the browser.")
@video_argument(
    "[VIDEO]",
    "a video file, a folder of frames, a TIFF stack, a folder of videos, a project, or results of aotlab track --jobs "
    "(all, or of one video)",
)
@click.option(
    "--project",
    metavar="DIR",
    type=Path,
    help="folder of the project (default: VIDEO.aotlab, next to the video)",
)
@click.option("--same-video", is_flag=True, help="open a project although its video's content has changed")
@click.option(
    "--host",
    default="127.0.0.1",
    help="address to listen on; 127.0.0.1: this machine only (default: 127.0.0.1)",
)
@click.option("--port", type=int, help="port to listen on (default: 8419, or a free one if it is taken)")
@click.option("--no-browser", is_flag=True, help="print the address and open no browser")
@click.option(
    "--cache", metavar="SIZE", type=Bytes, default="512MB", help="memory for decoded frames (default: 512MB)"
)
@click.option(
    "--levels",
    metavar="auto|LOW,HIGH",
    help="intensity range shown as black to white in all frames of an image folder or TIFF stack "
    "(default: 8-bit images unchanged, others auto)",
)
@click.option(
    "--segmenter",
    metavar="ENCODER DECODER",
    nargs=2,
    type=Path,
    help="SAM-like ONNX model for masks from boxes and clicks (default: the checkpoint's own)",
)
@click.option("--segmenter-plugin", metavar="NAME", help="segmenter of an installed package")
@tracker_options(several="the page offers all of them")
def main(args: Namespace) -> int:
    """Open the video and serve its page until Ctrl-C.

    Raises:
        InputError: a file cannot be opened, or the address cannot be listened on.
    """
    if args.print_config:
        print(read_tracker_options(args).settings_as_yaml(), end="")
        return 0
    if len(args.video) != 1:
        raise UsageError(f"{' '.join(args.video[1:]) or 'VIDEO'}: give one video, or the results of several")
    for path in (*args.checkpoint, *(args.segmenter or ())):
        if not path.exists():
            raise InputError(f"{path}: no such file; give a checkpoint, or a name of `aotlab weights`")
    from aotlab_studio.server.batch import read_entries

    with ExitStack() as cleanup:
        serve = serve_session if read_entries(Path(args.video[0])) is None else serve_batch
        serve(args, cleanup)
    return 0
