"""Plug-ins: objects that other installed packages offer through entry points, or that a Python file defines."""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from importlib.util import find_spec, module_from_spec, spec_from_loader
from inspect import signature
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

from aotlab.utils.errors import InputError, describe_wrong_choice, require, require_choice, suggest
from aotlab.utils.files import sha256

COMMAND_PLUGINS = "aotlab.commands"
"""Group of click commands, as `aotlab.sdk.command` makes them; the entry point's name is the command's."""
GROUP_PLUGINS = "aotlab.plugin_groups"
"""Groups that a package adds to `GROUPS`: each is a `PluginGroup`; the entry point's name is the group's."""
INFO_PLUGINS = "aotlab.info"
"""Group of functions that yield names and values for ``aotlab info``; the entry point's name is their title."""
METHOD_PLUGINS = "aotlab.methods"
POLICY_PLUGINS = "aotlab.memory_policies"
ENCODER_PLUGINS = "aotlab.encoders"
LOSS_PLUGINS = "aotlab.losses"
TRACKER_PLUGINS = "aotlab.trackers"
"""Group of functions that return a `TrackerLoader`; ``--checkpoint NAME`` or ``NAME:ADDRESS`` chooses one."""
BENCHMARK_PLUGINS = "aotlab.benchmarks"
MEASURE_PLUGINS = "aotlab.measures"
HOOK_PLUGINS = "aotlab.hooks"
LAYOUT_PLUGINS = "aotlab.layouts"
TRANSFORM_PLUGINS = "aotlab.transforms"
LOGGER_PLUGINS = "aotlab.loggers"


class PluginGroup(NamedTuple):
    """Kind of plug-ins that a group of entry points has."""

    noun: str
    arguments: tuple[str, ...] | None = None
    """Arguments that aotlab gives to its objects; None: they are not called."""
    in_files: bool = True
    """Whether a plug-in file can offer them too, in a dict by name: `aotlab.methods` in ``methods``."""


GROUPS = {
    METHOD_PLUGINS: PluginGroup("method"),
    POLICY_PLUGINS: PluginGroup("memory policy", ("memory",)),
    ENCODER_PLUGINS: PluginGroup("encoder", ()),
    LOSS_PLUGINS: PluginGroup("loss", ("outputs", "target_indices")),
    TRANSFORM_PLUGINS: PluginGroup("transform", ("frames", "labels", "rng")),
    LAYOUT_PLUGINS: PluginGroup("layout", ("folder", "split")),
    LOGGER_PLUGINS: PluginGroup("logger", ()),
    TRACKER_PLUGINS: PluginGroup("tracker", ("checkpoint", "settings", "device")),
    HOOK_PLUGINS: PluginGroup("hook", ()),
    BENCHMARK_PLUGINS: PluginGroup("benchmark", ("name",)),
    MEASURE_PLUGINS: PluginGroup("measure", ("annotation", "prediction", "size")),
    # read before a file that the command line names is run
    COMMAND_PLUGINS: PluginGroup("command", in_files=False),
    GROUP_PLUGINS: PluginGroup("group of plug-ins", in_files=False),
    INFO_PLUGINS: PluginGroup("section of aotlab info", (), in_files=False),
}
"""Groups of the framework; `list_groups` has those of packages too."""
PLUGIN_REMEDY = "install the plug-in's package or give --plugin FILE"


@dataclass(frozen=True)
class PluginFile:
    """A plug-in file that was run."""

    digest: str
    """SHA-256 of its content, and of that of the files that it imports from its folder."""
    offered: Mapping[str, Mapping[str, Any]]
    """Objects by group and name."""


def is_built_in(kind: type) -> bool:
    """Return whether a class is one of aotlab."""
    return kind.__module__.startswith("aotlab.")


def describe_object(plugin: Any) -> str:
    """Return the file and name of a class or function, for messages."""
    named = plugin if hasattr(plugin, "__qualname__") else type(plugin)
    return f"{getattr(sys.modules.get(named.__module__), '__file__', named.__module__)}: {named.__qualname__}"


def check_signature(function: Any, arguments: Sequence[str] | None) -> None:
    """Raise `InputError` unless a plug-in's function or class accepts these arguments; None: it is not called."""
    if arguments is None:
        return
    try:
        signature(function).bind(*arguments)
    except TypeError as error:
        problem, remedy = str(error) if callable(function) else "not callable", f"expected ({', '.join(arguments)})"
        raise InputError(problem, subject=describe_object(function), remedy=remedy) from None
    except ValueError:  # written in C, without a signature
        pass


_loaded_files: dict[Path, PluginFile] = {}
"""Files that `load_plugin_file` has loaded in this process, like `sys.modules`."""


class PluginChoices(Collection[str]):
    """Names that a setting accepts: the built-in ones and those of plug-ins, none of which is imported."""

    def __init__(self, group: str, built_in: Collection[str]) -> None:
        self.group, self.built_in = group, built_in

    def check(self, name: str) -> str:
        """Return the name; raise `ValueError` unless a setting accepts it."""
        if name not in self:
            if not len(self):
                raise ValueError(f"{name}: unknown; no plug-in provides it; {PLUGIN_REMEDY}")
            raise ValueError(describe_wrong_choice(name, self, PLUGIN_REMEDY))
        return name

    def is_built_in(self, name: str, subject: str) -> bool:
        """Return whether a name is one of aotlab; raise `InputError` for an unknown one, or one of a plug-in too."""
        require_choice(name, self, subject, PLUGIN_REMEDY)
        if name not in self.built_in:
            return False
        is_free = name not in list_plugin_names(self.group)
        problem = f"{_dict_name(self.group)}: {name} is already the name of one in aotlab"
        require(is_free, problem, remedy="choose another name")
        return True

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or name in list_plugin_names(self.group)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self.built_in, *list_plugin_names(self.group)]))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def list_plugins(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name; none of them is imported."""
    return {point.name: point for point in _read_entry_points(group, tuple(sys.path))}


def find_entry_point(group: str, name: str, package: str) -> EntryPoint | None:
    """Return the entry point of this name whose module is in ``package``; None without one."""
    points = [point for point in _read_entry_points(group, tuple(sys.path)) if point.name == name]
    return next((point for point in points if f"{point.module}.".startswith(f"{package}.")), None)


def list_groups() -> dict[str, PluginGroup]:
    """Return all groups by name, also those of packages, whose modules of groups are imported."""
    return {**GROUPS, **{name: load_plugin(point) for name, point in list_plugins(GROUP_PLUGINS).items()}}


def find_group(name: str) -> PluginGroup:
    """Return a group; raise `InputError` if it is of a package that is not installed."""
    return GROUPS[name] if name in GROUPS else find_plugin(GROUP_PLUGINS, name)


@lru_cache
def _read_entry_points(group: str, path: tuple[str, ...]) -> EntryPoints:
    """Read entry points once for each search path, as reading opens files of every installed package."""
    return entry_points(group=group)


def list_plugin_names(group: str) -> list[str]:
    """Return the names that loaded plug-in files and entry points offer; no entry point is imported."""
    return sorted({*_list_file_names(group), *list_plugins(group)})


def find_tracker_plugin(checkpoint: str | Path) -> str | None:
    """Return the name of the plug-in whose tracker ``NAME`` or ``NAME:ADDRESS`` is; None for paths and other names.

    A file or folder of the same name is written ``./NAME``.
    """
    name = checkpoint.partition(":")[0] if isinstance(checkpoint, str) else ""
    return name if name in list_plugin_names(TRACKER_PLUGINS) else None


def find_plugin(group: str, name: str) -> Any:
    """Return the object of a plug-in: of a loaded file, else of an entry point, which is imported.

    Raises:
        InputError: no plug-in has this name, its package is broken, or it has other arguments than those of its group.
    """
    if (path := _list_file_names(group).get(name)) is not None:
        plugin = _loaded_files[path].offered[group][name]
        check_signature(plugin, find_group(group).arguments)
        return plugin
    points = list_plugins(group)
    if name not in points:
        names = list_plugin_names(group)
        offered = f"; plug-ins offer {', '.join(names)}" if names else ""
        raise InputError(
            f"unknown; no plug-in provides it{offered}",
            subject=f"{find_group(group).noun} {name}",
            remedy=suggest(name, names, PLUGIN_REMEDY),
        )
    return load_plugin(points[name])


def load_plugin(point: EntryPoint) -> Any:
    """Import what an entry point names; raises `InputError` if its package is broken, or by its group."""
    try:
        plugin = point.load()
    except Exception as error:  # of the package's code
        package = point.dist.name if point.dist is not None else point.value
        raise InputError(f"{package} does not load ({error})", subject=point.name, remedy="reinstall it") from error
    check_signature(plugin, find_group(point.group).arguments)
    return plugin


def load_plugin_file(path: Path, built_in: Mapping[str, Collection[str]] = MappingProxyType({})) -> None:
    """Run a Python file that the user named, and offer the objects in its dicts ``methods``, ``encoders``, …

    A file that is already loaded in this process is not run again.

    Args:
        path: the file. Each of its dicts has the name of a group without ``aotlab.``.
        built_in: names by group that plug-ins must not use.

    Raises:
        InputError: the file is missing, raises an error, offers nothing, or a name that is built in or loaded before.
    """
    path = path.expanduser().resolve()
    if path in _loaded_files:
        return
    sha256(path)  # a missing file is refused before it is run
    known = {*sys.modules}
    module = vars(_run_file(path))
    files = {Path(getattr(sys.modules[name], "__file__", None) or "") for name in {*sys.modules} - known}
    digest = _digest_code([path, *sorted(file for file in files if path.parent in file.parents and file != path)])
    groups = {name: group for name, group in list_groups().items() if group.in_files}
    offered = {name: module[_dict_name(name)] for name in groups if _dict_name(name) in module}
    require(offered, f"offers nothing; define one of the dicts {', '.join(map(_dict_name, groups))}", subject=path)
    for group, objects in offered.items():
        require(isinstance(objects, Mapping), f"{_dict_name(group)} must be a dict by name", subject=path)
        for name, plugin in objects.items():
            place = f"{_dict_name(group)}: {name}"
            require(isinstance(name, str), f"{place} is not a name", subject=path, remedy="give a text")
            owner = "aotlab" if name in built_in.get(group, ()) else _list_file_names(group).get(name)
            problem = f"{place} is already the name of one in {owner}"
            require(owner is None, problem, subject=path, remedy="choose another name")
            is_usable = groups[group].arguments is None or callable(plugin)
            require(is_usable, f"{place} is not a function or class", subject=path)
    _loaded_files[path] = PluginFile(digest, offered)


def list_plugin_files() -> list[Path]:
    """Return the plug-in files that this process has loaded, in order."""
    return [*_loaded_files]


def describe_plugin(group: str, name: str) -> dict[str, str]:
    """Return where a plug-in comes from: ``file``, or ``package`` and ``version``; and ``sha256`` of its code."""
    if (path := _list_file_names(group).get(name)) is not None:
        return {"file": path.name, "sha256": _loaded_files[path].digest}
    point = list_plugins(group)[name]
    assert point.dist is not None  # unset only in entry points that a program builds itself
    origin = {"package": point.dist.name, "version": point.dist.version}
    spec = find_spec(point.module.partition(".")[0])
    if spec is None or spec.origin is None:
        return origin
    folders = map(Path, spec.submodule_search_locations or ())
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    return {**origin, "sha256": _digest_code(files or [Path(spec.origin)])}


def _digest_code(files: Sequence[Path]) -> str:
    """Return the SHA-256 of a single file, or of the names and contents of several."""
    if len(files) == 1:
        return sha256(files[0])
    return hashlib.sha256("".join(f"{file.name} {sha256(file)}\n" for file in files).encode()).hexdigest()


def _list_file_names(group: str) -> dict[str, Path]:
    """Return the names that loaded files offer, and the file of each."""
    return {name: path for path, file in _loaded_files.items() for name in file.offered.get(group, ())}


def _dict_name(group: str) -> str:
    """Return the name of a group's dict in a plug-in file."""
    return group.removeprefix("aotlab.")


def _run_file(path: Path) -> ModuleType:
    """Run a file as a module under a name that no other file has; raise `InputError` with the line of an error."""
    loader = SourceFileLoader(f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}", str(path))
    module = module_from_spec(spec_from_loader(loader.name, loader))  # type: ignore[arg-type]
    sys.modules[loader.name] = module  # dataclasses look up their module by name
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[loader.name]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        where = f"line {line}: " if line else ""
        problem = f"does not load ({where}{type(error).__name__}: {getattr(error, 'msg', None) or error})"
        raise InputError(problem, subject=path, remedy="correct it") from error
    return module
