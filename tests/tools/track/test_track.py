"""The track command: its checks and its results, with a tracker that repeats the last mask."""

import os
import signal
import threading

import av
import numpy as np
import pytest
from PIL import Image

from aotlab.media.masks import read_mask
from aotlab.media.video import open_frames
from tests.tools.track.runs import Repeater, refused, run, save


def test_a_folder_is_tracked_to_masks_and_an_overlay(video, mask, tmp_path, capsys):
    assert run(video, tmp_path, mask) == 0
    assert "4 frames" in capsys.readouterr().out
    assert (read_mask(tmp_path / "out" / "masks" / "00003.png") == read_mask(mask)).all()
    assert (tmp_path / "out" / "overlay.mp4").is_file()


def test_masks_at_several_frames_are_used_at_theirs(video, mask, tmp_path):
    late = save(tmp_path / "late.png", 5)
    assert run(video, tmp_path, mask, f"2:{late}") == 0
    assert [read_mask(path).max() for path in sorted((tmp_path / "out" / "masks").iterdir())] == [1, 1, 5, 5]


def test_a_16_bit_mask_gives_16_bit_masks(video, tmp_path):
    assert run(video, tmp_path, save(tmp_path / "first.png", 700)) == 0
    assert read_mask(tmp_path / "out" / "masks" / "00003.png").max() == 700


@pytest.mark.parametrize(
    ("value", "size", "words"), [(1, (30, 48), ["48×30", "48×32"]), (0, (32, 48), ["holds no object"])]
)
def test_a_mask_of_wrong_size_or_without_object_is_refused(
    video, tmp_path, capsys, tracker, value, size, words
):
    line = refused(capsys, tracker, run(video, tmp_path, save(tmp_path / "bad.png", value, size)))
    assert all(word in line for word in ["bad.png", *words])


def test_a_16_bit_image_is_not_taken_for_a_mask(video, tmp_path, capsys, tracker):
    Image.fromarray(np.arange(32 * 48, dtype=np.uint16).reshape(32, 48)).save(tmp_path / "depth.png")
    assert "1535 different ids" in refused(capsys, tracker, run(video, tmp_path, tmp_path / "depth.png"))


def test_a_missing_mask_or_video_is_refused(video, mask, tmp_path, capsys, tracker):
    assert "none.png" in refused(capsys, tracker, run(video, tmp_path, tmp_path / "none.png"))
    assert "none.mp4" in refused(capsys, tracker, run(tmp_path / "none.mp4", tmp_path, mask))


def test_a_removal_behind_the_last_frame_is_refused_before_the_model_is_loaded(
    video, mask, tmp_path, capsys, tracker
):
    line = refused(capsys, tracker, run(video, tmp_path, mask, more=["--remove", "99999:1"]))
    assert "remove 99999:1: the video holds 4 frames" in line


def test_results_are_replaced_only_where_all_else_is_right_and_may_give_the_masks(
    video, mask, tmp_path, capsys, tracker
):
    assert run(video, tmp_path, mask) == 0
    masks, whole = tmp_path / "out" / "masks", ["00000.png", "00001.png", "00002.png", "00003.png"]
    for wrong in (["--remove", "99999:1"], ["--mask", "9:gone.png"], ["--mask", f"9:{mask}"]):
        assert run(video, tmp_path, mask, more=["--force", *wrong]) == 2
        assert sorted(path.name for path in masks.iterdir()) == whole
    assert run(video, tmp_path, masks / "00002.png", more=["--force"]) == 0
    assert sorted(path.name for path in masks.iterdir()) == whole


def test_results_never_overwrite_the_video(video, mask, tmp_path, capsys, tracker):
    (tmp_path / "out").mkdir()
    video.rename(tmp_path / "out" / "masks")
    line = refused(capsys, tracker, run(tmp_path / "out" / "masks", tmp_path, mask))
    assert "overwrite" in line


def test_a_broken_frame_ends_the_run_with_status_1_and_keeps_the_rest(video, mask, tmp_path, capsys):
    (video / "00002.png").write_bytes(b"broken")
    assert run(video, tmp_path, mask) == 1
    assert "00002.png" in capsys.readouterr().err
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 2
    assert (tmp_path / "out" / "overlay.mp4").is_file()


def test_only_the_frames_from_start_to_end_are_tracked_from_a_mask_of_the_first(
    video, mask, tmp_path, tracker
):
    assert run(video, tmp_path, mask, more=["--start", "1", "--end", "2"]) == 0
    assert [path.name for path in sorted((tmp_path / "out" / "masks").iterdir())] == [
        "00001.png",
        "00002.png",
    ]
    assert tracker.length == 2
    assert len(list(open_frames(tmp_path / "out" / "overlay.mp4"))) == 2


@pytest.mark.parametrize(
    ("start", "masks", "words"),
    [("9", ["first.png"], "holds 4 frames"), ("2", ["0:first.png"], "mask 0:{}: not between start and end")],
)
def test_a_start_or_mask_outside_the_frames_is_refused(
    video, mask, tmp_path, capsys, tracker, start, masks, words
):
    masks = [one.replace("first.png", str(mask)) for one in masks]
    assert words.format(mask) in refused(
        capsys, tracker, run(video, tmp_path, *masks, more=["--start", start])
    )


def test_frames_may_be_numbered_as_in_file_names(video, mask, tmp_path, capsys, tracker):
    for index, path in enumerate(sorted(video.iterdir())):
        path.rename(video / f"shot.{1001 + index}.png")
    late, more = save(tmp_path / "late.png", 5), ["--frame-numbers", "file", "--write", "masks"]
    assert (
        run(video, tmp_path, mask, f"1003:{late}", more=[*more, "--end", "1003", "--remove", "1003:1"]) == 0
    )
    found = {path.name: read_mask(path).max() for path in (tmp_path / "out" / "masks").iterdir()}
    assert found == {"shot.1001.png": 1, "shot.1002.png": 1, "shot.1003.png": 5}
    assert run(video, tmp_path, f"3:{late}", more=[*more, "--force"]) == 2
    assert "no frame is numbered 3; its file names have 1001 to 1004" in capsys.readouterr().err


def test_one_video_is_not_given_to_several_ranks(video, mask, tmp_path, capsys, tracker, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "torchrun distributes several videos only" in refused(capsys, tracker, run(video, tmp_path, mask))


def test_write_chooses_what_is_written(video, mask, tmp_path, capsys):
    assert run(video, tmp_path, mask, more=["--write", "objects,coco,alpha,overlay", "--no-overlay"]) == 0
    visible = sorted(path.name for path in (tmp_path / "out").glob("[!.]*"))
    assert visible == ["alpha", "coco.json", "objects"]
    assert "coco.json" in capsys.readouterr().out


def test_an_unknown_result_is_refused(video, mask, tmp_path, capsys, tracker):
    line = refused(capsys, tracker, run(video, tmp_path, mask, more=["--write", "masks,gif"]))
    assert "write masks,gif: give some of masks, objects, review" in line


def test_both_directions_keep_the_given_masks(video, mask, tmp_path):
    other = save(tmp_path / "other.png", 1)
    assert run(video, tmp_path, f"1:{mask}", f"3:{other}", more=["--both-directions"]) == 0
    found = [read_mask(path).any() for path in sorted((tmp_path / "out" / "masks").iterdir())]
    assert found == [True] * 4  # frame 0 is before the first mask


def test_realtime_with_both_directions_is_refused(video, mask, tmp_path, capsys, tracker):
    line = refused(capsys, tracker, run(video, tmp_path, mask, more=["--both-directions", "--realtime"]))
    assert "realtime: cannot go with both_directions" in line


def test_a_pipe_is_tracked_and_the_number_of_skipped_frames_is_said(mask, tmp_path, capsys):
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for _ in range(4):
            grey = np.full((32, 48, 3), 90, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    os.mkfifo(tmp_path / "pipe")
    content = (tmp_path / "clip.mkv").read_bytes()
    threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,), daemon=True).start()
    assert run(tmp_path / "pipe", tmp_path, mask, more=["--realtime"]) == 0
    out = capsys.readouterr().out
    written = len(list((tmp_path / "out" / "masks").iterdir()))
    assert f"{written} frame" in out  # one, on a busy machine
    assert f"{4 - written} skipped" in out


def test_an_interrupt_has_its_status_and_finishes_the_files(video, mask, tmp_path, monkeypatch, capsys):
    original = Repeater.step

    def step(self, frame, mask=None):
        if frame[0, 0, 2] == 42:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, frame, mask)

    monkeypatch.setattr(Repeater, "step", step)
    assert run(video, tmp_path, mask) == 130
    assert "hold the first 3 frames" in capsys.readouterr().err
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 3
    assert len(list(open_frames(tmp_path / "out" / "overlay.mp4"))) == 3


def test_a_camera_or_address_that_does_not_answer_is_refused(mask, tmp_path, capsys, tracker):
    line = refused(capsys, tracker, run("http://127.0.0.1:9/live", tmp_path, mask, more=["--timeout", "5"]))
    assert "http://127.0.0.1:9/live: cannot be opened" in line
