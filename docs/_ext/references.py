"""Reference pages generated from the code: commands, settings, public names, actions of the studio.

Building the site fills the part of a page between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click
from docutils import nodes
from msgspec import structs
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx

import aotlab.sdk
from aotlab.configs.files import ROOT
from aotlab.configs.methods import Stage, find_method, list_methods
from aotlab.configs.schema import Config, ModelConfig
from aotlab.configs.settings import Settings
from aotlab.tools.main import COMMANDS, list_other_commands, main
from aotlab.utils.numbers import MAX_COUNT, Range

REPOSITORY = "https://github.com/aotlab/aotlab/blob/main"
GENERATED_PART = re.compile(r"^<!-- generated: (\w+) -->\n(.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the generator with Sphinx."""
    app.connect("source-read", _fill)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # before napoleon's 500
    app.connect("doctree-read", _shorten_paths)
    return {"parallel_read_safe": True}


def keep_colons(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Insert an empty type, so that napoleon does not take the words before a colon for the type of an attribute."""
    if what in ("attribute", "property") and lines:
        lines[0] = f": {lines[0]}"


def _shorten_paths(app: Sphinx, page: nodes.document) -> None:
    """Make paths in the checkout relative."""
    for node in [node for node in page.findall(nodes.Text) if str(ROOT) in node]:
        node.parent.replace(node, nodes.Text(node.replace(f"{ROOT}/", "").replace("PosixPath", "Path")))


def _fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Generate the marked parts of a page, and link files outside the documentation to the repository."""
    text = GENERATED_PART.sub(lambda found: GENERATED[found[1]](), source[0])
    folder = Path(app.srcdir, page).parent
    source[0] = re.sub(r"\]\(((?:\.\./)+[^)#\s]+)", lambda found: f"]({_address(folder, found[1])}", text)


def _address(folder: Path, link: str) -> str:
    """Return a relative link to a page unchanged; to another file, its address in the repository."""
    target = (folder / link).resolve()
    inside = target.is_relative_to(ROOT / "docs")
    return link if inside else f"{REPOSITORY}/{target.relative_to(ROOT).as_posix()}"


def commands() -> str:
    """Return all commands with their options."""
    names = (*COMMANDS, *list_other_commands())
    return "\n\n".join(_command(f"aotlab {name}", main.get_command(click.Context(main), name)) for name in names)


def _command(name: str, command: click.Command) -> str:
    if isinstance(command, click.Group):
        parts = [_command(f"{name} {part}", made) for part, made in command.commands.items()]
        return "\n\n".join([f"## {name}", plain(command.help or ""), *parts])
    context, formatter = click.Context(command, info_name=name), click.HelpFormatter(width=86)
    command.format_usage(context, formatter)
    usage = formatter.getvalue().removeprefix("Usage: ").rstrip()
    sections: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        if (record := parameter.get_help_record(context)) is None:  # hidden
            continue
        names, text = record
        title = "positional arguments" if isinstance(parameter, click.Argument) else "options"
        sections.setdefault(getattr(parameter, "group", title), []).append(f"`{names}`\n: {plain(text)}")
    parts = [f"## {name}", plain(command.help or ""), f"```text\n{usage}\n```"]
    for title, options in sections.items():
        parts += [f"**{plain(title)}**", *options]
    for paragraph in (command.epilog or "").split("\n\n"):
        parts.append(f"```text{paragraph[1:]}\n```" if paragraph.startswith("\b") else plain(paragraph))
    return "\n\n".join(parts)


def settings() -> str:
    """Return all settings by section: key, allowed values, default, meaning."""
    parts: list[str] = []
    titles: dict[type[Settings], str] = {}
    for kind, prefix in _sections(Config, ""):
        title = plain(prefix.removesuffix(".") or "Top level")
        text = f"The same settings as {titles[kind]}." if kind in titles else _section(kind, prefix)
        titles.setdefault(kind, title)
        parts.append(f"## {title}\n\n{text}")
    return "\n\n".join(parts)


def _sections(kind: type[Settings], prefix: str) -> Iterator[tuple[type[Settings], str]]:
    """Yield classes of settings with the prefix of their keys, parents first."""
    yield kind, prefix
    for name, part in _nested(kind).items():
        number = "N." if typing.get_origin(kind.model_fields[name].annotation) is list else ""
        yield from _sections(part, f"{prefix}{name}.{number}")


def _nested(kind: type[Settings]) -> dict[str, type[Settings]]:
    return {"stages": Stage} if kind is ModelConfig else kind.nested({})


def _section(kind: type[Settings], prefix: str) -> str:
    kinds = {name: find_method(name).stage for name in list_methods()} if kind is Stage else {"": kind}
    rows: dict[str, list[str]] = {}  # row to the methods that have the setting
    for method, part in kinds.items():
        for row in _rows(part, prefix):
            rows.setdefault(row, []).append(method)
    lines = ["| setting | values | default | meaning |", "|---|---|---|---|"]
    for row, methods in rows.items():
        lines.append(f"{row} |" if len(methods) == len(kinds) else f"{row} ({', '.join(methods)}) |")
    about, table = plain(inspect.getdoc(kind) or ""), "\n".join(lines)
    return f"{about}\n\n:::{{container}} settings\n{table}\n:::" if rows else about


def _rows(kind: type[Settings], prefix: str) -> Iterator[str]:
    """Yield the rows of a table of settings, without nested ones and without the last bar."""
    for name, field in kind.model_fields.items():
        if name not in _nested(kind):
            caption = plain((field.description or "").replace("\n", " ")).replace("|", "\\|")
            yield f"| `{prefix}{name}` | {_allowed(field)} | `{_default(field)}` | {caption}"


def _allowed(field: FieldInfo) -> str:
    """Return the allowed values of a setting; empty if only its help states them."""
    parts = (field.annotation, *typing.get_args(field.annotation))
    checks = [*field.metadata, *(check for part in parts for check in getattr(part, "__metadata__", ()))]
    literals = [part for part in parts if typing.get_origin(part) is typing.Literal]
    choices = [choice for part in literals for choice in typing.get_args(part)]
    for check in checks:
        if isinstance(check, Range):
            return str(replace(check, high=math.inf) if check.high >= MAX_COUNT else check)
        choices += getattr(getattr(check, "func", None), "__self__", ())
    return ", ".join(f"`{choice}`" for choice in choices)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    plain_value = {None: "null", True: "true", False: "false"}
    return plain_value[value] if isinstance(value, bool | None) else str(value)


def api() -> str:
    """Return the documentation of the public names."""
    names = [(module, name) for module in (aotlab, aotlab.sdk) for name in module.__all__]
    return "\n\n".join(_documented(module, name) for module, name in names if not name.startswith("_"))


def _documented(module: types.ModuleType, name: str) -> str:
    title, value = f"## {module.__name__}.{name}", getattr(module, name)
    if not callable(value) or typing.get_origin(value) is not None:  # constants and type aliases
        text = f"{value.dtype} array of shape {value.shape}" if hasattr(value, "dtype") else value
        return f"{title}\n\n`{text}`"
    kind = "autoclass" if inspect.isclass(value) else "autofunction"
    members = "\n   :members:" if kind == "autoclass" else ""
    return f"{title}\n\n```{{eval-rst}}\n.. {kind}:: {module.__name__}.{name}{members}\n```"


def actions() -> str:
    """Return a table of the actions of the studio's page: name, fields, the first part of the docstring."""
    from aotlab_studio.session.actions import ACTIONS

    rows = ["| action | fields (optional ones in brackets) | purpose |", "|---|---|---|"]
    for name, action in ACTIONS.items():
        fields = structs.fields(action)
        required, optional = ([f"`{each.name}`" for each in fields if each.required is flag] for flag in (True, False))
        texts = [*required, *([f"[{', '.join(optional)}]"] if optional else [])]
        caption = re.split("[;.]", (inspect.getdoc(action) or "").partition("\n")[0])[0].replace("``", "`")
        rows.append(f"| `{name}` | {', '.join(texts) or '–'} | {caption} |")
    return "\n".join(rows)


def plain(text: str) -> str:
    """Escape Markdown in a text, except in code between backticks."""
    parts = re.split(r"(``.+?``|`[^`]+`)", text)
    return "".join(
        part if index % 2 else re.sub(r"([\\*_<>$\[\]{}#])", r"\\\1", part) for index, part in enumerate(parts)
    )


GENERATED: dict[str, Callable[[], str]] = {
    "actions": actions, "api": api, "commands": commands, "settings": settings,
}  # fmt: skip
"""Function that generates the part of each name."""
