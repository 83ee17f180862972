"""Readers of the VOT toolkit's format, and the files that its ``vot pack`` takes."""

import numpy as np
import pytest

from aotlab.dataloaders.benchmarks.datasets import open_dataset
from aotlab.dataloaders.benchmarks.object_masks import read_labels
from aotlab.dataloaders.benchmarks.vot import format_box, format_mask, parse_mask, read_texts
from aotlab.media.masks import write_mask
from aotlab.media.results import Results
from aotlab.tools.submit import main
from aotlab.utils.errors import InputError
from tests import miniatures


@pytest.mark.parametrize(
    ("text", "pixels"),
    [
        ("m1,2,3,2,0,2,2,2", [(2, 1), (2, 2), (3, 2), (3, 3)]),
        ("m1,2,3,2,0,2", [(2, 1), (2, 2)]),
        ("m-1,-1,2,2,3,1", [(0, 0)]),
        ("m5,4,9,9,0,81", [(4, 5), (5, 5)]),
        ("m9,9,2,2,0,4", []),
        ("0", []),
    ],
)
def test_line_of_a_mask_is_parsed(text, pixels):
    assert [*zip(*map(list, np.nonzero(parse_mask(text, (6, 6)))), strict=True)] == pixels


def test_formatted_masks_are_parsed_as_they_were():
    random = np.random.default_rng(0)
    for _ in range(50):
        mask = random.random((7, 9)) < random.random()
        assert (parse_mask(format_mask(mask), mask.shape) == mask).all()
    assert format_mask(np.zeros((3, 3), bool)) == "0"


@pytest.mark.parametrize(
    "text", ["", "1", "3,4,5,6", "m1,2", "m0,0,2,2,5", "m0,0,-2,-2,0", "m0,0,2,2,-1,1", "mx,0,1,1,1"]
)
def test_line_that_is_not_a_mask_rejected(text):
    with pytest.raises(ValueError):  # noqa: PT011
        parse_mask(text, (6, 6))


def test_first_mask_of_didi_is_given(tmp_path):
    miniatures.make("didi", tmp_path)
    video = open_dataset("didi", tmp_path)[0]
    labels = read_labels(video.reference_masks[0])
    (box,) = (tmp_path / "ant" / "groundtruth.txt").read_text().splitlines()[:1]
    assert format_box(labels == 1) == box
    assert video.new_ids(0) == {1}


@pytest.mark.parametrize("text", ["0", "", "m1,1"])
def test_sequence_without_a_first_mask_is_named(tmp_path, text):
    miniatures.make("didi", tmp_path)
    (tmp_path / "ant" / "first_frame_segm.txt").write_text(text)
    ant, zebra = open_dataset("didi", tmp_path)
    assert "first_frame_segm.txt" in ant.load_error
    assert zebra.load_error is None


def test_frames_outside_a_sequence_rejected(tmp_path):
    miniatures.make("votsr", tmp_path)
    (tmp_path / "sequences" / "smoke_2_70_256" / "sequence").write_text("channels.color=../../x/%08d.jpg\n")
    with pytest.raises(InputError, match="not a plain name"):
        open_dataset("votsr", tmp_path)


def test_didi_is_packed_as_boxes(tmp_path):
    videos = miniatures.make_with_results("didi", tmp_path)
    path = tmp_path / "results" / "ant" / "00000003.png"
    mask = np.zeros((24, 32), np.uint8)
    mask[3:7, 5:6] = 1
    write_mask(path, mask)
    write_mask(path.with_name("00000004.png"), mask * 0)
    assert main(make_line("didi", tmp_path)) == 0
    (file,) = (tmp_path / "aotlab" / "baseline" / "ant").iterdir()
    lines = file.read_text().splitlines()
    assert (file.name, lines[0], lines[2], lines[3]) == ("ant_001.txt", "1", "5,3,1,4", "0,0,0,0")
    assert len(lines) == len(videos[0].frames)


def make_line(name, folder):
    """The command that writes ``folder/aotlab``."""
    places = ["--root", folder / "root", "--results", folder / "results", "--output", folder / "aotlab"]
    return ["--dataset", name, *map(str, places)]


def make_referral_results(folder):
    """Make VOTSr, and masks of each text, the first ones in a folder of `aotlab track`."""
    miniatures.make("votsr", folder / "root")
    masks = {}
    for video in open_dataset("votsr", folder / "root"):
        for number, text in enumerate(read_texts(folder / "root" / "sequences" / video.name), start=1):
            run = folder / "results" / video.name / str(number)
            for index, frame in enumerate(video.frames):
                mask = np.zeros((24, 32), np.uint8)
                mask[number : number + 5, index : 2 * index] = 9
                write_mask((run / "masks" if number == 1 else run) / f"{frame.stem}.png", mask)
                masks.setdefault((video.name, text), []).append(mask > 0)
            if number == 1:
                Results(folder=run, inputs={}, name="1", status="done").save()
    return masks


def test_votsr_is_packed_with_a_file_for_each_text(tmp_path):
    masks = make_referral_results(tmp_path)
    for _ in range(2):  # an earlier submission is replaced
        assert main([*make_line("votsr", tmp_path), "--force"]) == 0
    folder = tmp_path / "aotlab" / "baseline" / "aurora_2_1_160"
    hashes = {"the aurora": "b2654d24", "the lights in the sky": "d6ee0fdd"}  # as on the page of the challenge
    assert {path.name for path in folder.iterdir()} == {f"aurora_2_1_160_{digest}.txt" for digest in hashes.values()}
    for text, digest in hashes.items():
        lines = (folder / f"aurora_2_1_160_{digest}.txt").read_text().splitlines()
        assert lines[:2] == ["0", "0" if not masks["aurora_2_1_160", text][1].any() else lines[1]]
        for line, mask in zip(lines, masks["aurora_2_1_160", text], strict=True):
            assert (parse_mask(line, mask.shape) == mask).all()


def test_missing_mask_of_a_text_is_named(tmp_path, run_expecting_error):
    make_referral_results(tmp_path)
    (tmp_path / "results" / "aurora_2_1_160" / "2" / "00000002.png").unlink()
    line = run_expecting_error(main, *make_line("votsr", tmp_path))
    assert "aurora_2_1_160/2/00000002.png: no such file" in line
    assert not (tmp_path / "aotlab").exists()


def test_workspace_with_other_files_is_kept(tmp_path, run_expecting_error):
    make_referral_results(tmp_path)
    (tmp_path / "aotlab").mkdir()
    (tmp_path / "aotlab" / "notes.txt").touch()
    line = run_expecting_error(main, *make_line("votsr", tmp_path), "--force")
    assert "already contains notes.txt, which is not of a submission" in line
