"""The benchmark of prompts: simulated clicks, scores, table, and the negative control."""

import numpy as np
import pytest
from PIL import Image

from aotlab.media.masks import write_mask
from aotlab_testing.drawn_clips import draw_box, draw_square, segment_by_color
from research.bundled.benchmark_prompts import Case, Result, evaluate_case, format_table, main, read_held_out_cases
from research.bundled.clicks import jaccard, next_click
from research.bundled.prompt_settings import PromptSource, PromptTraining


def drawn(truth):
    return np.where(truth[..., None] == 1, np.uint8((220, 60, 60)), np.uint8((40, 40, 40)))


def test_perfect_segmenter_needs_one_click():
    truth = draw_square(10, 10)
    case = Case("first", drawn(truth), truth)
    result = evaluate_case(segment_by_color, case)
    assert result.box == result.iou_after(5) == 1
    assert len(result.clicks) == 1


@pytest.fixture
def held_out(tmp_path):
    """A folder of images and videos, and its sources."""
    labels = draw_square(10, 10) + 2 * draw_square(35, 50)
    names = [f"static/set/{number:03}" for number in range(60)]
    names += ["clips/kept/0", "clips/kept/1", "clips/used/0"]
    for name in names:
        folder, *rest = name.split("/")
        image = tmp_path.joinpath(folder, "JPEGImages", *rest).with_suffix(".png" if rest[0] == "set" else ".jpg")
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn(labels)).save(image)
        write_mask(tmp_path.joinpath(folder, "Annotations", *rest).with_suffix(".png"), labels)
    (tmp_path / "clips" / "list.txt").write_text("kept\nused\n")
    sources = [
        PromptSource(path="static", folder="set"),
        PromptSource(path="clips", videos="list.txt", held_out=["kept"]),
    ]
    return tmp_path, sources


def test_one_held_out_case_per_image_or_video(held_out):
    tmp_path, sources = held_out
    cases = list(read_held_out_cases(tmp_path, sources, 100))
    assert [case.name for case in cases if case.name.startswith("clips")] == ["clips/0"]
    assert 2 < len(cases) < 15
    assert all((case.truth == 1).sum() == 400 for case in cases)
    assert len(list(read_held_out_cases(tmp_path, sources, 2))) == 2
    assert list(read_held_out_cases(tmp_path, [PromptSource(path="clips", videos="list.txt")], 1)) == []


def test_rows_are_means_by_size():
    results = [Result(0.01, 0.5, [0.2, 0.9]), Result(0.5, 0.7, [0.6])]
    assert format_table(results).splitlines()[2:] == [
        "| all | 2 | 60.0 | 40.0 | 75.0 | 75.0 | 75.0 |",
        "| below 2 % | 1 | 50.0 | 20.0 | 90.0 | 90.0 | 90.0 |",
        "| above 10 % | 1 | 70.0 | 60.0 | 60.0 | 60.0 | 60.0 |",
    ]


def test_command_prints_a_table(held_out, monkeypatch, capsys):
    module = "research.bundled.benchmark_prompts"
    monkeypatch.setattr(f"{module}.load_prompt_training", lambda: PromptTraining(sources=held_out[1]))
    monkeypatch.setattr(f"{module}.load_segmenter", lambda checkpoint: segment_by_color)
    assert main([str(held_out[0]), "--objects", "2"]) == 0
    assert "| all | 2 | 100.0 | 100.0 |" in capsys.readouterr().out


def test_folder_without_training_sets_rejected(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "ImageSets" in capsys.readouterr().err


def test_click_is_in_the_middle_of_the_largest_error():
    truth = draw_box((60, 80), (10, 31), (10, 31))
    assert next_click(np.zeros(truth.shape, bool), truth) == ((20, 20), 1)
    assert next_click((truth == 1) | (draw_box((60, 80), (30, 55), (40, 65)) == 1), truth) == ((52, 42), 0)
    assert next_click(truth == 1, truth) is None


def test_ignored_pixels_get_no_clicks_and_no_score():
    truth = draw_square(10, 10)
    truth[30:] = 255
    answer = (truth == 1) | (truth == 255)
    assert next_click(answer, truth) is None
    assert jaccard(answer, truth) == 1
