"""Several processes of a command: ``aotlab torchrun --nproc-per-node 4 eval --device cuda ...``.

PyTorch's torchrun with its options. When a process fails, torchrun itself ends with a traceback, a table and status 1
behind the sentence that says what was wrong; here there is the sentence, and the status of the process.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from argparse import Namespace
from collections.abc import Sequence

from aotlab.tools.cli.commands import COMMANDS
from aotlab.tools.cli.program import Parser, command, shown
from aotlab.tools.cli.surroundings import BY_SIGNAL
from aotlab.utils.errors import InputError

MEETING = ("--standalone", "--nnodes", "--node-rank", "--master", "--rdzv")
"""options that say where processes meet"""


@command
def main(argv: list[str] | None = None) -> int:
    """Start the processes and wait; returns 0, or the exit status of the first that failed."""
    # Read when torchrun is imported: its notes on every process.
    os.environ.setdefault("LOGLEVEL", "CRITICAL")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.run import run

    if "TORCH_LOGS" not in os.environ:
        logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # its notes on every process
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
        require_address(args)
        run(args)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            return failure.exitcode  # it has said why
        name = signal.Signals(-failure.exitcode).name
        print(f"stopped: rank {rank} (process {failure.pid}) was ended by {name}", file=sys.stderr)
        return 1
    except SignalException as error:
        return BY_SIGNAL + int(error.sigval)
    except (ValueError, RuntimeError, OSError, RendezvousError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"torchrun: {reason}; see aotlab torchrun --help") from error
    return 0


def parse(arguments: Sequence[str]) -> Namespace:
    """Read the command line of torchrun, in which a command stands for its tool.

    Where it does not say otherwise, the processes meet on this machine at a free port.
    """
    from torch.distributed.run import get_args_parser

    parser = get_args_parser()
    parser.prog = "aotlab torchrun"
    parser.error = Parser("torchrun", description="").error  # type: ignore[method-assign]
    args = parser.parse_args(arguments)
    name = args.training_script.replace("-", "_")
    if name in COMMANDS:
        args.module, args.training_script = True, f"aotlab.tools.{name}"
    elif not (args.module or args.no_python or os.path.isfile(args.training_script)):
        parser.error(f"{shown(args.training_script)}: no command and no program")
    before = arguments[: len(arguments) - len(args.training_script_args)]
    if not any(argument.replace("_", "-").startswith(MEETING) for argument in before):
        args.standalone = True
    return args


def require_address(args: Namespace) -> None:
    """Refuse a meeting point whose name nobody knows: PyTorch asks for it again for minutes.

    Raises:
        InputError: the name has no address.
        ValueError: it is no host and port.
    """
    from torch.distributed.elastic.rendezvous.utils import parse_rendezvous_endpoint

    if args.standalone or args.rdzv_backend not in ("static", "c10d"):
        return
    option, host = "--master-addr", args.master_addr
    if args.rdzv_endpoint:
        option, host = "--rdzv-endpoint", parse_rendezvous_endpoint(args.rdzv_endpoint, default_port=-1)[0]
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"torchrun: {option} {host}: no machine has this name ({getattr(error, 'strerror', None) or error}); "
            "give the name or address of the machine where all processes meet"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
