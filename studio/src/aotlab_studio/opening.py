"""Opening of the project of a video, or of the results of a job."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from aotlab import internal
from aotlab_studio.document.database import JOURNAL_FILE, PROJECT_FILE, Database
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import (
    EXPORT,
    EXPORT_RECORD,
    digest_output,
    find_project,
    has_project,
    locate_project,
    read_job,
    read_levels,
    require_no_links,
    write_header,
)
from aotlab_studio.files import recover_export
from aotlab_studio.job_results import import_output, restore_output
from aotlab_studio.video import CACHE_BYTES, FrameStore, Levels


def open_document(
    path: Path,
    *,
    project: Path | None = None,
    cache_bytes: int = CACHE_BYTES,
    levels: Levels = None,
    same_video: bool = False,
) -> Document:
    """Open the project of a video, which is created on first use. The results of a job are loaded into it.

    If the video was tracked again, a project without an edit gets the new results.

    Args:
        path: a video file, a folder of frames, a project, or results of a job or one of their outputs.
        project: project folder; None: beside ``path``, with the suffix of projects.
        levels: as in `open_frames`; None: those of the project. Results keep those of their job.
        same_video: open the project although the video's content has changed.
    """
    job = read_job(path)
    if job is None and (parent_job := read_job(path.parent)) is not None and path.name in parent_job.written:
        path, job = path.parent, parent_job
    if job is None:
        video, folder = locate_project(path, project)
    else:
        output_folder = Path(os.path.realpath(path))
        folder, levels = project or find_project(path), job.levels
        moved = not os.path.exists(job.video) and has_project(folder)
        video = locate_project(folder)[0] if moved else internal.find_video(output_folder, job)
    frames = FrameStore(video, cache_bytes=cache_bytes, levels=levels or read_levels(folder))
    require_no_links(folder)
    database, is_new = Database.open_for_writing(folder), False
    try:
        is_new = database.is_empty
        recover_export(folder / EXPORT, EXPORT_RECORD)
        write_header(database, frames, same_video=same_video)
        document = Document(database, frames)
        document.tracked_masks.delete_unreachable(document.log.list_reachable_layers())
        if job is not None:
            document.output_folder = output_folder
        elif folder == path and digest_output(document.output_folder, document.header.video):
            job = read_job(document.output_folder)  # opened by the path of the project
        if job is not None:
            recover_export(document.output_folder, internal.CORRECTED_FILE)
            if not document.log.has_history and (document.unimported_digest or not document.log.steps):
                with database.transaction():
                    import_output(document, job)
            else:
                restore_output(document, job)
        return document
    except BaseException:
        with suppress(OSError):  # Windows removes no open file
            for name in (PROJECT_FILE, JOURNAL_FILE) if is_new else ():
                (folder / name).unlink(missing_ok=True)  # while the folder is locked
        database.close()
        with suppress(OSError):  # it holds files
            folder.rmdir()
        raise
