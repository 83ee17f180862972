"""Print versions, devices, codecs and plug-ins, for bug reports."""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec

from aotlab.tools.cli.command import command
from aotlab.utils import plugins
from aotlab.utils.errors import EXTRAS
from aotlab.utils.files import cache_folder
from aotlab.utils.provenance import describe_versions
from aotlab.utils.text import align_columns

REQUIRED = ("torch", "torchvision", "numpy", "PIL", "safetensors")
OTHER_PACKAGES = ("aotlab_studio", "aotlab_compositing", "aotlab_trackers", "aotlab_runtime")
DECODERS = ("h264", "hevc", "vp9", "libdav1d", "prores", "ffv1")


def describe_libraries() -> Iterator[tuple[str, str]]:
    """Yield the versions of aotlab, Python, the system and the libraries; "missing" without a library."""
    program = describe_versions()
    yield (
        "aotlab",
        " ".join([program["aotlab"], *([f"commit {program['commit'][:12]}"] if "commit" in program else [])]),
    )
    yield "python", f"{platform.python_version()} ({platform.python_implementation()})"
    yield "system", platform.platform()
    installed = packages_distributions()
    for module in (*REQUIRED, *OTHER_PACKAGES, *EXTRAS):
        names = sorted(set(installed.get(module, ())))
        if not names and find_spec(module):
            names = [module]  # of packages such as OpenEXR, whose files name no module
        yield module, ", ".join(f"{name} {version(name)}" for name in names) or "missing"


def describe_devices() -> Iterator[tuple[str, str]]:
    """Yield the devices of PyTorch, and the choices of --device auto and compute.precision=auto."""
    import torch

    from aotlab.networks.fast.optimize import resolve_precision
    from aotlab.utils.devices import choose_device, list_devices

    device = choose_device()
    yield "devices", ", ".join(list_devices())
    yield "auto", f"{device}, {resolve_precision('auto', torch.device(device))}"
    yield "cpu", f"{torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    yield "cuda", torch.version.cuda or torch.version.hip or "not in this build of PyTorch"
    for index in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(index)
        yield f"cuda:{index}", f"{gpu.name}, {gpu.total_memory >> 20} MiB, compute capability {gpu.major}.{gpu.minor}"


def describe_codecs() -> Iterator[tuple[str, str]]:
    """Yield the version of FFmpeg in PyAV, and which of the codecs that aotlab uses it has."""
    import av

    from aotlab.media.video_writer import H264

    yield "ffmpeg", av.ffmpeg_version_info
    for title, names in (("encoders", (H264.codec,)), ("decoders", DECODERS)):
        yield title, ", ".join(name if name in av.codecs_available else f"no {name}" for name in names)


def describe_plugins() -> Iterator[tuple[str, str]]:
    """Yield the names of plug-ins and their packages by group; none is imported."""
    for group in plugins.GROUPS:
        names = defaultdict(list)
        for name, point in plugins.list_plugins(group).items():
            names[f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value].append(name)
        if names:
            packages = [f"{', '.join(sorted(offered))} ({package})" for package, offered in sorted(names.items())]
            yield group.removeprefix("aotlab."), "; ".join(packages)


SECTIONS = {
    "Versions": describe_libraries,
    "Devices": describe_devices,
    "Codecs": describe_codecs,
    "Plug-ins": describe_plugins,
}


@command("aotlab info")
def main() -> int:
    for title, describe in SECTIONS.items():
        print(f"{title}:")
        try:
            rows = [(f"  {name}", value) for name, value in describe()]
            print(*align_columns(rows or [("  none", "")]), sep="\n")
        except (ImportError, OSError) as error:  # a library that is missing or broken, which the report has to show
            print(f"  {type(error).__name__}: {error}")
    print(f"Cache: {cache_folder()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
