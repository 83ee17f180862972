"""BURST's JSON of predicted masks, and the annotations of some sequences to score them by HOTA."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aotlab.dataloaders.benchmarks.burst import BurstSequence, find_annotation_file, parse_sequence
from aotlab.dataloaders.benchmarks.labeled_video import Video, find_masks_folder
from aotlab.evaluation.sequence_scores import find_unknown_ids, raise_if_unknown
from aotlab.evaluation.submit.results import SubmittedResults
from aotlab.media.masks import read_mask
from aotlab.media.rle import compress_rle, encode_rle
from aotlab.utils.files import MALFORMED, read_json, reading, write_json


def write_burst(results: SubmittedResults, output: Path) -> int:
    """Write the JSON of a split's results; return the number of masks."""
    annotations = find_annotation_file(results.root, results.split)
    return write_run_lengths(results.videos, results.folder, output, annotations=annotations)


def write_run_lengths(videos: Sequence[Video], results: Path, output: Path, *, annotations: Path) -> int:
    """Write ``<sequence>/<frame>.png`` as BURST JSON: the file ``annotations`` with other run lengths.

    Objects without pixels are skipped. Return the number of masks.
    """
    tree, entries, count = read_json(annotations), [], 0
    for entry, sequence in _select_sequences(tree, annotations, {video.name for video in videos}):
        frames = []
        for file in sequence.rle:
            path = find_masks_folder(results / sequence.name) / f"{Path(file).stem}.png"
            labels, ids = read_mask(path, size=sequence.size), range(1, len(sequence.tracks) + 1)
            raise_if_unknown(find_unknown_ids(labels, ids), ids, path)
            masks = {track: labels == object_id for object_id, track in zip(ids, sequence.tracks, strict=True)}
            visible = {track: mask for track, mask in masks.items() if mask.any()}
            frames.append({track: {"rle": compress_rle(encode_rle(mask))} for track, mask in visible.items()})
            count += len(frames[-1])
        entries.append({**entry, "segmentations": frames})
    write_json(output, {**tree, "sequences": entries})
    return count


def write_selection(path: Path, annotations: Path, names: Collection[str]) -> None:
    """Write the annotations of some sequences."""
    tree = read_json(annotations)
    entries = [entry for entry, _ in _select_sequences(tree, annotations, names)]
    write_json(path, {**tree, "sequences": entries})


def _select_sequences(
    tree: Any, annotations: Path, names: Collection[str]
) -> Iterator[tuple[Mapping[str, Any], BurstSequence]]:
    """Yield the entries of the sequences with these names, as stored and parsed."""
    with reading(annotations, "export it again", *MALFORMED):
        for entry in tree["sequences"]:
            sequence = parse_sequence(entry, str(annotations))
            if sequence.name in names:
                yield entry, sequence
