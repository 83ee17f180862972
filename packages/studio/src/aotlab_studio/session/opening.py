"""Opening of the project of a video, or of the results of `aotlab track`, which are imported."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

import aotlab_video
from aotlab import InputError
from aotlab.utils.run_folder import MASKS
from aotlab_studio.document import folder as projects
from aotlab_studio.document.database import JOURNAL_FILE, PROJECT_FILE, Database
from aotlab_studio.document.document import Document
from aotlab_studio.document.log import Layer, State, digest_values
from aotlab_studio.document.masks import LayerFrame
from aotlab_studio.document.objects import ObjectInfo, clean_classes, list_attributes, list_names, make_object
from aotlab_studio.document.schema import Schema
from aotlab_studio.document.scores import Score, measure_scores
from aotlab_studio.review.output import SCORES_FILE, ReviewFile
from aotlab_studio.utils.files import read_json, recover_export
from aotlab_studio.utils.video import CACHE_BYTES, FrameStore
from aotlab_video import SourceOptions

logger = logging.getLogger(__name__)


def open_document(
    path: Path,
    *,
    project: Path | None = None,
    cache_bytes: int = CACHE_BYTES,
    options: SourceOptions | None = None,
    same_video: bool = False,
    schema: Schema | None = None,
) -> Document:
    """Open the project of a video, which is created on first use. The results of `aotlab track` are loaded into it.

    If the video was tracked again, a project without an edit gets the new results. A project that cannot be written is
    opened for viewing. Raises `InputError` for a new project beside that of the same video under an earlier name.

    Args:
        path: a video file, a folder of frames, a project, or results of `aotlab track` or one of their outputs.
        project: project folder; None: beside ``path``, with the suffix of projects.
        options: how the frames are read; None: as those of the project. Results keep their own.
        same_video: open the project although the video's content has changed.
        schema: classes of objects; None: any.
    """
    source = find_source(path, project)
    folder, results = source.project, source.results
    if results is not None:
        options = results.source_options
    frames = FrameStore(source.video, options or projects.read_source_options(folder), cache_bytes=cache_bytes)
    projects.require_no_links(folder)
    if not projects.has_project(folder):
        projects.require_no_renamed_project(source.video, folder)
    elif not os.access(folder, os.W_OK):
        database = Database.open(folder)  # without a lock
        projects.write_header(database, frames, same_video=same_video)
        return Document(database, frames, schema)
    database, is_new = Database.open_for_writing(folder), False
    try:
        is_new = database.is_empty
        recover_export(folder / projects.EXPORT)
        projects.write_header(database, frames, same_video=same_video)
        return _load_document(Document(database, frames, schema), source)
    except BaseException:
        with suppress(OSError):  # Windows removes no open file
            for name in (PROJECT_FILE, JOURNAL_FILE) if is_new else ():
                (folder / name).unlink(missing_ok=True)  # while the folder is locked
        database.close()
        with suppress(OSError):  # it holds files
            folder.rmdir()
        raise


class Source(NamedTuple):
    """Video of a document, its project, and the results of `aotlab track` that it corrects."""

    video: Path
    project: Path
    """Folder of the project, which may not exist yet."""
    output_folder: Path | None
    """Folder to load results from, if it has any."""
    results: aotlab_video.Results | None
    """Results that were opened; None: a video or a project was opened."""


def find_source(path: Path, project: Path | None = None) -> Source:
    """Return what `open_document` opens at a path; raise `InputError` if the video is missing."""
    results = projects.read_results(path)
    if results is None:
        with suppress(InputError):  # a foreign file may have the name of the record
            parent = projects.read_results(path.parent)
            if parent is not None and path.name in {MASKS, *parent.list_written()}:
                path, results = path.parent, parent
    if results is None:
        video, folder = projects.locate_project(path, project)
        corrected = folder.with_name(folder.name.removesuffix(projects.PROJECT_SUFFIX))
        return Source(video, folder, corrected if folder == path else None, None)
    folder = project or projects.find_project(path)
    has_moved = not os.path.exists(results.video) and projects.has_project(folder)
    video = projects.locate_project(folder)[0] if has_moved else results.find_video()
    return Source(video, folder, Path(os.path.realpath(path)), results)


def _load_document(document: Document, source: Source) -> Document:
    """Return the document of a locked project, with the results that it corrects."""
    document.tracked_masks.delete_unreachable(document.log.list_reachable_layers())
    folder = source.output_folder
    if folder is None or not (source.results or projects.digest_output(folder, document.header.video)):
        return document
    document.output_folder = folder
    recover_export(folder)
    results = projects.read_results(folder) or source.results
    if results is None:
        return document
    if not document.log.has_history and (document.unimported_digest or not document.log.steps):
        with document.database.transaction():
            _import_results(document, results)
    else:
        _restore_results(document, results)
    return document


def load_input_masks(results: aotlab_video.Results, video: aotlab_video.VideoInfo) -> aotlab_video.Annotations:
    """Return the masks that a video was tracked from. They are empty if a file is missing or cannot be read."""
    try:
        if results.masks:
            video = replace(video, start_number=results.mask_start_number, mask_format=results.mask_format)
            return aotlab_video.load_masks(results.masks, video)
    except InputError as error:
        logger.warning("%s. The results are used without the masks that they were tracked from", error)
    return aotlab_video.Annotations(video.size)


def _import_results(document: Document, results: aotlab_video.Results) -> None:
    """Replace the content of a project by results, in one edit; raise `InputError` for damaged masks."""
    count = document.frames.count
    first = results.first_frame
    layer_id = document.make_layer_id()
    tracked, inputs = _store_results(document, results, layer_id)
    object_ids = sorted({*tracked.objects(), *inputs.objects()})
    # a header may have stated more frames than the video has
    last = count - 1 if results.last_frame is None else min(results.last_frame, count - 1)
    drawn_masks, new_pngs = dict[int, dict[int, str]](), dict[str, bytes]()
    for index in (index for index in inputs.frames if first <= index <= last):
        ids = inputs.mask(index)
        drawn_masks[index] = {key: document.masks.encode(ids == key, new_pngs) for key in np.setdiff1d(ids, 0).tolist()}
    digest = projects.digest_output(document.output_folder)
    table = inputs.attribute_table() | results.classes.attributes
    names = list_names(table)
    classes = tracked.class_names
    objects = dict[int, ObjectInfo]()
    for key in object_ids:
        item = make_object(key, names.get(key, ""), classes.get(key, ""))
        objects[key] = document.schema.color_object(item, objects)
    values = State(
        objects=objects,
        drawn_masks=drawn_masks,
        layers={layer_id: Layer(object_ids, first, last, kind="import", source_digest=digest)},
        ranges={} if (first, last) == (0, count - 1) else {"job": (first, last)},
        classes=aotlab_video.add_class_ids(tracked.classes, inputs.classes),
        attributes=list_attributes(table),
    )
    document.edit("results of a job", values.diff(document.snapshot.state), new_pngs=new_pngs)


def _restore_results(document: Document, results: aotlab_video.Results) -> None:
    """Store the results again if a restored backup lacks them; if they are damaged, their frames stay outdated."""
    digest = projects.digest_output(document.output_folder)
    for layer_id, layer in document.snapshot.state.layers.items():
        is_same = layer.kind == "import" and layer.source_digest == digest
        if is_same and not document.tracked_masks.layer(layer_id).finished:
            with document.database.transaction(), suppress(InputError):
                _store_results(document, results, layer_id)


def _store_results(
    document: Document, results: aotlab_video.Results, layer_id: int
) -> tuple[aotlab_video.Annotations, aotlab_video.Annotations]:
    """Store the masks of all tracked frames as a layer; return these masks, and those that tracking began with."""
    video = aotlab_video.VideoInfo.from_source(document.frames.source)
    results.require_same_video(document.frames.path)
    tracked = clean_classes(aotlab_video.read_annotations(results.folder, video))
    inputs = clean_classes(load_input_masks(results, video))
    has_review = ReviewFile.file_name in results.list_written()
    scores = read_json(results.folder / SCORES_FILE, dict[int, dict[int, Score]]) if has_review else {}
    object_ids = sorted({*tracked.objects(), *inputs.objects()})
    model = f"unknown; from a job with inputs {digest_values(results.inputs)[:16]}"
    entries = {entry["index"]: entry for entry in results.entries if entry["index"] < document.frames.count}
    for index in sorted({*entries, *tracked.frames}):
        ids = tracked.mask(index)
        entry = entries.get(index, {})
        confidence, disagreement = (
            {int(key): value for key, value in entry.get(name, {}).items()} for name in ("confidence", "disagreement")
        )
        known = scores.get(index) or measure_scores(ids, object_ids, confidence, disagreement)
        document.tracked_masks.put(layer_id, LayerFrame(index, known, model=model), ids)
    document.tracked_masks.finish(layer_id)
    return tracked, inputs
