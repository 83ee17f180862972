"""Plans: what a run does with the results that an earlier run left."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from aotlab.media.job_record import JobRecord
from aotlab.utils.errors import InputError
from aotlab.video.plan import PreviousResults, PreviousRun, RerunOptions, plan_job, plan_list
from aotlab.video.track import JobOptions

MASKS, BOTH = ["masks"], ["masks", "coco.json"]
WANTED = JobRecord("a", "/a.mp4", "digest", error="not finished", written=BOTH, outputs=BOTH)
DONE = PreviousResults(replace(WANTED, error=None), frozenset(BOTH))
STOPPED = replace(DONE, record=WANTED, has_progress=True)
FEWER = replace(DONE, record=replace(DONE.record, written=MASKS, outputs=MASKS), existing=frozenset(MASKS))
OTHER = replace(DONE, record=replace(DONE.record, input_digest="other", video="/b.mp4"))
ONCE, FORCE, RESTART, LIST = (
    RerunOptions(), RerunOptions(force=True), RerunOptions(restart=True), RerunOptions(in_list=True)
)  # fmt: skip


def try_plan(plan):
    """The planned action, or "refuse"."""
    try:
        return plan()
    except InputError:
        return "refuse"


@pytest.mark.parametrize(("earlier", "rerun", "repeatable", "action"), [
    (PreviousResults(), ONCE, True, "track"),
    (DONE, ONCE, True, "reuse"),
    (DONE, LIST, True, "reuse"),
    (DONE, RESTART, True, "track"),
    (DONE, ONCE, False, "refuse"),  # a stream gives other frames each time
    (DONE, FORCE, False, "track"),
    (DONE, LIST, False, "reuse"),  # a list tracks a stream once
    (replace(DONE, existing=frozenset(MASKS)), ONCE, True, "track"),
    (STOPPED, ONCE, True, "resume"),
    (STOPPED, LIST, True, "resume"),
    (STOPPED, RESTART, True, "track"),
    (STOPPED, FORCE, False, "track"),
    (replace(STOPPED, has_progress=False), ONCE, True, "track"),
    (FEWER, ONCE, True, "refuse"),
    (FEWER, FORCE, True, "refuse"),
    (FEWER, RESTART, True, "track"),
    (FEWER, LIST, True, "track"),
    (OTHER, ONCE, True, "refuse"),
    (OTHER, RESTART, True, "refuse"),
    (OTHER, FORCE, True, "track"),
    (OTHER, LIST, True, "track"),
    (PreviousResults(existing=frozenset(MASKS)), RerunOptions(True, True, True), True, "refuse"),
    (PreviousResults(list_folder=True), FORCE, True, "refuse"),
    (replace(DONE, corrected=True), ONCE, True, "reuse"),
    (replace(OTHER, corrected=True), RerunOptions(force=True, restart=True), True, "refuse"),
    (replace(OTHER, corrected=True), LIST, True, "keep_corrections"),
    (PreviousResults(existing=frozenset(MASKS), corrected=True), LIST, True, "refuse"),
])  # fmt: skip
def test_job_is_tracked_resumed_reused_or_refused(earlier, rerun, repeatable, action):
    def plan():
        options = JobOptions(("masks", "coco"))
        return plan_job(Path("out"), WANTED, options, earlier, rerun, repeatable=repeatable)

    assert try_plan(plan) == action


def test_refusal_names_the_changed_inputs():
    with pytest.raises(
        InputError,
        match=r"output out: already contains results from different inputs \(coco.json; changed: video\)",
    ):
        plan_job(Path("out"), WANTED, JobOptions(("masks", "coco")), OTHER, ONCE, repeatable=True)


SETTINGS = {"write": ["coco", "masks"], "checkpoint": "x"}
EARLIER = PreviousRun(SETTINGS, ["a"], other_files=True)


@pytest.mark.parametrize(("earlier", "actions"), [
    (PreviousRun(), ("track", "track")),
    (PreviousRun(other_files=True), ("refuse", "track")),
    (PreviousRun(other_files=True, run_file="summary.csv"), ("refuse", "refuse")),
    (EARLIER, ("resume", "resume")),
    (replace(EARLIER, run_file="summary.csv"), ("resume", "resume")),
    (replace(EARLIER, settings={**SETTINGS, "write": ["coco", "masks", "x"]}), ("resume", "resume")),
    (replace(EARLIER, settings={**SETTINGS, "write": ["masks"]}), ("refuse", "track")),
    (replace(EARLIER, settings={**SETTINGS, "checkpoint": "y"}), ("refuse", "track")),
    (replace(EARLIER, settings="damaged"), ("refuse", "track")),
    (replace(EARLIER, jobs=["b"], removed=["b"]), ("refuse", "track")),
    (replace(EARLIER, jobs=["a", "b"], removed=["b"]), ("resume", "resume")),
])  # fmt: skip
def test_list_is_started_resumed_or_refused(earlier, actions):
    for force, action in zip((False, True), actions, strict=True):
        plan = partial(plan_list, Path("out"), earlier, ["a"], SETTINGS, force=force)
        assert try_plan(plan) == action
