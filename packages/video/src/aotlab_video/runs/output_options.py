"""Options that installed outputs and mask formats add to commands and to `RunOptions`."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from aotlab.utils.errors import InputError, require, require_choice
from aotlab.utils.plugins import list_plugins, load_plugin
from aotlab_video.plugins import OUTPUT_OPTION_PLUGINS

log = logging.getLogger("aotlab.video")
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class OutputOption:
    """Option of one or several outputs: ``--NAME`` of commands, and a key of `RunOptions.output_options`.

    A package registers a tuple of them as an entry point of the group ``aotlab.output_options``, with the name of the
    output or mask format. Outputs share an option by registering equal ones. Parsing a command line imports the tuples
    but not the outputs, so their module should be quick to import.
    """

    name: str
    """Name in Python, such as ``per_object``."""
    help: str
    choices: tuple[str, ...] = ()
    """Accepted values, the default first; empty: True and False, which is the default."""

    @property
    def flag(self) -> str:
        """Name on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def default(self) -> str | bool:
        """Value if it is not given."""
        return self.choices[0] if self.choices else False


def load_options(name: str) -> tuple[OutputOption, ...]:
    """Return the options of an output; raise `InputError` if its package does not load."""
    points = list_plugins(OUTPUT_OPTION_PLUGINS)
    options: tuple[OutputOption, ...] = load_plugin(points[name]) if name in points else ()
    return options


def list_output_options(names: Collection[str] | None = None) -> dict[OutputOption, list[str]]:
    """Return the options of installed outputs, each with the names of its outputs; ``names``: None for all outputs.

    Outputs of packages that do not load are left out with a warning.
    """
    outputs = dict[OutputOption, list[str]]()
    for name in list_plugins(OUTPUT_OPTION_PLUGINS):
        if names is not None and name not in names:
            continue
        try:
            options = load_options(name)
        except InputError as error:
            _warn_once(f"options of the output {error}")
            continue
        for option in options:
            outputs.setdefault(option, []).append(name)
    return outputs


@cache
def _warn_once(message: str) -> None:
    log.warning("%s", message)


def parse_output_options(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the values of options that are not the default.

    Raises:
        InputError: no installed output has an option of this name, its value is not one of the accepted ones, or it
            changes no output of ``names``.
    """
    problem = f"expected a dict by name, got {type(values).__name__}"
    require(isinstance(values, Mapping), problem, subject="output_options")
    options = {option.name: (option, users) for option, users in list_output_options().items()}
    outputs, changed = [*names], dict[str, Any]()
    for name, value in values.items():
        require_choice(name, options, "output option", "install the package of its output")
        option, users = options[name]
        require_choice(value, option.choices or (True, False), name)
        if value != option.default:
            require(
                {*users} & {*outputs},
                f"no effect on {', '.join(outputs)}",
                subject=f"{name}={value} ({option.flag})",
                remedy=f"write {' or '.join(users)}, or remove it",
            )
            changed[name] = value
    return changed


def select_options(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that change an output; ``values``: from `parse_output_options`."""
    return {option.name: values[option.name] for option in load_options(name) if option.name in values}


def fill_options(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all options of an output, with the defaults of those that are not in ``values``."""
    return {option.name: values.get(option.name, option.default) for option in load_options(name)}
