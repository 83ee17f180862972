"""BURST: annotations, predictions and TrackEval's HOTA."""

import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from aotlab.dataloaders.benchmarks.burst import MAX_TRACKS, find_annotation_file, parse_sequence, read_sequences
from aotlab.dataloaders.benchmarks.datasets import open_dataset
from aotlab.dataloaders.benchmarks.object_masks import read_labels
from aotlab.evaluation.submit.burst import write_run_lengths
from aotlab.media.masks import write_mask
from aotlab.media.rle import compress_rle, decode_rle, encode_rle, parse_rle
from aotlab.tools.score import main as score
from aotlab.tools.submit import main as submit
from aotlab.utils.errors import InputError
from tests import miniatures
from tests.mutations import change_json


@pytest.fixture
def root(tmp_path):
    miniatures.make_burst(tmp_path / "root")
    return tmp_path / "root"


def write_truth(root, results, *, keep=lambda sequence, index, track: True):
    """Results that are the annotations of the masks that ``keep`` names."""
    for sequence in read_sequences(find_annotation_file(root, "val")):
        for index, (file, runs) in enumerate(sequence.rle.items()):
            labels = np.zeros(sequence.size, dtype=np.uint8)
            for track, text in runs.items():
                if keep(sequence.name, index, track):
                    mask = decode_rle(parse_rle(text, sequence.size), sequence.size)
                    labels[mask] = sequence.tracks.index(track) + 1
            write_mask(results / sequence.name / f"{Path(file).stem}.png", labels)


def test_tracks_are_given_by_their_first_mask(root):
    first, second = open_dataset("burst", root)
    assert (first.name, second.name) == ("HACS-kite", "YFCC100M-v_1")
    assert [
        sorted(np.unique(read_labels(first.reference_masks[index]))) for index in sorted(first.reference_masks)
    ] == [[0, 1, 2]]
    assert sorted(second.reference_masks) == [0, 1]
    given = [sorted(np.unique(read_labels(mask))) for mask in second.reference_masks.values()]
    assert given == [[0, 1], [0, 2]]
    assert second.written_stems == ("frame0000", "frame0004", "frame0008")


@pytest.mark.parametrize(("count", "is_read"), [(MAX_TRACKS, True), (MAX_TRACKS + 1, False)])
def test_tracks_have_16_bit_ids(count, is_read):
    entry = {"dataset": "a", "seq_name": "b", "height": 1, "width": 1, "all_image_paths": ["c"],
             "annotated_image_paths": ["c"], "segmentations": [{}], "track_category_ids": range(count)}  # fmt: skip
    with nullcontext() if is_read else pytest.raises(ValueError, match=f"{count} tracks"):
        assert np.can_cast(np.min_scalar_type(len(parse_sequence(entry, "file").tracks)), np.uint16)


def test_all_frames_are_tracked_on_request(root):
    _, second = open_dataset("burst", root, all_frames=True)
    assert (len(second.frames), sorted(second.reference_masks), len(second.written_stems)) == (9, [0, 4], 3)


def test_predictions_are_the_annotations_with_other_run_lengths(root, tmp_path):
    write_truth(root, tmp_path / "results", keep=lambda sequence, index, track: track != "7")
    place = tmp_path / "predictions.json"
    places = ["--root", str(root), "--results", str(tmp_path / "results"), "--output", str(place)]
    assert submit(["--dataset", "burst", *places]) == 0
    truth, found = (json.loads(path.read_text()) for path in (find_annotation_file(root, "val"), place))
    for entry in truth["sequences"]:
        for frame in entry["segmentations"]:
            frame.pop("7", None)  # an object without a pixel has no entry
    assert found == truth


def test_result_of_another_size_or_object_rejected(root, tmp_path):
    write_truth(root, tmp_path)
    annotations = find_annotation_file(root, "val")
    for labels, message in (
        (np.zeros((5, 5), np.uint8), "5×5, but its frame is"),
        (np.full((48, 64), 9, np.uint8), "unknown ids 9; the objects are 1, 2"),
    ):
        write_mask(tmp_path / "HACS-kite" / "frame0004.png", labels)
        with pytest.raises(InputError, match=rf"frame0004\.png: {message}"):
            write_run_lengths(open_dataset("burst", root), tmp_path, tmp_path / "p.json", annotations=annotations)


@pytest.mark.parametrize("change", [
    {"segmentations": []}, {"segmentations": 3}, {"segmentations": [{"x": {"rle": "a"}}, {}, {}]}, {"height": "tall"},
    {"seq_name": "../../evil"}, {"annotated_image_paths": ["/etc/passwd", "b.jpg", "c.jpg"]},
], ids=str)  # fmt: skip
def test_malformed_entries_are_reported_in_one_sentence(root, change):
    change_json(find_annotation_file(root, "val"), lambda tree: tree["sequences"][0].update(change))
    with pytest.raises(InputError, match=r"all_classes\.json"):
        open_dataset("burst", root)


def test_run_lengths_that_do_not_fill_the_image_rejected(root):
    small = {"rle": compress_rle(encode_rle(np.ones((4, 4), dtype=bool)))}
    masks = find_annotation_file(root, "val")
    change_json(masks, lambda tree: tree["sequences"][0]["segmentations"][0].update({"3": small}))
    video = open_dataset("burst", root)[0]
    with pytest.raises(InputError, match="run lengths do not fill an image of 64×48"):
        read_labels(video.reference_masks[0])


def hota(root, results, output):
    pytest.importorskip("trackeval", reason="needs TrackEval: pip install --no-deps trackeval")
    where = ["--dataset", "burst", "--root", str(root), str(results), "--json", str(output)]
    assert score(where) == 0
    found: dict[str, float] = json.loads(output.read_text())
    return found


def test_hota_equals_a_computation_by_hand(root, tmp_path):
    # class 4 is track 3 of both sequences: found on 1 of 3 frames in one, on all in the other
    write_truth(
        root, tmp_path / "results", keep=lambda name, index, track: track == "3" and (name[0] == "Y" or not index)
    )
    found = hota(root, tmp_path / "results", tmp_path / "hota.json")
    detection, association = 4 / 6, (1 * (1 / 3) + 3 * 1) / 4
    assert found["DetA_common"] == pytest.approx(100 * detection)
    assert found["AssA_common"] == pytest.approx(100 * association)
    assert found["HOTA_common"] == pytest.approx(100 * (detection * association) ** 0.5)
    assert found["HOTA_uncommon"] == 0
    assert found["HOTA"] == pytest.approx(found["HOTA_common"] / 2)
    path = find_annotation_file(root, "val")
    path.write_text(path.read_text().replace('"7": 5', '"7": 4'))  # no uncommon class
    assert hota(root, tmp_path / "results", tmp_path / "common.json")["HOTA_uncommon"] is None
