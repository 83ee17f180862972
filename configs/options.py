"""The settings options that every tool has."""

from __future__ import annotations

import argparse


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--config``, ``--print-config`` and the ``key=value`` overrides to a tool."""
    parser.add_argument(
        "--config", metavar="NAME", help="a preset (aott, aotl, r50_aotl, ...) or a YAML file"
    )
    parser.add_argument("--print-config", action="store_true", help="show the resolved settings and stop")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings to change, for example memory.every=2"
    )
