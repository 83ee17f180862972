"""Commands of aotlab in separate processes."""

from __future__ import annotations

import shlex
import subprocess
import sys

from aotlab.tools.cli.command import SIGNAL_EXIT_BASE
from aotlab.utils.errors import RunStopped
from aotlab.utils.plugins import list_plugin_files
from aotlab.utils.signals import STOP_SIGNALS


def run_tool(tool: str, *arguments: str, ranks: int = 1) -> None:
    """Print and run a command in separate processes: several ranks need them, and a crash costs one row."""
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "-m"]
    plugins = [f"--plugin={path}" for path in list_plugin_files()]
    line = [sys.executable, "-m", *(launcher if ranks > 1 else []), "aotlab", tool, *arguments, *plugins]
    print(f"$ python {shlex.join(line[1:])}", file=sys.stderr, flush=True)
    status = subprocess.run(line, stdout=sys.stderr, check=False).returncode
    signal_number = -status if status < 0 else status - SIGNAL_EXIT_BASE
    if signal_number in STOP_SIGNALS:
        raise RunStopped(f"{tool} was interrupted; the same command resumes", signal_number=signal_number)
    if status:
        raise subprocess.CalledProcessError(status, line)
