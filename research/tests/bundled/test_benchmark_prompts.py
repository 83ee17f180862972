"""The benchmark of prompts: simulated clicks, scores, table, and the negative control."""

import numpy as np
import pytest
from PIL import Image

from aotlab.configs.load import load_config
from aotlab.media.masks import write_mask
from aotlab.media.prompt import Prompt
from aotlab.utils.errors import InputError
from research.bundled.benchmark_prompts import (
    BASELINES,
    Case,
    Result,
    evaluate_case,
    format_table,
    main,
    read_cases,
    read_held_out_cases,
)
from research.bundled.clicks import jaccard, next_click
from research.bundled.prompt_settings import PromptSource
from tests.drawn_clips import draw_box, draw_square, segment_by_color


def drawn(truth):
    return np.where(truth[..., None] == 1, np.uint8((220, 60, 60)), np.uint8((40, 40, 40)))


def test_perfect_segmenter_needs_one_click():
    truth = draw_square(10, 10)
    case = Case("first", drawn(truth), truth)
    result = evaluate_case(segment_by_color, case)
    assert result.box == result.iou_after(5) == 1
    assert len(result.clicks) == 1


def test_one_held_out_case_per_image_or_video(tmp_path):
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
    sources = [PromptSource("static", folder="set"), PromptSource("clips", videos="list.txt", held_out=["kept"])]
    cases = list(read_held_out_cases(tmp_path, sources, 100))
    assert [case.name for case in cases if case.name.startswith("clips")] == ["clips/0"]
    assert 2 < len(cases) < 15
    assert all((case.truth == 1).sum() == 400 for case in cases)
    assert len(list(read_held_out_cases(tmp_path, sources, 2))) == 2
    assert list(read_held_out_cases(tmp_path, [PromptSource("clips", videos="list.txt")], 1)) == []


def test_rows_are_means_by_size():
    results = [Result(0.01, 0.5, [0.2, 0.9], [0.1]), Result(0.5, 0.7, [0.6], [0.3])]
    assert format_table({"x": results}).splitlines()[2:] == [
        "| x | all | 2 | 60.0 | 40.0 | 75.0 | 75.0 | 75.0 | 200 |",
        "| x | below 2 % | 1 | 50.0 | 20.0 | 90.0 | 90.0 | 90.0 | 100 |",
        "| x | above 10 % | 1 | 70.0 | 60.0 | 60.0 | 60.0 | 60.0 | 300 |",
    ]


@pytest.mark.parametrize(("method", "least"), [("ellipse", 0.7), ("GrabCut", 0.95)])
def test_baseline_finds_a_square_in_its_box(method, least):
    truth = draw_square(20, 30)
    labels = BASELINES[method](drawn(truth), {7: Prompt(box=(30, 20, 20, 20))})
    assert jaccard(labels == 7, truth) > least


@pytest.fixture
def folder(tmp_path):
    for name, truth in (("a", draw_square(10, 10)), ("b", draw_square(35, 50))):
        for index in range(2):
            image = tmp_path / "JPEGImages" / name / f"{index:05d}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn(truth)).save(image)
            write_mask(tmp_path / "Annotations" / name / f"{index:05d}.png", truth)
    return tmp_path


def test_first_frame_of_each_folder_is_read(folder):
    assert [case.name for case in read_cases(folder)] == ["a/00000/1", "b/00000/1"]
    (folder / "JPEGImages" / "a" / "00000.png").unlink()
    with pytest.raises(InputError, match="no such file"):
        list(read_cases(folder))


def test_command_prints_a_table(folder, monkeypatch, capsys):
    module = "research.bundled.benchmark_prompts"
    monkeypatch.setattr(f"{module}.load_checkpoint", lambda path: (None, load_config("aott")))
    monkeypatch.setattr(f"{module}.optimize", lambda model, precision: model)
    monkeypatch.setattr(f"{module}.NetworkSegmenter", lambda model: segment_by_color)
    assert main([str(folder), "--baselines"]) == 0
    table = capsys.readouterr().out
    assert "| model | all | 2 | 100.0 | 100.0 |" in table
    assert "| ellipse | all | 2 |" in table


@pytest.mark.parametrize(("more", "words"), [([], "Annotations: no such folder"), (["--held-out", "4"], "ImageSets")])
def test_folder_without_annotations_rejected(tmp_path, more, words, capsys):
    assert main([str(tmp_path), *more]) == 2
    assert words in capsys.readouterr().err


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
