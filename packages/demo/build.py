"""Builds the demo page as a static folder: ``python packages/demo/build.py OUTPUT``.

Needs Node and the extras video and export.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import av
import onnxruntime

DEMO = Path(__file__).resolve().parent
SAMPLE = DEMO.parents[1] / "datasets" / "sample" / "rabbit.mp4"
SIZES = {"240p": "426x240", "480p": "854x480", "240p-portrait": "240x426", "480p-portrait": "480x854"}
"""Names of the exports and sizes of their frames."""
RUNTIMES = ("ort-wasm-simd-threaded", "ort-wasm-simd-threaded.jspi")
"""Onnxruntime-web for CPUs, and with WebGPU."""
LIBRARIES = ("onnxruntime-web", "mediabunny", "fflate", "fast-png", "iobuffer")
"""Third-party code in the page."""


def build(output: Path) -> None:
    """Write the page with the bundled model in all sizes."""
    install_packages()
    build_code(output)
    encode_sample(SAMPLE, output / "sample.webm")
    (output / "models").mkdir(exist_ok=True)
    for size in SIZES:
        export(size, output / "models" / f"{size}.zip")


def install_packages() -> None:
    """Install the packages of ``package-lock.json``."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm: not found; install Node 20 or newer")
    subprocess.run([npm, "ci", "--prefix", DEMO, "--no-audit", "--no-fund"], check=True)


def build_code(output: Path) -> None:
    """Write everything but models and the sample."""
    (output / "runtime").mkdir(parents=True, exist_ok=True)
    for chunk in output.glob("chunk-*.js"):  # left by an earlier build
        chunk.unlink()
    packages = DEMO / "node_modules"
    subprocess.run(
        [
            packages / ".bin" / "esbuild", "src/page.js", "src/worker.js", "src/isolate.js",
            "--bundle", "--splitting", "--minify", "--format=esm", "--target=es2022", "--log-level=warning",
            "--conditions=onnxruntime-web-use-extern-wasm", f"--outdir={output.resolve()}",
        ],
        check=True, cwd=DEMO,
    )  # fmt: skip
    for name in ("index.html", "style.css"):
        shutil.copy(DEMO / "src" / name, output)
    for name in RUNTIMES:
        folder = packages / "onnxruntime-web" / "dist"
        shutil.copy(folder / f"{name}.mjs", output / "runtime")
        write_zip(output / "runtime" / f"{name}.zip", [folder / f"{name}.wasm"])
    licenses = "\n".join(describe_license(packages / name) for name in LIBRARIES)
    (output / "licenses.txt").write_text(licenses, "utf-8")


def describe_license(package: Path) -> str:
    """Return a package's name, version and license with its text; onnxruntime-web has it in its Python package only."""
    description = json.loads((package / "package.json").read_text("utf-8"))
    folder = Path(onnxruntime.__file__).parent if package.name == "onnxruntime-web" else package
    paths = [*folder.glob("LICENSE*"), *folder.glob("ThirdPartyNotices*")]
    if not paths:
        raise SystemExit(f"{folder}: no text of its license")
    texts = [path.read_text("utf-8") for path in paths]
    title = f"{package.name} {description['version']}: {description['license']}, https://www.npmjs.com/package/{package.name}"
    return "\n\n".join([title, *texts, ""])


def export(size: str, output: Path) -> None:
    """Write the bundled model as a zip file."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "export")
        options = ["--half", "--size", SIZES[size], "--output", folder, "input.min_short_edge=null"]
        subprocess.run([sys.executable, "-m", "aotlab", "export", *options], check=True)
        write_zip(output, sorted(folder.iterdir()))


def write_zip(output: Path, files: list[Path]) -> None:
    """Write a zip file, as servers of static files do not compress."""
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in files:
            archive.write(path, path.name)


def encode_sample(source: Path, output: Path) -> None:
    """Encode a video as VP9, which browsers without H.264 decode."""
    options = {"crf": "34", "b": "0", "deadline": "good", "cpu-used": "2"}
    with av.open(str(source)) as video, av.open(str(output), "w") as copy:
        stream = video.streams.video[0]
        encoder = copy.add_stream("libvpx-vp9", rate=stream.average_rate, options=options)
        encoder.width, encoder.height, encoder.pix_fmt = stream.width, stream.height, "yuv420p"
        for frame in video.decode(stream):
            copy.mux(encoder.encode(frame))
        copy.mux(encoder.encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder to write")
    build(parser.parse_args().output)
