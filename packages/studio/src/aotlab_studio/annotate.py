"""Draw, track and correct masks of a video or a batch in the browser: ``aotlab annotate video.mp4``."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from click import UsageError

import aotlab_video
from aotlab import InputError, TrackerOptions, sdk
from aotlab.tools.cli.options import print_settings, tracker_options
from aotlab.tools.cli.types import Bytes, Port
from aotlab.utils.text import format_count
from aotlab_video.commands.options import segmenter_option, source_option, split_settings, video_argument

if TYPE_CHECKING:
    import numpy as np
    from starlette.applications import Starlette

    from aotlab_studio.session.prompting import Prompter, Segmenter
    from aotlab_studio.session.session import Session
    from aotlab_studio.tracking.models import TrackerLoader

INTERRUPTED = 130
HOST_WARNING = "anyone who reaches this address with the token can see and change everything, unencrypted"


def open_session(video: str | Path, loader: TrackerLoader, prompter: Prompter | None = None, **options: Any) -> Session:
    """Return the session of a video, with the options of `open_document`. Its first job loads the model."""
    from aotlab_studio.session.opening import open_document
    from aotlab_studio.session.session import Session

    path = Path(video)
    if "://" in str(video) or path.is_char_device() or path.is_fifo():
        raise InputError(f"{video}: a stream; record it to a file first, or track it with aotlab track")
    return Session.create(open_document(path, **options), loader.load_fresh, prompter, loader)


@contextmanager
def _exit_on_signals() -> Iterator[None]:
    """If a signal ends the block, end the process at once, with the signal's exit status.

    Python itself would wait for threads, and abort those that import PyTorch or run native code.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        status = INTERRUPTED if isinstance(error, KeyboardInterrupt) else int(error.code or 0)
        try:
            if status == INTERRUPTED:
                print("interrupted", file=sys.stderr)
            sys.stdout.flush()
        finally:  # also if a stream is closed
            os._exit(status)


def _open_browser(url: str, cleanup: ExitStack) -> None:
    """Open the page in a browser, if there is one.

    The address is in a file that only this user may read, as every user of the machine can read command lines.
    """
    import webbrowser

    file = Path(cleanup.enter_context(TemporaryDirectory(prefix="aotlab-", ignore_cleanup_errors=True)), "open.html")
    with os.fdopen(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as page:
        page.write(f'<!doctype html><meta http-equiv="refresh" content="0;url={url}"><title>aotlab</title>\n')
    threading.Thread(target=webbrowser.open, args=(file.as_uri(),), daemon=True).start()


def _build_app(
    video: str, open_video: Callable[..., Session], project: Path | None, cleanup: ExitStack
) -> tuple[Starlette, str, Path]:
    """Return the application of a video or a list of videos, its title, and the folder with its project or projects."""
    from aotlab_studio.batch.batch import Batch
    from aotlab_studio.batch.clips import find_clips
    from aotlab_studio.server.app import build_app
    from aotlab_studio.server.batch_app import build_batch_app

    if find_clips(Path(video)):
        if project is not None:
            raise UsageError(f"--project {project}: a batch has a project next to each video; remove it")
        batch = Batch(Path(video), open_video)
        cleanup.callback(batch.close)
        count = format_count(len(batch.list_clips()), "video")
        return build_batch_app(batch), f"{batch.folder}: {count}", batch.folder
    session = open_video(video, project=project)
    cleanup.callback(session.close)
    document, frames = session.document, session.document.frames
    for warning in filter(None, [document.read_only_warning, document.tracked_again_warning]):
        print(f"warning: {warning}", file=sys.stderr)
    count = format_count(frames.count, "frame")
    return build_app(lambda _: session), f"{frames.name}: {count}, masks in {document.folder}", document.folder


def _load_segmenters(sources: Sequence[str | tuple[Path, Path]], device: str) -> dict[str, Segmenter]:
    """Return the given segmenters and the bundled one by name; their models are loaded at the first prompts."""
    from aotlab_studio.tracking.models import import_tracker

    def start(segmenter: Segmenter, *arguments: Any) -> np.ndarray:
        import_tracker()
        return segmenter(*arguments)

    segmenters: dict[str, Segmenter] = {}
    for source in (*sources, None):
        name = "bundled" if source is None else source if isinstance(source, str) else source[0].stem
        name = name if name not in segmenters else str(source)
        segmenters[name] = partial(start, sdk.load_segmenter(source, device=device))
    return segmenters


@sdk.command("aotlab annotate")
@video_argument(
    "[VIDEO]", "video file, image folder, TIFF stack, folder of videos, project, or results of aotlab track"
)
@click.option(
    "--project", metavar="FOLDER", type=Path, help="folder of the project (default: VIDEO.aotlab, next to the video)"
)
@click.option("--same-video", is_flag=True, help="open the project even if the content of its video has changed")
@click.option(
    "--host", metavar="ADDRESS", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine)"
)
@click.option("--port", metavar="N", type=Port, help="port to listen on (default: 8419, or a free one if it is taken)")
@click.option("--no-browser", is_flag=True, help="print the address instead of opening a browser")
@click.option("--cache", metavar="SIZE", type=Bytes, default="512MB", help="memory for decoded frames (default: 512MB)")
@source_option()
@click.option(
    "--classes",
    metavar="FILE",
    type=Path,
    help="classes to choose from: a YAML list with name, color and key, or the labels of CVAT in JSON or XML",
)
@segmenter_option(multiple="offer several beside the bundled one")
@tracker_options(multiple="offer several on the page")
def main(
    video: tuple[str, ...],
    *,
    checkpoint: tuple[str | Path, ...],
    project: Path | None,
    same_video: bool,
    host: str,
    port: int | None,
    no_browser: bool,
    cache: int,
    source: tuple[str, ...],
    classes: Path | None,
    segmenter: tuple[str | tuple[Path, Path], ...],
    config: str | None,
    strict: bool,
    device: str,
    print_config: bool,
) -> int:
    """Draw, track and correct masks in the browser."""
    video, overrides = split_settings(video)
    options = TrackerOptions((checkpoint or (TrackerOptions.checkpoint,))[0], config, overrides, device)
    if print_config:
        return print_settings(options.read_settings())
    if strict:
        options.require_trained_code()
    if len(video) != 1:
        raise UsageError(f"{' '.join(video[1:]) or 'VIDEO'}: give one video, or the results of several")
    from aotlab_studio.document.schema import read_schema
    from aotlab_studio.server.app import Server, bind_socket
    from aotlab_studio.server.guard import LOCAL_HOSTS, keep_token
    from aotlab_studio.session.prompting import Prompter
    from aotlab_studio.tracking.models import TrackerLoader

    loader = TrackerLoader(options, checkpoint)
    prompter = Prompter(_load_segmenters(segmenter, options.device))
    open_video = partial(
        open_session, loader=loader, prompter=prompter, cache_bytes=cache,
        options=aotlab_video.parse_source_options(source) if source else None,
        same_video=same_video, schema=read_schema(classes) if classes else None,
    )  # fmt: skip
    with _exit_on_signals(), ExitStack() as cleanup:
        listener = cleanup.enter_context(bind_socket(host, port))  # before a project is created
        app, title, folder = _build_app(video[0], open_video, project, cleanup)
        server = Server(app, listener, host=host, token=keep_token(folder))
        print(f"{title}\nopen {server.url}   (Ctrl-C ends; everything is saved)", flush=True)
        if host not in LOCAL_HOSTS:
            print(f"warning: --host {host}: {HOST_WARNING}; ssh -L is safer", file=sys.stderr)
        loader.preload()  # meanwhile
        prompter.preload()
        if not no_browser:
            _open_browser(server.url, cleanup)
        server.run_on_socket()
    return 0
