"""Outputs deliver the source at its own depth and colors, while tracking and later."""

import json
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import OpenEXR
import pytest
import tifffile
from PIL import Image

from aotlab.sdk import build
from aotlab.utils.errors import InputError
from aotlab_compositing.cryptomatte import hash_name
from aotlab_compositing.edges import confine_edges
from aotlab_testing.marks import slow
from aotlab_testing.plate_files import (
    COUNT,
    PLATE_FILES,
    SIZE,
    draw_ramps,
    encode_display,
    read_rgb,
    write_film,
)
from aotlab_testing.repeating_tracker import RepeatingTracker
from aotlab_testing.video.stored_results import make_frame
from aotlab_testing.video_files import QUARTER_TURN, set_display_matrix
from aotlab_video.runs.job import RunOptions
from aotlab_video.runs.output import OutputContext
from aotlab_video.runs.outputs import list_outputs, make_output
from aotlab_video.runs.run import track
from aotlab_video.runs.store import Results
from aotlab_video.runs.views import render
from aotlab_video.sources.exr import PRIMARIES
from aotlab_video.sources.video import open_frames
from aotlab_video.sources.video_writer import TICK

OUTPUTS = {"alpha": "alpha", "exr": "exr", "prores": "alpha.mov"}
"""Files of the outputs with the plate."""
DISPLAY = (np.array([0, 0], np.int32), np.array([SIZE[1] - 1, SIZE[0] - 1], np.int32))
QUICK = ("16-bit PNG", "half EXR", "8-bit full-range video", "10-bit PQ video")
"""Kinds of sources that the quick suite tests."""
MASK = np.zeros(SIZE, np.uint8)
MASK[10:30, 20:40], MASK[10:30, 40:50] = 1, 2


def track_plates(video, folder, write=tuple(OUTPUTS), frames=(None, None), masks=None, classes=(), **options):
    run = RunOptions(write=write, progress=False, **options)
    source = open_frames(video)
    start, end = frames
    masks = {0: MASK} if masks is None else masks
    result = track(source, masks, folder, RepeatingTracker(), run, start=start, end=end, classes=classes)
    assert result.error is None
    return folder


def measure_prores(kind, video, folder):
    """Return the mean difference that ProRes makes, in 255ths, when it encodes the source itself."""
    expected, path = read_rgb(video), folder / "codec.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("prores_ks", rate=24, options={"profile": "4444"})
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuva444p10le"
        stream.codec_context.time_base = TICK
        for index, frame in enumerate(read_frames(kind, video)):
            image = frame.reformat(
                format=stream.pix_fmt,
                dst_colorspace=None if kind.is_video else "ITU709",
                dst_color_range=1,  # ProRes has no other
                threads=1,
            )
            image.pts, image.time_base = 5000 * index, TICK
            image.pict_type = 0  # else every frame of FFV1 becomes a key frame
            stream.codec_context.color_range = image.color_range
            stream.codec_context.colorspace = image.colorspace
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    expected = [encode_display(rgb) for rgb in expected] if kind.is_linear else expected
    return measure_difference(expected, read_rgb(path))


def read_frames(kind, video):
    if kind.is_video:
        with av.open(str(video)) as container:
            yield from container.decode(video=0)
        return
    for rgb in read_rgb(video):
        shown = encode_display(rgb) if kind.is_linear else rgb
        yield av.VideoFrame.from_ndarray((shown * 65535).round().astype(np.uint16), format="rgb48le")


def measure_difference(expected, found):
    """Return the mean difference of frames in 255ths."""
    assert len(expected) == len(found)
    return 255 * np.mean([np.abs(a - b).mean() for a, b in zip(expected, found, strict=True)])


def measure_outputs(kind, video, folder):
    """Return the mean difference from the source of each output that is there, in 255ths."""
    expected, found = read_rgb(video), {}
    for name, file in OUTPUTS.items():
        if (folder / file).exists():
            shown = [encode_display(rgb) for rgb in expected] if kind.is_linear and name == "prores" else expected
            if kind.is_video and name == "alpha":  # integers from 0 to 1
                shown = [rgb.clip(0, 1) for rgb in expected]
            found[name] = measure_difference(shown, read_rgb(folder / file))
    return found


@pytest.mark.parametrize("name", [*QUICK, *slow(*sorted({*PLATE_FILES} - {*QUICK}))])
def test_outputs_have_the_rgb_of_the_source(tmp_path, name):
    kind = PLATE_FILES[name]
    video = kind.write(tmp_path / "in")
    found = measure_outputs(kind, video, track_plates(video, tmp_path / "out"))
    assert found.keys() == OUTPUTS.keys()
    step = 1 / 257 if "8-bit" not in name else 1  # of the codes that RGB is rounded to once
    limits = {
        "alpha": 0.26 * step * kind.is_video,
        "exr": 1e-5 * (not kind.is_linear),
    }
    limits["prores"] = measure_prores(kind, video, tmp_path) + 0.1
    assert {name: value for name, value in found.items() if value > limits[name]} == {}, limits


@pytest.mark.slow
def test_table_of_plates_and_outputs(tmp_path, capsys):
    names = [name for name in OUTPUTS if name in list_outputs()]
    lines = [f"| plate | {' | '.join(names)} | ProRes itself |", "|---" * (len(names) + 2) + "|"]
    for name, kind in PLATE_FILES.items():
        (tmp_path / name).mkdir()
        video = kind.write(tmp_path / name / "in")
        found = measure_outputs(kind, video, track_plates(video, tmp_path / name / "out", tuple(names)))
        values = [*(found[name] for name in names), measure_prores(kind, video, tmp_path)]
        lines.append(f"| {name} | {' | '.join(f'{value:.3g}' for value in values)} |")
    with capsys.disabled():
        print("", *lines, sep="\n")


def read_tags(path):
    """Return primaries, transfer function and matrix of the first frame, its time code, and the kind of alpha."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        tags = (frame.color_primaries, frame.color_trc, frame.colorspace)
        code = {**container.metadata, **container.streams.video[0].metadata}.get("timecode")
        return tags, code, {key.lower(): value for key, value in container.metadata.items()}.get("comment")


@pytest.mark.parametrize("tags", [(9, 16, 9), *slow(((9, 18, 9),), ((1, 1, 1),), ((2, 2, 2),))], ids=str)
def test_movies_keep_color_tags_and_time_code(tmp_path, tags):
    video = write_film(tmp_path / "in", "yuv422p10le", "prores_ks", tags=tags, timecode="01:00:00:10", suffix="mov")
    masks = {1: MASK}
    out = track_plates(video, tmp_path / "out", ("prores", "exr"), frames=(1, None), masks=masks)
    assert read_tags(out / "alpha.mov") == (tags, "01:00:00:11", "alpha: straight")
    header, _ = read_exr(out / "exr" / "00002.exr")
    np.testing.assert_allclose(header.get("chromaticities", PRIMARIES[1]), PRIMARIES.get(tags[0], PRIMARIES[1]))
    code = header["timeCode"]
    assert (code.hours, code.minutes, code.seconds, code.frame) == (1, 0, 0, 12)


def test_exr_of_variable_rate_states_no_time(tmp_path):
    for name, times, stated in (("even", range(COUNT), True), ("gap", (0, 1, 4), False)):
        video = write_film(
            tmp_path / name, "yuv422p10le", "prores_ks", timecode="01:00:00:10", suffix="mov", times=times
        )
        out = track_plates(video, tmp_path / f"{name}.out", ("exr", "prores"), frames=(2, None), masks={2: MASK})
        header, _ = read_exr(out / "exr" / "00002.exr")
        assert [key in header for key in ("timeCode", "framesPerSecond")] == [stated] * 2
        assert read_tags(out / "alpha.mov")[1] == ("01:00:00:12" if stated else None)


@pytest.mark.parametrize("output", ["exr", "cryptomatte"])
def test_files_without_the_plate_keep_its_attributes(tmp_path, output):
    (tmp_path / "in").mkdir()
    header = {"camera/lens": 35.0, "cryptomatte/1234567/name": "gone", "owner": "us"}
    OpenEXR.File(header, {"RGB": np.ones((*SIZE, 3), np.float16)}).write(str(tmp_path / "in" / "0.exr"))
    out = track_plates(
        tmp_path / "in", tmp_path / "out", (output,), output_options={"no_plate": True} if output == "exr" else {}
    )
    found, _ = read_exr(out / output / "0.exr")
    assert (found["camera/lens"], found["owner"]) == (35, "us")
    assert "cryptomatte/1234567/name" not in found


def read_exr(path):
    with OpenEXR.File(str(path), separate_channels=True) as file:
        return dict(file.header()), {name: item.pixels for name, item in file.channels().items()}


def test_png_of_hdr_video_states_its_colors(tmp_path):
    video = write_film(tmp_path / "in", "yuv420p10le", tags=(9, 16, 9))
    out = track_plates(video, tmp_path / "out", ("alpha",))
    content = (out / "alpha" / "00000.png").read_bytes()
    start = content.index(b"cICP") + 4
    assert [*content[start : start + 4]] == [9, 16, 0, 1]
    assert cv2.imread(str(out / "alpha" / "00000.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint16


def test_outputs_keep_the_pixel_aspect(tmp_path):
    video = write_film(tmp_path / "in", "yuv420p", "libx264", aspect=Fraction(4, 3), suffix="mp4")
    out = track_plates(video, tmp_path / "out", ("alpha", "exr", "prores"))
    assert open_frames(out / "alpha.mov").pixel_aspect == Fraction(4, 3)
    assert read_exr(out / "exr" / "00000.exr")[0]["pixelAspectRatio"] == pytest.approx(4 / 3)
    with Image.open(out / "alpha" / "00000.png") as image:
        assert image.info["aspect"] == (3, 4)  # pixels per unit: horizontally and vertically


@pytest.mark.parametrize("plate", [True, False])
def test_exr_has_a_layer_for_each_object(tmp_path, plate):
    video = PLATE_FILES["half EXR"].write(tmp_path / "in")
    options = {"no_plate": not plate}
    classes = [":1=person", ":2=red car"]
    out = track_plates(video, tmp_path / "out", ("exr",), output_options=options, classes=classes)
    header, channels = read_exr(out / "exr" / "f.1002.exr")
    layers = {"person.1.A", "red_car.2.A"}
    source_header, source = read_exr(video / "f.1002.exr")
    assert channels.keys() == (layers | source.keys() if plate else layers)
    assert channels["person.1.A"].dtype == np.float16
    alpha = channels["person.1.A"]
    for name, values in source.items() if plate else ():
        np.testing.assert_array_equal(channels[name], values)
        assert channels[name].dtype == values.dtype
    # the data window begins two columns to the left of the image, and ends three rows before its end
    np.testing.assert_array_equal(header["dataWindow"], source_header["dataWindow"])
    alpha = alpha[:, 2:]
    assert header["timeCode"].frame == 5
    np.testing.assert_array_equal(alpha > 0.5, (MASK == 1)[: len(alpha)])


def test_layers_of_the_plate_are_kept(tmp_path):
    video = PLATE_FILES["half EXR"].write(tmp_path / "in")
    first = track_plates(video, tmp_path / "first", ("exr",), classes=[":1=ball"])
    results = first / "exr"
    mask = np.roll(MASK, 10, axis=0) * (MASK == 1)
    second = track_plates(results, tmp_path / "second", ("exr", "cryptomatte"), masks={0: mask}, classes=[":1=ball"])
    before, after = (read_exr(folder / "exr" / "f.1002.exr")[1] for folder in (first, second))
    assert after.keys() - before.keys() == {"ball.1_2.A"}
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)
    assert decode_cryptomatte(second / "cryptomatte" / "f.1002.exr", "ball.1_2").any()
    texts = render(second, "exr", progress=False).summaries
    assert texts == ("exr: the plate has layers of the same names, so new ones are ball.1_2",)


def test_all_parts_of_a_plate_are_kept(tmp_path):
    (tmp_path / "in").mkdir()
    header, empty = {"type": OpenEXR.scanlineimage, "displayWindow": DISPLAY}, np.zeros(SIZE, np.float16)
    parts = [
        OpenEXR.Part(header | {"view": "left"}, dict.fromkeys("RGB", empty + 0.25), "left"),
        OpenEXR.Part(header | {"view": "right"}, {"R": empty + 0.5, "id": np.full(SIZE, 7, np.uint32)}, "right"),
    ]
    OpenEXR.File(parts).write(str(tmp_path / "in" / "0.exr"))
    out = track_plates(tmp_path / "in", tmp_path / "out", ("exr",), classes=[":1=été/猫"])
    with OpenEXR.File(str(out / "exr" / "0.exr"), separate_channels=True) as file:
        left, right = file.parts
        assert [part.header["view"] for part in file.parts] == ["left", "right"]
        assert left.channels.keys() == {*"RGB", "été_猫.1.A", "object.2.A"}
        assert (left.channels["G"].pixels == 0.25).all()
        np.testing.assert_array_equal(left.channels["été_猫.1.A"].pixels > 0.5, MASK == 1)
        assert {name: item.pixels.max() for name, item in right.channels.items()} == {"R": 0.5, "id": 7}


def test_dwaa_keeps_alpha_and_is_near_the_plate(tmp_path):
    video = PLATE_FILES["half EXR"].write(tmp_path / "in")
    out = track_plates(video, tmp_path / "out", ("exr",), output_options={"compression": "dwaa"})
    header, channels = read_exr(out / "exr" / "f.1001.exr")
    assert header["compression"] == OpenEXR.DWAA_COMPRESSION
    np.testing.assert_array_equal(channels["object.1.A"][:, 2:] > 0.5, (MASK == 1)[:-3])
    np.testing.assert_allclose(channels["R"], read_exr(video / "f.1001.exr")[1]["R"], atol=0.04)


def decode_cryptomatte(path, name):
    """Return the coverage of an object of a Cryptomatte by its specification."""
    header, channels = read_exr(path)
    (key,) = {key.rpartition("/")[0] for key in header if key.startswith("cryptomatte/")}
    assert header[f"{key}/conversion"] == "uint32_to_float32"
    assert header[f"{key}/hash"] == "MurmurHash3_32"
    layer, bits = header[f"{key}/name"], int(json.loads(header[f"{key}/manifest"])[name], 16)
    assert key == f"cryptomatte/{hash_name(layer):08x}"[:-1]
    wanted, coverage = np.array(bits, np.uint32).view(np.float32), np.zeros(SIZE)
    for group in sorted({channel[: len(layer) + 2] for channel in channels}):
        for owner, part in ("RG", "BA"):
            owners, parts = channels[f"{group}.{owner}"], channels[f"{group}.{part}"]
            assert owners.dtype == parts.dtype == np.float32
            coverage += np.where(owners == wanted, parts, 0)
    return coverage


def test_cryptomatte_decodes_to_the_probabilities(tmp_path):
    video = PLATE_FILES["8-bit PNG"].write(tmp_path / "in")
    out = track_plates(video, tmp_path / "out", ("cryptomatte",), classes=[":1=dög"])
    results, source = Results.read(out), open_frames(video)
    for tracked in results.read_frames(source):
        for position, name in enumerate(("dög.1", "object.2")):
            found = decode_cryptomatte(out / "cryptomatte" / f"{tracked.name}.exr", name)
            np.testing.assert_allclose(found, tracked.probabilities[position], atol=1e-6)


def test_each_object_has_its_movie(tmp_path):
    video = PLATE_FILES["10-bit PQ video"].write(tmp_path / "in")
    options = {"per_object": True}
    masks = {0: MASK * (MASK == 1), 1: MASK * (MASK == 2)}  # the second object appears later
    out = track_plates(video, tmp_path / "out", ("prores",), masks=masks, output_options=options)
    assert sorted(path.name for path in (out / "prores").iterdir()) == ["object.1.mov", "object.2.mov"]
    assert Results.read(out).list_written() == {"prores"}
    for object_id in (1, 2):
        alphas = read_alpha(out / "prores" / f"object.{object_id}.mov")
        assert len(alphas) == COUNT
        for index, alpha in enumerate(alphas):
            expected = np.equal(MASK, object_id) & (index >= object_id - 1)
            assert np.abs(alpha - expected).mean() < 0.01, (object_id, index)


def read_alpha(path):
    """Return alpha, or brightness of a movie without, from 0 to 1."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [*container.decode(stream)]
    values = []
    for frame in frames:
        has_alpha = "a" in frame.format.name
        plane = frame.planes[3 if has_alpha else 0]
        depth = frame.format.components[0].bits
        codes = np.frombuffer(plane, np.uint8 if depth == 8 else np.uint16).reshape(plane.height, -1)[:, : plane.width]
        step = 2 ** (depth - 8)
        values.append(codes / (2**depth - 1) if has_alpha else (codes - 16.0 * step) / (219 * step))
    return values


def test_alpha_is_the_confined_probability_of_any_object(tmp_path):
    video = PLATE_FILES["8-bit PNG"].write(tmp_path / "in")
    out = track_plates(video, tmp_path / "out", ("alpha", "mattes16"))
    for tracked in Results.read(out).read_frames(open_frames(video)):
        expected = confine_edges(tracked)
        with Image.open(out / "alpha" / f"{tracked.name}.png") as image:
            pixels = np.array(image)
        np.testing.assert_array_equal(pixels[..., :3], tracked.frame)
        np.testing.assert_allclose(pixels[..., 3], expected.alpha * 255, atol=0.5)
        for object_id, probability in zip(tracked.ids, expected.probabilities, strict=True):
            with Image.open(out / "mattes16" / str(object_id) / f"{tracked.name}.png") as image:
                assert image.mode == "I;16"
                np.testing.assert_allclose(np.array(image), probability * 65535, atol=0.5)


@pytest.mark.parametrize("refine", [False, True])
def test_given_soft_masks_stay(tmp_path, refine):
    video = PLATE_FILES["8-bit PNG"].write(tmp_path / "in")
    values = np.linspace(0, 1, SIZE[1], dtype=np.float32) * np.ones(SIZE, np.float32)
    out = track_plates(
        video, tmp_path / "out", ("mattes16", "soft"), masks={0: values}, output_options={"refine_edges": refine}
    )
    names = [tracked.name for tracked in Results.read(out).read_frames(open_frames(video))]
    first, second = (np.array(Image.open(out / "mattes16" / "1" / f"{name}.png")) / 65535 for name in names[:2])
    np.testing.assert_allclose(first, values, atol=1e-3)
    assert np.isin(second, (0, 1)).mean() > 0.3


@pytest.mark.parametrize("output", ["alpha", "prores"])
def test_premultiplied_colors_are_black_outside(tmp_path, output):
    video = PLATE_FILES["16-bit PNG"].write(tmp_path / "in")
    out = track_plates(video, tmp_path / "out", (output,), output_options={"alpha": "premultiplied"})
    expected = draw_ramps() * (MASK > 0)[..., None]
    assert np.abs(read_rgb(out / OUTPUTS[output])[0] - expected).mean() < 0.01
    if output == "prores":
        assert read_tags(out / "alpha.mov")[2] == "alpha: premultiplied"
    else:
        assert b"alpha: premultiplied" in (out / "alpha" / "f.1001.png").read_bytes()


def test_option_without_effect_rejected():
    problem = r"per_object=True \(--per-object\): no effect on masks, exr; write prores"
    with pytest.raises(InputError, match=problem):
        build(RunOptions, {"write": ("masks", "exr"), "output_options": {"per_object": True}})


@pytest.mark.parametrize("both", [False, True], ids=["forward", "both directions"])
def test_plates_while_tracking_equal_those_rendered_later(tmp_path, both):
    video = PLATE_FILES["10-bit PQ video"].write(tmp_path / "in")
    out = track_plates(video, tmp_path / "out", ("alpha",), masks={0: MASK, 2: MASK}, both_directions=both)
    tracked = read_rgb(out / "alpha")
    render(out, "alpha", progress=False)
    np.testing.assert_array_equal(tracked, read_rgb(out / "alpha"))
    assert cv2.imread(str(out / "alpha" / "00001.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint16


def test_phone_video_is_delivered_upright(tmp_path):
    video = write_film(tmp_path / "in", "yuv420p", "libx264", suffix="mp4", crf="1")
    set_display_matrix(video, QUARTER_TURN)
    mask = np.ascontiguousarray(MASK.T)
    out = track_plates(video, tmp_path / "out", ("alpha", "prores"), masks={0: mask})
    upright = np.rot90(draw_ramps(), -1)
    for name in ("alpha", "alpha.mov"):
        found = read_rgb(out / name)[0]
        assert found.shape == upright.shape
        assert np.abs(found - upright).mean() < 0.02, name


def test_exr_of_video_is_neither_clipped_nor_rounded(tmp_path):
    video = write_film(tmp_path / "in", "yuv420p10le", tags=(9, 16, 9))
    plate: Any = open_frames(video).read_plate(0)
    for plane, code in zip(plate.frame.planes, (1018, 700, 512), strict=True):
        plane.update(bytes(np.full(plane.buffer_size // 2, code, np.uint16)))
    y, u = (1018 - 64) / 876, (700 - 512) / 896
    blue, green = y + 2 * (1 - 0.0593) * u, y - 2 * 0.0593 * (1 - 0.0593) / 0.678 * u
    tracked = make_frame(0, plate.to_image(), MASK, name="0", soft=np.zeros((0, *SIZE), np.uint16), stored_plate=plate)
    output = make_output("exr")
    output.open(tmp_path / "exr", OutputContext(open_frames(video)))
    output.write(tracked)
    channels = read_exr(tmp_path / "exr" / "0.exr")[1]
    for name, value in zip("RGB", (y, green, blue), strict=True):
        np.testing.assert_allclose(channels[name], value, rtol=1e-5)


def test_display_window_of_mattes_is_that_of_the_plate(tmp_path):
    windows = {
        "dataWindow": (np.array([12, 11], np.int32), np.array([31, 30], np.int32)),
        "displayWindow": (np.array([10, 10], np.int32), np.array([73, 57], np.int32)),
    }
    (tmp_path / "in").mkdir()
    OpenEXR.File(windows, {"RGB": np.ones((20, 20, 3), np.float16)}).write(str(tmp_path / "in" / "0.exr"))
    out = track_plates(tmp_path / "in", tmp_path / "out", ("cryptomatte", "exr"))
    header, channels = read_exr(out / "cryptomatte" / "0.exr")
    np.testing.assert_array_equal(header["dataWindow"], windows["displayWindow"])
    np.testing.assert_array_equal(channels["CryptoObject00.G"], MASK > 0)
    header, channels = read_exr(out / "exr" / "0.exr")
    np.testing.assert_array_equal(header["dataWindow"], windows["dataWindow"])
    np.testing.assert_array_equal(channels["object.1.A"] > 0.5, (MASK == 1)[1:21, 2:22])


P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290)
AP0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)


@pytest.mark.parametrize(("chromaticities", "code"), [(P3, 12), *slow((AP0, 2), (None, 1))])
def test_outputs_of_exr_state_its_primaries(tmp_path, chromaticities, code):
    (tmp_path / "in").mkdir()
    header = {
        "dataWindow": (np.array([-2, -1], np.int32), np.array([65, 48], np.int32)),
        "displayWindow": (np.array([0, 0], np.int32), np.array([63, 47], np.int32)),
        "note": "kept",
    }
    if chromaticities is not None:
        header["chromaticities"] = chromaticities
    OpenEXR.File(header, {"RGB": np.full((50, 68, 3), 0.5, np.float16)}).write(str(tmp_path / "in" / "0.exr"))
    out = track_plates(tmp_path / "in", tmp_path / "out", ("prores", "alpha", "overlay"))
    assert read_tags(out / "alpha.mov")[0] == (code, 13, 1)
    assert read_tags(out / "overlay.mp4")[0][0] == code
    found, channels = read_exr(out / "alpha" / "0.exr")
    np.testing.assert_array_equal(found["dataWindow"], header["dataWindow"])
    assert found["note"] == "kept"
    assert channels["A"].shape == (50, 68)
    np.testing.assert_array_equal(channels["R"], np.float16(0.5))
    np.testing.assert_array_equal(channels["A"][1:-1, 2:-2] > 0.5, MASK > 0)
    np.testing.assert_allclose(found.get("chromaticities", PRIMARIES[1]), chromaticities or PRIMARIES[1], atol=1e-6)


@pytest.mark.parametrize("kind", [np.int16, np.uint32, np.float64])
def test_values_that_png_lacks_become_exr(tmp_path, kind):
    values = (np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) * 7 - 500 * (kind != np.uint32)).astype(kind)
    tifffile.imwrite(tmp_path / "cells.tif", np.stack([values] * 2), photometric="minisblack", metadata={"axes": "TYX"})
    out = track_plates(tmp_path / "cells.tif", tmp_path / "out", ("alpha",))
    header, channels = read_exr(out / "alpha" / "00001.exr")
    assert header["aotlab/alpha"] == "straight"
    for name in "RGB":
        np.testing.assert_array_equal(channels[name], values.astype(np.float32))
    np.testing.assert_array_equal(channels["A"] > 0.5, MASK > 0)
