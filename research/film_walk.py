"""Walk through film work with the bundled model; results are read by OpenImageIO and by FFmpeg's program.

``pip install OpenImageIO imageio-ffmpeg``, then ``python -m research.film_walk FOLDER``: a table of what was expected
and found, with exit code 1 if a line is wrong. Sources are drawn: a bright disc moves over a smooth ground.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import cv2
import imageio_ffmpeg
import numpy as np
import OpenEXR
import OpenImageIO

from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import Folder
from research.bundled.edge_clips import draw_strands

SIZE, COUNT = (180, 320), 8
BOX = "40,60,60,60"
AOTLAB, FFMPEG = str(Path(sys.executable).with_name("aotlab")), imageio_ffmpeg.get_ffmpeg_exe()
MIN_IOU = 0.9
rows: list[tuple[str, str, str, bool]] = []


def check(case: str, expected: str, found: object, is_right: bool) -> None:
    rows.append((case, expected, str(found), bool(is_right)))
    print(f"| {case} | {expected} | {found} | {'right' if is_right else 'WRONG'} |", flush=True)


def aotlab(*arguments: object) -> tuple[int, str]:
    """Run the command; return its exit code and its text."""
    done = subprocess.run([AOTLAB, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        print(done.stderr.strip(), file=sys.stderr)
    return done.returncode, f"{done.stdout}{done.stderr}".strip()


def track(source: Path, output: Path, *arguments: object, box: str = BOX) -> tuple[int, str]:
    return aotlab("track", source, "--box", box, "--output", output, "--force", *arguments)


def ffmpeg(*arguments: object) -> None:
    subprocess.run([FFMPEG, "-v", "error", "-y", *map(str, arguments)], check=True)


def read_with_ffmpeg(path: Path, layout: str = "rgba64le") -> np.ndarray:
    """Return T×H×W×4 from 0 to 1."""
    raw = subprocess.run(
        [FFMPEG, "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", layout, "-"],
        capture_output=True,
        check=True,
    ).stdout
    return np.frombuffer(raw, np.uint16).reshape(-1, *SIZE, 4) / 65535


def read_with_oiio(path: Path) -> tuple[dict[str, np.ndarray], OpenImageIO.ImageSpec]:
    """Return the channels of the first part by name, not multiplied by alpha, and its attributes."""
    as_stored = OpenImageIO.ImageSpec()
    as_stored.attribute("oiio:UnassociatedAlpha", 1)
    file = OpenImageIO.ImageInput.open(str(path), as_stored)
    spec, values = file.spec(), file.read_image(OpenImageIO.FLOAT)
    file.close()
    return {name: values[..., index] for index, name in enumerate(spec.channelnames)}, spec


def draw_frame(index: int, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Return RGB H×W×3 float32 from 0 to 1 and the mask of the disc H×W bool."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    inside = (x - 70 - 3 * index) ** 2 + (y - 90) ** 2 < 28**2
    ground = np.stack([0.1 + 0.2 * y / size[0], 0.2 + 0.2 * x / size[1], 0.3 + 0.1 * np.sin(x / 9)], -1)
    disc = np.stack([0.8 + 0.1 * np.sin(x / 3), 0.5 + 0.2 * np.cos(y / 4), np.full_like(x, 0.1)], -1)
    return np.where(inside[..., None], disc, ground).astype(np.float32), inside


def write_film(path: Path, *options: object, frames: Sequence[np.ndarray] = (), rate: str = "24") -> Path:
    """Encode frames H×W×3 from 0 to 1, by default the drawn ones, with FFmpeg's program."""
    frames = frames or [draw_frame(index)[0] for index in range(COUNT)]
    source = f"-v error -y -f rawvideo -pix_fmt rgb48le -s {SIZE[1]}x{SIZE[0]} -r {rate} -i -".split()
    raw = (65535 * np.stack(frames)).round().astype(np.uint16).tobytes()
    subprocess.run([FFMPEG, *source, *map(str, options), str(path)], input=raw, check=True)
    return path


def measure_iou(matte: np.ndarray, truth: np.ndarray) -> float:
    return float((truth & (matte > 0.5)).sum() / (truth | (matte > 0.5)).sum())


def pass_twice(root: Path) -> None:
    plate = root / "plate"
    plate.mkdir()
    for index in range(COUNT):
        rgb = draw_frame(index)[0].astype(np.float16)
        depth = np.full(SIZE, index + 0.25, np.float32)
        OpenEXR.File({}, {"RGB": rgb, "depth.Z": depth}).write(str(plate / f"sh.{1001 + index}.exr"))
    track(plate, root / "first", "--write", "exr")
    code, text = track(root / "first" / "exr", root / "second", "--write", "exr", box="200,20,80,80")
    name = f"sh.{1001 + COUNT - 1}.exr"
    before, first, second = (
        read_with_oiio(folder / name)[0] for folder in (plate, root / "first/exr", root / "second/exr")
    )
    new = sorted({*second} - {*first})
    check("second pass", "layers of both passes", ", ".join(sorted(second)), code == 0 and new == ["object.1_2.A"])
    same = all(np.array_equal(second[key], before[key]) for key in before)
    same &= np.array_equal(second["object.1.A"], first["object.1.A"])
    check("second pass", "plate and first layer to the bit", same, same)
    check("second pass", "a line about the new name", "object.1_2" in text, "object.1_2" in text)
    iou = measure_iou(first["object.1.A"], draw_frame(COUNT - 1)[1])
    check("second pass", f"IoU of the first layer ≥ {MIN_IOU}", f"{iou:.3f}", iou >= MIN_IOU)


def move_window(root: Path) -> None:
    plate = root / "window"
    plate.mkdir()
    for index in range(COUNT):
        left, top, right, bottom = -10 + 2 * index, 4 + index, 300 + 2 * index, 185
        large = np.pad(draw_frame(index)[0], ((20, 20), (20, 20), (0, 0)), mode="edge").astype(np.float16)
        header = {
            "dataWindow": (np.array([left, top], np.int32), np.array([right, bottom], np.int32)),
            "displayWindow": (np.array([0, 0], np.int32), np.array([SIZE[1] - 1, SIZE[0] - 1], np.int32)),
        }
        part = np.ascontiguousarray(large[top + 20 : bottom + 21, left + 20 : right + 21])
        OpenEXR.File(header, {"RGB": part}).write(str(plate / f"w.{index:04}.exr"))
    code, _ = track(plate, root / "windowed", "--write", "exr")
    ious, same = [], code == 0
    for index in range(COUNT):
        before, spec = read_with_oiio(plate / f"w.{index:04}.exr")
        after, new = read_with_oiio(root / "windowed" / "exr" / f"w.{index:04}.exr")
        same &= (spec.x, spec.y, spec.width, spec.height) == (new.x, new.y, new.width, new.height)
        same &= (new.full_width, new.full_height) == SIZE[::-1] and all(
            np.array_equal(after[key], before[key]) for key in before
        )
        large = np.pad(draw_frame(index)[1], 40)
        truth = large[new.y + 40 : new.y + 40 + new.height, new.x + 40 : new.x + 40 + new.width]
        ious.append(measure_iou(after["object.1.A"], truth))
    check("moving window", "windows and plate to the bit", same, same)
    check("moving window", f"IoU in the data window ≥ {MIN_IOU}", f"{min(ious):.3f}", min(ious) >= MIN_IOU)


def read_dpx(root: Path) -> None:
    folder = root / "dpx"
    folder.mkdir()
    write_film(folder / "s.%04d.dpx", "-start_number", 1001, "-pix_fmt", "gbrp10le")
    code, _ = track(folder, root / "film", "--write", "exr,alpha")
    before, _ = read_with_oiio(folder / "s.1004.dpx")
    after, _ = read_with_oiio(root / "film" / "exr" / "s.1004.exr")
    image, _ = read_with_oiio(root / "film" / "alpha" / "s.1004.png")
    largest = max(float(np.abs(found[name] - before[name]).max()) for found in (after, image) for name in "RGB")
    check(
        "DPX", "EXR and PNG as OpenImageIO reads it, ± 1/65535", f"{largest:.1e}", code == 0 and largest <= 1.01 / 65535
    )
    iou = measure_iou(after["object.1.A"], draw_frame(3)[1])
    check("DPX", f"IoU ≥ {MIN_IOU}", f"{iou:.3f}", iou >= MIN_IOU)


def read_interlaced(root: Path) -> None:
    film = write_film(
        root / "fields.mpg", "-vf", "setfield=tff", "-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", 2, "-r", 25
    )
    code, text = track(film, root / "woven", "--write", "prores")
    check("interlaced", "refused with a line of ffmpeg, code 2", f"code {code}", code == 2 and "-vf bwdif" in text)
    line = shlex.split(text[text.index("ffmpeg -i") :].split(", or read")[0])
    ffmpeg(*line[1:-1], root / "progressive.mp4")
    code, _ = track(root / "progressive.mp4", root / "progressive", "--write", "prores")
    count = len(read_with_ffmpeg(root / "progressive" / "alpha.mov"))
    check("interlaced", "its result tracks", f"code {code}, {count} frames", code == 0 and count >= COUNT)
    code, _ = track(film, root / "woven", "--source", "interlaced=yes", "--write", "prores")
    check("interlaced", "as it is with --source interlaced=yes", f"code {code}", code == 0)


def read_damaged(root: Path) -> None:
    film = write_film(root / "whole.mkv", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", 4)
    cut = root / "cut.mkv"
    cut.write_bytes(film.read_bytes()[: film.stat().st_size * 6 // 10])
    code, text = track(cut, root / "cut", "--write", "exr")
    found = next((line for line in text.splitlines() if "cut off" in line), text[-80:])
    check("cut file", "code 1 and what is missing", found.split(": ")[-1], code == 1 and "missing" in found)
    files = len(list((root / "cut" / "exr").glob("*.exr")))
    check("cut file", "the frames before it are written", f"{files} files", 0 < files < COUNT)
    stream = write_film(root / "s.ts", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", 4, "-bf", 0, "-r", 24)
    packets = bytearray(stream.read_bytes())
    middle = len(packets) // 188 // 2 * 188
    packets[middle : middle + 188 * 12] = bytes(np.random.default_rng(0).integers(0, 256, 188 * 12, dtype=np.uint8))
    stream.write_bytes(packets)
    code, text = track(stream, root / "damaged", "--write", "exr")
    found = next((line for line in text.splitlines() if " lost" in line), text[-80:])
    check("damaged stream", "code 1 and what is lost", found.split(": ")[-1], code == 1)


def cut_hair(root: Path) -> None:
    rng = np.random.default_rng(3)
    drawn = cv2.resize(draw_strands(rng, 300, (15, 40), 1.2), SIZE[::-1], interpolation=cv2.INTER_AREA)
    shape, frames, truths = drawn.astype(np.float32) / 255, [], []
    ground = cv2.GaussianBlur(rng.random((*SIZE, 3)).astype(np.float32), (0, 0), 4) * 4 - 1.5
    for index in range(COUNT):
        alpha = cv2.warpAffine(shape, np.array([[1, 0, 2 * index], [0, 1, 0]], np.float32), SIZE[::-1])
        frames.append(
            alpha[..., None] * np.array([0.7, 0.4, 0.2], np.float32) + (1 - alpha[..., None]) * ground.clip(0, 1)
        )
        truths.append(alpha)
    options = ["-c:v", "prores_ks", "-profile:v", "4", "-timecode", "01:00:00:00", "-colorspace", "bt709"]
    film = write_film(root / "hair.mov", *options, frames=frames, rate="24000/1001")
    cv2.imwrite(str(root / "hair.png"), np.uint8(truths[0] > 0.5))
    arguments = ["track", film, "--mask", root / "hair.png", "--output", root / "hair", "--force", "--class", "été 猫"]
    code, _ = aotlab(*arguments, "--write", "exr,prores,cryptomatte")
    layer, sads, differences = "été_猫.1", [], []
    movie = read_with_ffmpeg(root / "hair" / "alpha.mov")
    for index, truth in enumerate(truths):
        channels, spec = read_with_oiio(root / "hair" / "exr" / f"{index:05}.exr")
        differences.append(np.abs(movie[index, ..., 3] - channels[f"{layer}.A"]).max())
        alphas = channels[f"{layer}.A"], np.float32(channels[f"{layer}.A"] > 0.5)
        sads.append([np.abs(alpha - truth).sum() / 1000 for alpha in alphas])
    check(
        "hair",
        "ProRes alpha as the layer of EXR, ± 0.002",
        f"{max(differences):.4f}",
        code == 0 and max(differences) <= 0.002,
    )
    timecode, rate = f"{spec.getattribute('smpte:TimeCode')[0]:08x}", spec.getattribute("FramesPerSecond")
    is_right = (timecode, rate) == ("01000007", (24000, 1001))
    check("hair", "time code and rate of the last frame", f"{timecode}, {rate[0]}/{rate[1]}", is_right)
    soft, hard = np.mean(sads, 0)
    check("hair", "SAD of soft edges below that of masks", f"{soft:.2f} and {hard:.2f} thousand", soft < hard)
    mattes, spec = read_with_oiio(root / "hair" / "cryptomatte" / f"{COUNT - 1:05}.exr")
    manifest = next((str(item.value) for item in spec.extra_attribs if item.name.endswith("/manifest")), "")
    check("hair", "the name in the manifest of Cryptomatte", manifest, layer in manifest)
    covered = sum(values for name, values in mattes.items() if name.endswith((".G", ".A", ".g", ".a")))
    largest = np.abs(np.clip(covered, 0, 1) - channels[f"{layer}.A"]).max()
    check("hair", "coverage of Cryptomatte as the layer, ± 0.001", f"{largest:.4f}", largest <= 0.001)


@command("python -m research.film_walk")
@click.argument("folder", type=Folder, metavar="FOLDER", help="new folder of the sources and results")
def main(*, folder: Path) -> int:
    """Walk through film work."""
    folder.mkdir(parents=True)
    print("| case | expected | found | |\n|---|---|---|---|")
    for walk in (pass_twice, move_window, read_dpx, read_interlaced, read_damaged, cut_hair):
        walk(folder)
    return 0 if all(is_right for *_, is_right in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
