"""Print versions, devices and plug-ins, for bug reports."""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from importlib.metadata import EntryPoint, distributions

from aotlab.tools.cli.command import command
from aotlab.utils import plugins
from aotlab.utils.errors import EXTRAS, InputError
from aotlab.utils.files import cache_folder
from aotlab.utils.provenance import describe_versions, list_versions
from aotlab.utils.text import align_columns

REQUIRED = ("torch", "torchvision", "numpy", "PIL", "safetensors")


def describe_libraries() -> Iterator[tuple[str, str]]:
    """Yield the versions of aotlab, Python, the system and the libraries; "missing" without a library."""
    program = describe_versions()
    yield (
        "aotlab",
        " ".join([program["aotlab"], *([f"commit {program['commit'][:12]}"] if "commit" in program else [])]),
    )
    yield "python", f"{platform.python_version()} ({platform.python_implementation()})"
    yield "system", platform.platform()
    packages = {dist.name: dist.version for dist in distributions() if dist.name.startswith(("aotlab-", "aotlab_"))}
    yield from sorted(packages.items())
    yield from list_versions([*REQUIRED, *EXTRAS])


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


def describe_plugins() -> Iterator[tuple[str, str]]:
    """Yield the names of plug-ins and their packages by group; none is imported."""
    for group in (*plugins.GROUPS, *plugins.list_plugins(plugins.GROUP_PLUGINS)):
        names = defaultdict(list)
        for name, point in plugins.list_plugins(group).items():
            names[f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value].append(name)
        if names:
            packages = [f"{', '.join(sorted(offered))} ({package})" for package, offered in sorted(names.items())]
            yield group.removeprefix("aotlab."), "; ".join(packages)


SECTIONS = {
    "Versions": describe_libraries,
    "Devices": describe_devices,
    "Plug-ins": describe_plugins,
}
"""Functions that yield the rows of a section by its title; packages add theirs."""


def load_rows(point: EntryPoint) -> Iterator[tuple[str, str]]:
    """Return the rows of a package's section; raise `InputError` if the package does not load."""
    rows: Iterator[tuple[str, str]] = plugins.load_plugin(point)()
    return rows


@command("aotlab info")
def main() -> int:
    points = plugins.list_plugins(plugins.INFO_PLUGINS)
    for title in (*SECTIONS, *points):
        describe = SECTIONS[title] if title in SECTIONS else partial(load_rows, points[title])
        print(f"{title}:")
        try:
            rows = [(f"  {name}", value) for name, value in describe()]
            print(*align_columns(rows or [("  none", "")]), sep="\n")
        except (ImportError, OSError, InputError) as error:  # what is missing or broken, which the report has to show
            print(f"  {type(error).__name__}: {error}")
    print(f"Cache: {cache_folder()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
