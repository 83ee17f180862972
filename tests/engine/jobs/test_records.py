"""Records of jobs that somebody changed, and folders of results that try to reach out of themselves."""

import json
import os

import pytest

from aotlab.engine.jobs.listing import Job
from aotlab.engine.jobs.records import FOLDER, RUN, RUN_KIND, JobRecord, claim_folder, digest_of, record_path
from aotlab.engine.jobs.reviews import write_reviews
from aotlab.utils.errors import InputError
from aotlab.utils.versioned_json import load_record, save_record, wrap

SETTINGS = {"a": 1}
WRONG = ["", "{", "[]", "5", "null", '{"name": 5}', '{"jobs": 5, "settings": {}}', "[" * 100000, b"\xff\xfe"]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def jobs(tmp_path):
    for name in ("run", "b"):
        (tmp_path / f"{name}.png").write_bytes(b"x")
    return [
        Job(name, str(tmp_path / f"{name}.mp4"), (str(tmp_path / f"{name}.png"),)) for name in ("run", "b")
    ]


def test_a_video_called_run_does_not_replace_the_record_of_the_run(tmp_path, jobs):
    output = tmp_path / "out"
    for _ in range(2):
        claim_folder(output, jobs, SETTINGS, force=False)
        save_record(record_path(output, "run"), JobRecord("run"))
    assert load_record(record_path(output, "run"), JobRecord) == JobRecord("run")


@pytest.mark.parametrize("content", WRONG)
def test_a_damaged_record_of_the_run_is_no_run_and_can_be_replaced(tmp_path, jobs, content):
    output = tmp_path / "out"
    write(output / FOLDER / RUN, content)
    with pytest.raises(InputError, match="not of such a run"):
        claim_folder(output, jobs, SETTINGS, force=False)
    claim_folder(output, jobs, SETTINGS, force=True)
    claim_folder(output, jobs, SETTINGS, force=False)


@pytest.mark.parametrize("name", ["../mine", "..", ".", "", "/mine", "a/../../mine", 5, None])
def test_replacing_results_removes_nothing_outside_the_folder(tmp_path, jobs, name):
    output = tmp_path / "out"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work").write_text("x")
    write(output / FOLDER / RUN, json.dumps(wrap(RUN_KIND, {"settings": {}, "jobs": [name]})))
    write(output / "other", "kept")
    claim_folder(output, jobs, SETTINGS, force=True)
    assert (tmp_path / "mine" / "work").read_text() == "x"
    assert (output / "other").read_text() == "kept"


@pytest.mark.parametrize("name", ["review.html", "Summary.csv", "review.json"])
def test_a_job_with_the_name_of_a_review_file_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="review file of the run"):
        claim_folder(tmp_path / "out", [Job(name, "a.mp4", ("a.png",))], SETTINGS, force=False)


def test_links_that_lead_nowhere_and_masks_that_are_no_files_are_named(tmp_path):
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "0.jpg").symlink_to(tmp_path / "gone")
    (tmp_path / "m.png").write_bytes(b"x")
    assert digest_of(Job("a", str(tmp_path / "frames"), (str(tmp_path / "m.png"),)), SETTINGS)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for mask in ("pipe.png", "loop.png", "gone.png", "n" * 300):
        with pytest.raises(InputError):
            digest_of(Job("a", str(tmp_path / "frames"), (str(tmp_path / mask),)), SETTINGS)


@pytest.mark.parametrize(
    "content", [*WRONG, '{"objects": [{"id": "<b>", "lost_on": []}], "check": []}', '{"objects": 5}']
)
def test_a_changed_review_of_a_video_leaves_that_of_the_run_empty(tmp_path, content):
    write(tmp_path / "a" / "review.json", content)
    write_reviews(tmp_path, ["a"], [JobRecord("a", "\udcff.mp4")])
    assert "<b>" not in (tmp_path / "review.html").read_text()
    assert json.loads((tmp_path / "review.json").read_text())[0]["objects"] == 0


def test_reviews_of_earlier_versions_are_read(tmp_path):
    old = {"objects": [{"id": 4, "label": "cat", "lost_on": []}]}
    write(
        tmp_path / "a" / "report.json",
        json.dumps(old | {"check": [{"frame": 7, "object": 4, "reason": "lost"}]}),
    )
    write_reviews(tmp_path, ["a"], [JobRecord("a", "a.mp4")])
    notes = json.loads((tmp_path / "review.json").read_text())[0]["notes"]
    assert (notes["objects"][0]["class_name"], notes["check"][0]["object_id"]) == ("cat", 4)
