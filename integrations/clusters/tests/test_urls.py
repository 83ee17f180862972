"""Jobs with inputs and outputs on the file systems of fsspec."""

import itertools
import json
import pickle
import shutil
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

fsspec = pytest.importorskip("fsspec", reason="jobs with URLs need fsspec (pip install fsspec)")
from aotlab_clusters import RECORD, download_results, run_job, upload_results  # noqa: E402
from clips import OPTIONS  # noqa: E402

from aotlab import InputError, Job, RunOptions, TrackerOptions, load_model  # noqa: E402
from aotlab.configs.files import BUNDLED_CHECKPOINT  # noqa: E402
from aotlab.networks.weights.checkpoints import save_checkpoint  # noqa: E402
from aotlab.sdk import Results, TrackedFrame  # noqa: E402


@pytest.fixture(scope="module")
def s3():
    """Address of a bucket on an S3 server in this process."""
    server = pytest.importorskip("moto.server", reason="the S3 test needs moto (pip install 'moto[server]' s3fs)")
    pytest.importorskip("s3fs", reason="the S3 test needs s3fs (pip install s3fs)")
    patch = pytest.MonkeyPatch()
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        patch.setenv(name, value)
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("bucket")
    yield "s3://bucket"
    running.stop()
    patch.undo()


def put(job, base):
    """The job with its inputs copied to a URL."""
    files, root = fsspec.core.url_to_fs(f"{base}/inputs")
    files.put(f"{job.video}/", f"{root}/{job.name}/", recursive=True)
    files.put_file(job.masks[0].value, f"{root}/{job.name}.png")
    return Job(job.name, f"{base}/inputs/{job.name}", (f"0={base}/inputs/{job.name}.png",))


def read(files, root):
    """Results below a URL by path, without the record."""
    root = files._strip_protocol(root)
    paths = [path for path in files.find(root) if not path.endswith(RECORD)]
    return {path.removeprefix(f"{root}/"): files.cat_file(path) for path in paths}


def test_file_url_is_a_local_folder(jobs, tmp_path):
    assert run_job(jobs[0], (tmp_path / "a").as_uri(), options=OPTIONS).error is None
    assert len([*(tmp_path / "a" / "masks").glob("*.png")]) == 6


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_results_at_url_match_local(kind, jobs, undisturbed, request):
    base = "memory://base" if kind == "memory" else request.getfixturevalue("s3")
    job, output = put(jobs[0], base), f"{base}/results/a"
    result = run_job(job, output, options=OPTIONS)
    assert (result.error, result.frames, result.reused) == (None, 6, False)
    files, root = fsspec.core.url_to_fs(output)
    found = read(files, root)
    assert {f"a/{path}": content for path, content in found.items()} == {
        path: content for path, content in undisturbed.items() if path.startswith("a/")
    }
    assert run_job(job, output, options=OPTIONS).reused


def test_upload_killed_before_its_last_file_is_repeated(jobs, undisturbed, monkeypatch):
    output = "memory://base/results/killed"
    job, files = put(jobs[0], "memory://base"), fsspec.filesystem("memory")
    put_file, stored = type(files).put_file, []

    def kill_at_the_end(self, source, target, **options):
        stored.append(target)
        if stored.count(f"/base/results/killed/{RECORD}") == 2:
            raise KeyboardInterrupt
        put_file(self, source, target, **options)

    monkeypatch.setattr(type(files), "put_file", kill_at_the_end)
    with pytest.raises(KeyboardInterrupt):
        run_job(job, output, options=OPTIONS)
    monkeypatch.setattr(type(files), "put_file", put_file)
    assert files.exists("/base/results/killed/coco.json")
    assert not run_job(job, output, options=OPTIONS).reused
    assert len(read(files, output)) == len([path for path in undisturbed if path.startswith("a/")])
    assert run_job(job, output, options=OPTIONS).reused


class Killed(BaseException):
    """Stands for a kill."""


OLD, NEW = ("coco", 3), ("mots", 2)
"""Output and number of frames of two runs."""


def store(folder, run):
    """Write results of a run as if its video had been tracked."""
    output, frames = run
    results = Results(folder=folder, inputs={"run": output}, name="a", objects=[1])
    results = results.open(force=True)
    results.start()
    for index in range(frames):
        labels = np.full((4, 6), output == "mots", np.uint8)
        results.append(TrackedFrame(index, f"{index:05d}", np.zeros((4, 6, 3)), labels, {1: 1.0}))
    (folder / output).write_text("an output")
    results.status, results.outputs = "done", {output: [output]}
    results.save()
    results.close()


def upload(folder, run):
    """Replace results at a URL by those of a run."""
    files = fsspec.filesystem("memory")
    names = download_results(files, "/kills/a", folder)
    earlier = Results.read(folder)
    folder.mkdir(exist_ok=True)
    store(folder, run)
    upload_results(folder, files, "/kills/a", names, earlier, {})


def download(folder):
    """Download the results at a URL; return their files with the masks of all frames, without the record."""
    download_results(fsspec.filesystem("memory"), "/kills/a", folder)
    results = Results.read(folder)
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    return results, {name: content for name, content in found.items() if name != RECORD}


def test_kill_between_operations_leaves_no_incomplete_results(tmp_path, monkeypatch):
    files, statuses = fsspec.filesystem("memory"), []
    upload(tmp_path / "old", OLD)
    _, old = download(tmp_path / "downloaded old")
    before = {path: files.cat_file(path) for path in files.find("/kills/a")}
    upload(tmp_path / "new", NEW)
    _, new = download(tmp_path / "downloaded new")
    assert sorted(new) == ["frames.jsonl", "masks/00000.png", "masks/00001.png"]
    for number in itertools.count():
        files.rm("/kills/a", recursive=True)
        files.pipe(before)
        operations = itertools.count()

        def limit(function, number=number, operations=operations):
            def work_or_die(*args, **options):
                if next(operations) >= number:
                    raise Killed
                return function(*args, **options)

            return work_or_die

        with monkeypatch.context() as patch, suppress(Killed):
            for name in ("put_file", "rm_file"):
                patch.setattr(type(files), name, limit(getattr(type(files), name)))
            upload(tmp_path / f"killed {number}", NEW)
            break
        results, found = download(tmp_path / f"found {number}")
        statuses.append(results.status)
        if results.status == "done":
            assert found == old
        upload(tmp_path / f"again {number}", NEW)
        results, found = download(tmp_path / f"complete {number}")
        assert (results.status, found, {*results.list_written()}) == ("done", new, {"mots"})
    assert statuses == ["done"] + ["unfinished"] * (len(statuses) - 1)
    assert len(statuses) == 8  # two records, two removed files, four others


def test_corrected_results_at_url_are_not_replaced(tmp_path):
    upload(tmp_path / "new", NEW)
    results, _ = download(tmp_path / "corrected")
    results.corrected = True
    results.save()
    with pytest.raises(InputError, match="corrected masks; add outputs to a copy on this machine"):
        upload_results(tmp_path / "corrected", fsspec.filesystem("memory"), "/kills/a", [], None, {})


def test_files_of_others_are_not_replaced(jobs):
    files = fsspec.filesystem("memory")
    files.pipe_file("/base/results/mine/masks/00000.png", b"of a person")
    result = run_job(put(jobs[0], "memory://base"), "memory://base/results/mine", options=OPTIONS)
    assert result.error.startswith(
        "output memory://base/results/mine: already contains masks, which aotlab did not write"
    )
    assert files.find("/base/results/mine") == ["/base/results/mine/masks/00000.png"]


def test_changed_mask_replaces_results_with_force_only(jobs):
    output, files = "memory://base/results/changed", fsspec.filesystem("memory")
    job = put(jobs[0], "memory://base")
    run_job(job, output, options=OPTIONS)
    files.put_file(jobs[1].masks[0].value, "/base/inputs/a.png")
    assert run_job(job, output, options=OPTIONS).error.startswith(f"output {output}: already contains results of ")
    assert run_job(job, output, options=OPTIONS, force=True).frames == 6
    files.pipe_file("/base/results/changed/masks/mine.png", b"of a person")
    files.put_file(jobs[0].masks[0].value, "/base/inputs/a.png")
    assert run_job(job, output, options=OPTIONS, force=True).frames == 6
    assert files.cat_file("/base/results/changed/masks/mine.png") == b"of a person"


def test_outputs_are_added_to_finished_results(jobs):
    job, output, files = put(jobs[0], "memory://base"), "memory://base/results/more", fsspec.filesystem("memory")
    assert run_job(job, output, options=RunOptions(write=("masks",))).frames == 6
    assert run_job(job, output, options=OPTIONS).reused
    assert files.exists("/base/results/more/coco.json")
    record = json.loads(files.cat_file(f"/base/results/more/{RECORD}"))
    assert (record["status"], record["outputs"]) == ("done", {"coco": ["coco.json"]})
    assert (record["video"], record["masks"]) == (job.video, [f"0={job.masks[0].value}"])


def test_changed_mask_beside_a_local_video_replaces_results(jobs, tmp_path):
    shutil.copytree(jobs[0].video, tmp_path / "clip")
    job, output = Job("clip", tmp_path / "clip"), "memory://base/results/beside"
    for mask in (jobs[0].masks[0].value, jobs[1].masks[0].value):
        shutil.copyfile(mask, tmp_path / "clip.png")
        assert run_job(job, output, options=OPTIONS, force=True).frames == 6
    assert run_job(job, output, options=OPTIONS).reused


def test_url_without_masks_is_named_in_the_error(jobs):
    job = replace(put(jobs[0], "memory://base"), masks=())
    result = run_job(job, "memory://base/results/bare", options=OPTIONS)
    assert result.error == f"{job.video}: nothing to track; give a box, points or masks"


def test_changed_frames_and_weights_replace_results(jobs, tmp_path):
    output, weights = "memory://base/results/frames", tmp_path / "weights.safetensors"
    job, files = put(jobs[0], "memory://base"), fsspec.filesystem("memory")
    shutil.copyfile(BUNDLED_CHECKPOINT, weights)
    tracker = TrackerOptions(weights)
    run_job(job, output, tracker=tracker, options=OPTIONS)
    last = sorted(files.find("/base/inputs/" + job.name))[-1]
    files.pipe_file(last, files.cat_file(sorted(files.find("/base/inputs/" + job.name))[0]))
    assert run_job(job, output, tracker=tracker, options=OPTIONS, force=True).frames == 6
    model, config = load_model(weights)
    next(model.parameters()).data.mul_(1.01)
    save_checkpoint(weights, model, config)
    assert run_job(job, output, tracker=tracker, options=OPTIONS, force=True).frames == 6


def test_bad_input_is_returned_as_error(jobs):
    job = Job("missing", "memory://no/video.mp4", jobs[0].masks)
    result = run_job(job, "memory://base/results/missing")
    assert result.error == "memory://no/video.mp4: no such file; check the address"


def test_error_names_the_url_of_an_input(jobs):
    fsspec.filesystem("memory").pipe_file("/base/inputs/broken.mp4", b"no video")
    result = run_job(Job("a", "memory://base/inputs/broken.mp4", jobs[0].masks), "memory://base/results/broken")
    assert result.error.startswith("memory://base/inputs/broken.mp4: ")
    assert "/tmp" not in result.error


@pytest.mark.parametrize("protocol", ["rtsp", "rtmp", "srt", "udp"])
def test_unreachable_stream_is_returned_as_error(jobs, protocol):
    job = Job("stream", f"{protocol}://127.0.0.1:1/live", jobs[0].masks)
    result = run_job(job, "memory://base/results/stream", options=replace(OPTIONS, timeout=2))
    assert result.error.startswith(f"{protocol}://127.0.0.1:1/live: ")


def test_function_and_result_can_be_pickled(jobs):
    assert pickle.loads(pickle.dumps((run_job, jobs[0], OPTIONS)))[0] is run_job
