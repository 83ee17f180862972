"""Lists of videos to track."""

import json
from pathlib import Path

import pytest
from PIL import Image

from aotlab.utils.errors import InputError
from aotlab_testing.drawn_clips import write_plain
from aotlab_testing.limits import make_pipe
from aotlab_testing.video.runs import save
from aotlab_testing.video.stored_results import write_results
from aotlab_video.runs.inputs import parse_mask
from aotlab_video.runs.job import Job
from aotlab_video.runs.job_list import list_video_jobs, read_jobs
from aotlab_video.sources.source_options import SourceOptions


def test_csv_is_read(tmp_path):
    rows = [
        "video ,masks, name\t,overrides,source",
        "a.mp4,a.png; 3=b.xml,,,",
        "sub/b.mp4 ,m, second ,memory.every=2; memory.frames=4,levels=auto",
        'c.tif,c.png,,,"levels=0,4095;fps=25"',
    ]
    for content in ("\n".join(rows) + "\n", "\ufeff" + "\r\n".join(rows) + "\r\n"):
        (tmp_path / "jobs.csv").write_bytes(content.encode())
        first, second, third = read_jobs(tmp_path / "jobs.csv")
        masks = (str(tmp_path / "a.png"), f"3={tmp_path / 'b.xml'}")
        assert first.replace(source_line="") == Job("a", str(tmp_path / "a.mp4"), masks)
        assert (second.name, second.video) == ("second", str(tmp_path / "sub" / "b.mp4"))
        assert second.overrides == ("memory.every=2", "memory.frames=4")
        assert (second.source, third.source) == (SourceOptions(levels="auto"), SourceOptions(levels=(0, 4095), fps=25))


def test_json_lines_are_read(tmp_path):
    path = tmp_path / "jobs.jsonl"
    rows = [
        {"video": "a.mp4", "masks": "a.png"},
        {"video": "rtsp://x/y", "masks": ["2=a.png"], "name": "y", "overrides": ["a.b=1"]},
        {"video": "b.mp4", "overrides": "a.b=1"},
    ]
    rows[2] |= {"start": 5.0, "end": "7.0"}  # as pandas writes them
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    first, second, third = read_jobs(path)
    assert (third.start, third.end) == (5, 7)
    assert third.overrides == ("a.b=1",)
    assert first.masks == (parse_mask(tmp_path / "a.png"),)
    assert second.replace(source_line="") == Job("y", "rtsp://x/y", (f"2={tmp_path / 'a.png'}",), overrides=("a.b=1",))


def test_lists_take_prompts_and_class_names(tmp_path):
    text = 'video,boxes,points,classes,source\na,"1,2,30,40; :2=5,6,9,9",":3=7,8",cat;:2=dog,fps=25\n'
    (tmp_path / "a.csv").write_text(text)
    row = {"video": "a", "boxes": ["1,2,30,40", ":2=5,6,9,9"], "points": ":3=7,8", "classes": ["cat", ":2=dog"]}
    row["source"] = {"fps": 25}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    expected = Job(
        "a", tmp_path / "a", boxes=("1,2,30,40", ":2=5,6,9,9"), points=":3=7,8", classes=("cat", ":2=dog"),
        source=SourceOptions(fps=25),
    )  # fmt: skip
    for name in ("a.csv", "a.jsonl"):
        assert [job.replace(source_line="") for job in read_jobs(tmp_path / name)] == [expected]


def test_json_lines_take_numbers(tmp_path):
    (tmp_path / "a.json").write_text(
        '{"video": "a", "boxes": [1e-7, 2, 30.5, 40], "points": [[5, 6], [7, 8]], "negative_points": []}'
    )
    (job,) = read_jobs(tmp_path / "a.json")
    assert job.replace(source_line="") == Job("a", job.video, boxes=(1e-7, 2, 30.5, 40), points=("5,6", "7,8"))


def test_folder_with_a_number_as_its_name_is_not_a_camera(tmp_path):
    (tmp_path / "12").mkdir()
    (tmp_path / "jobs.csv").write_text(f"video,masks\n12,a.png\nfile://{tmp_path}/b.mp4,b.png\n")
    assert [job.video for job in read_jobs(tmp_path / "jobs.csv")] == [f"{tmp_path}/12", f"{tmp_path}/b.mp4"]


def test_results_beside_videos_are_not_videos(tmp_path):
    (tmp_path / "bus.mp4").write_bytes(b"")
    results = write_results(tmp_path / "bus.tracked").folder
    Image.new("RGB", (4, 4)).save(results / "thumbnail.jpg")
    assert [job.name for job in read_jobs(tmp_path)] == ["bus"]


@pytest.mark.parametrize("video", ["RTSP://cam/1", "https://host/a.mp4", "0"])
def test_addresses_and_cameras_are_not_paths(tmp_path, video):
    (tmp_path / "jobs.csv").write_text(f"video,boxes,name\n{video},0:1-5:6,door\n")
    assert [job.video for job in read_jobs(tmp_path / "jobs.csv")] == [video]


def test_folder_has_masks_beside_videos(tmp_path):
    (tmp_path / "b.mp4").write_bytes(b"")
    (tmp_path / "b.xml").write_bytes(b"")
    (tmp_path / "a").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "a" / "0.jpg")
    Image.new("P", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "a.masks").mkdir()
    Image.new("P", (4, 4)).save(tmp_path / "a.masks" / "0.png")
    first, second = read_jobs(tmp_path)
    assert first == Job("a", tmp_path / "a", (tmp_path / "a.png", tmp_path / "a.masks"))
    assert second == Job("b", tmp_path / "b.mp4", tmp_path / "b.xml")


@pytest.mark.parametrize(("name", "text", "words"), [
    ("a.csv", "video,boxes\n,\n", "line 2: expected a video$"),
    ("a.csv", 'video,boxes,source\na.mp4,"1,2,3,4",fps=fast\n', "line 2: source: fps fast: expected frames per second"),
    ("a.csv", 'video,boxes\na.mp4,"1,2,3"\n', "line 2: box 1,2,3: expected"),
    ("a.csv", "video,masks,classes\na,m,dog\nb,m,Dog\n", "classes 'dog' .of a. and 'Dog' .of b. differ only in"),
    ("a.csv", "video,masks\n", "contains no videos; give a header"),
    ("a.csv", "video,masks\n\u00e9.mp4,a.png\ne\u0301.mp4,a.png\n", "2 videos are named \u00e9 .case is ignored."),
    ("a.csv", "video,masks\na.mp4,a.png\nb/A.mp4,a.png\n",
     "2 videos are named a .case is ignored.; set the column name of a list"),
    ("a.csv", "video,masks,start\na.mp4,a.png,x\na.mp4,a.png,\na.mp4,b.png,\n", "2 videos are named a .case"),
    ("a.csv", "video,masks,name\na.mp4,a.png,../up\n", "line 2.*not a plain name"),
    ("a.csv", "video,masks,source\na.tif,a.png,levels=wide\n", "line 2: source: levels wide: expected auto"),
    ("a.jsonl", '{"video": "a.tif", "masks": "a.png", "source": {"levels": [2, 1]}}',
     "line 1: source: levels .2, 1.: expected auto, or LOW,HIGH"),
    ("a.jsonl", '{"video": "a.tif", "source": {"matrix": [1]}}', "line 1: source: matrix .1.: not one of"),
    ("a.jsonl", '{"video": "a.tif", "source": "input_transform=4"}', "source: input_transform 4: not one of linear"),
    ("a.jsonl", '{"video": "a.tif", "removals": 5}', "line 1: remove 5: expected FRAME:ID"),
    ("a.jsonl", '{"video": "a.tif", "removals": [5]}', "line 1: remove 5: expected FRAME:ID"),
    ("a.csv", "video,masks\na, b.mp4,a.png\n", "line 2: expected 2 values, as in the header"),
    ("a.csv", "video,name,masks\na.mp4,a.png\n", "line 2: expected 3 values, as in the header"),
    ("a.csv", 'video,boxes,classes\na,"1,2,9,9","cat,dog"\n', "class cat,dog: expected one name for each object"),
    ("a.csv", 'video,masks\nb,c\n"a.mp4,a.png\n', "line 3: unexpected end of data.*; .* in quotes"),
    ("a.csv", "video,masks,source\na.mp4,a.png,fps\n", "line 2: source fps: expected KEY=VALUE"),
    ("a.jsonl", '{"video": "a.mp4", "boxes": "1,2,9,9;1,2,9,9"}', "box 1,2,9,9;1,2,9,9: expected"),
    ("a.jsonl", '{"video": ["a.mp4"]}', "line 1: video: expected a path, a URL or the number of a camera, got "),
    ("a.jsonl", '{"video": "a.mp4", "masks": 5}', "line 1: masks must be a text or a list of texts"),
    ("a.jsonl", '{"video": "a.mp4", "masks": [""]}', "line 1: masks must be a text or a list of texts"),
    ("a.jsonl", '{"video": "a.mp4", "masks": ["a.png"], "overrides": 5}', "overrides must be a text"),
    ("a.jsonl", '{"video": "a.mp4", "boxes": [1, 2, 3, 4], "classes": [{"1": "cat"}]}',
     "classes must be a text or a list of texts"),
    ("a.jsonl", '{"video": "a.mp4", "masks": ["a.png"], "classes": {"a": "cat"}}', "class :a=cat: expected one name"),
    ("a.jsonl", '{"video": "a.mp4", "masks": ["a.png"], "classes": "cat; :2=dog"}',
     "class cat; :2=dog: expected one name for each object, without ; or comma"),
    ("a.jsonl", '{"video": "a.mp4", "masks": ["a.png"], "name": [5]}', "name must be text"),
    ("a.jsonl", '{"a":' * 100000, "not readable"),
    ("a.jsonl", r'{"video": "a.mp4", "masks": ["a.png", "\u0000.png"]}', "line 1: .*x00.png': has characters that no"),
    ("a.jsonl", r'{"video": "a.mp4", "masks": "\ud800.png"}', "line 1: .*ud800.png': has characters that no path has"),
    ("a.jsonl", r'{"video": "\ud800.mp4", "name": "a", "boxes": "1,2,9,9"}', "line 1: .*: has characters that no path"),
    ("a.json", '[{"video": "a.mp4"}]', "line 1: not readable .*; give a JSON object per line"),
    ("a.csv", "video,masks,video\na.mp4,a.png,b.mp4\n", "a header of video, masks, video; expected each column once"),
    ("a.csv", "video;masks\na.mp4;a.png\n", "a.csv, line 1: columns are separated by semicolons; separate them by"),
    ("a.csv", "video\tmasks\na.mp4\ta.png\n", "a.csv, line 1: columns are separated by tabs; separate them by"),
    ("a.csv", 'video,boxes\na.mp4,"1,2,3,4"\nb.mp4,1,2,3,4\n', "line 3: expected 2 .*comma in quotes, such as \"10"),
    ("a.csv", 'video,boxes\na.mp4,"1,2,3,4\nb.mp4","1",2\n', "line 2: expected 2 values"),
    ("a.csv", "video,classes\na.mp4,dog;cat\n", "line 2: class cat: object 1 has the class dog already; .* :2=cat$"),
    ("a.jsonl", '{"video": "a", "classes": ["dog", "cat"]}', "class cat: object 1 has the class dog .* :2=cat$"),
    ("a.csv", "video,mask\na.mp4,a.png\n", r"a.csv, line 1: column mask: not one of .*; did you mean masks\?$"),
    ("a.jsonl", "{", "line 1"),
    ("a.jsonl", "5", "line 1: not readable .*; give a JSON object per line"),
    ("a.jsonl", '{"video": "a.mp4", "boxes": [1, [2]]}', r"box 1,\[2\]: expected \[FRAME\]"),
    ("a.jsonl", '{"video": "a.mp4", "masks": ["a.png"], "begin": 5}', "column begin: not one of name, video"),
])  # fmt: skip
def test_invalid_list_names_its_line(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words) as raised:
        read_jobs(tmp_path / name)
    assert str(raised.value).count(name) <= 1


def test_error_names_all_wrong_lines(tmp_path):
    (tmp_path / "a.csv").write_text("video,masks,start\na,m,x\nb,m,\n,m,\nd,m,y\n")
    with pytest.raises(InputError, match=r"line 2: start x: .*; also invalid: line 4, 5$"):
        read_jobs(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("video,masks,start,end,source\na,m,x,y,z\nb,m,1,,\n")
    with pytest.raises(InputError, match=r"line 2: start x: [^;]*$"):
        read_jobs(tmp_path / "a.csv")


def test_row_without_objects_fails_only_its_job(tmp_path):
    """As a video without masks in a folder: it can be drawn in the studio."""
    (tmp_path / "a.csv").write_text("video,masks\na.mp4,\n")
    (job,) = read_jobs(tmp_path / "a.csv")
    assert (job.name, job.masks, job.source_line) == ("a", (), f"{tmp_path / 'a.csv'}, line 2")


def test_row_without_objects_has_the_masks_beside_its_video(tmp_path):
    save(tmp_path / "a.mask.png", 1)  # the default name of `aotlab mask a.mp4`
    (tmp_path / "a.csv").write_text('video,boxes\na.mp4,\nb.mp4,"1,2,3,4"\n')
    save(tmp_path / "b.png", 1)
    first, second = read_jobs(tmp_path / "a.csv")
    assert first.masks == (parse_mask(tmp_path / "a.mask.png"),)
    assert second.masks == ()


def test_video_without_masks_gets_an_empty_job(tmp_path):
    with pytest.raises(InputError, match="no videos"):
        read_jobs(tmp_path)
    assert list_video_jobs([str(tmp_path / "a.mp4")])[0].masks == ()
    with pytest.raises(InputError, match="no such file"):
        read_jobs(tmp_path / "none.csv")


def test_masks_of_capital_suffixes_are_found(tmp_path):
    (tmp_path / "b.mp4").write_bytes(b"")
    save(tmp_path / "b.PNG", 1)
    for folder in (tmp_path / "c", tmp_path / "c.MASKS"):
        write_plain(folder, 1)
    jobs = read_jobs(tmp_path)
    assert [job.name for job in jobs] == ["b", "c"]
    assert [Path(job.masks[0].value).name for job in jobs] == ["b.PNG", "c.MASKS"]


def test_name_of_masks_beside_a_video_is_not_a_frame(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("1=a.png").touch()
    (job,) = list_video_jobs(["1=a.mp4"])
    assert job.masks == ((None, None, "1=a.png"),)


def test_unreadable_list_rejected(tmp_path):
    (tmp_path / "latin.csv").write_bytes("video,masks\né.mp4,a.png\n".encode("latin-1"))
    (tmp_path / "wide.csv").write_bytes("video,masks\na.mp4,a.png\n".encode("utf-16"))
    make_pipe(tmp_path / "pipe.csv")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    for name, words in (
        ("latin", "not readable"), ("wide", "not readable"), ("pipe", "not a regular file"),
        ("loop", "no such file"), ("n" * 300, "too long"),
    ):  # fmt: skip
        with pytest.raises((InputError, OSError), match=words):
            read_jobs(tmp_path / f"{name}.csv")


def test_error_names_the_closed_folder(closed_folder):
    for path in (closed_folder, closed_folder.parent, closed_folder / "a.csv"):
        with pytest.raises((InputError, OSError), match="closed"):
            read_jobs(path)


def test_current_folder_has_a_name(tmp_path, monkeypatch):
    folder = tmp_path / "clip"
    folder.mkdir()
    (tmp_path / "clip.png").write_bytes(b"")
    monkeypatch.chdir(folder)
    (job,) = list_video_jobs(["."])
    assert (job.name, job.masks) == ("clip", (parse_mask(tmp_path / "clip.png"),))


def test_jobs_of_folders_keep_the_suffix(tmp_path):
    for name in ("shot.v1", "shot.v2"):
        write_plain(tmp_path / "videos" / name, 1)
        save(tmp_path / "videos" / f"{name}.png", 1)
    (tmp_path / "jobs.csv").write_text(
        "video,masks\nvideos/shot.v1,videos/shot.v1.png\nvideos/shot.v2,videos/shot.v2.png\n"
    )
    jobs = read_jobs(tmp_path / "videos")
    assert [job.name for job in jobs] == ["shot.v1", "shot.v2"]
    assert jobs[1].masks == (parse_mask(tmp_path / "videos" / "shot.v2.png"),)
    assert [job.name for job in read_jobs(tmp_path / "jobs.csv")] == ["shot.v1", "shot.v2"]
