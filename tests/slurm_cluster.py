"""A Slurm cluster of two nodes on this machine."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from aotlab_testing.processes import RUN_SECONDS, WAIT_SECONDS, reserve_port, wait_until

# A requeued job starts after cred_expire; the nodes are named by addresses, so that no name has to resolve.
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/controller.pid
SlurmUser=root
SlurmdPidFile={folder}/%n.pid
SlurmdSpoolDir={folder}/%n
StateSaveLocation={folder}
AuthInfo=socket={folder}/munge,cred_expire=20
FirstJobId={ports[0]}
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SlurmdParameters=config_overrides
NodeName=127.0.0.1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=127.0.0.2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=all Nodes=ALL Default=YES
"""
ENDED = {"CANCELLED", "COMPLETED", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}


def find_obstacle() -> str | None:
    """Return why no cluster can start here, or None."""
    missing = [name for name in ("slurmctld", "slurmd", "munged") if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)}: apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "needs root to start Slurm's nodes"


@dataclass
class Cluster:
    """A running cluster; its jobs inherit ``env``."""

    env: dict[str, str]

    def call(self, *words: object, **options: object) -> str:
        """Run a program of Slurm; return its output."""
        command = list(map(str, words))
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=RUN_SECONDS, **options)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def submit(self, folder: Path, *words: object) -> str:
        """Submit a job from a folder, whose output goes to ``slurm-ID.out`` there; return its id."""
        return self.call("sbatch", "--parsable", *words, cwd=folder)

    def read_jobs(self, job: str) -> list[dict[str, str]]:
        """Return the fields of a job, or of each task of an array."""
        lines = self.call("scontrol", "show", "job", "--oneliner", job).splitlines()
        return [dict(field.split("=", 1) for field in line.split() if "=" in field) for line in lines]

    def wait(self, job: str) -> list[dict[str, str]]:
        """Wait for the end of a job; return its fields, or those of each task of an array."""
        wait_until(lambda: all(task["JobState"] in ENDED for task in self.read_jobs(job)), RUN_SECONDS, pause=0.5)
        return self.read_jobs(job)


@contextmanager
def start_cluster() -> Iterator[Cluster]:
    """Start Slurm with its own munge, configuration and ports; stop its jobs and programs at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))  # a short path, as it contains sockets
        ports = [stack.enter_context(reserve_port()) for _ in range(3)]
        host = socket.gethostname().partition(".")[0]
        configuration = folder / "slurm.conf"
        configuration.write_text(CONFIGURATION.format(folder=folder, host=host, ports=ports))
        key = folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        cluster = Cluster({**os.environ, "SLURM_CONF": str(configuration), "PATH": programs})

        def start(*command: str) -> None:
            with (folder / f"{command[0]}.log").open("a") as log:
                process = subprocess.Popen(command, env=cluster.env, stdout=log, stderr=log, cwd=folder)
            stack.callback(process.wait, WAIT_SECONDS)
            stack.callback(process.terminate)

        files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "log", "pid", "seed")]
        start("munged", "--foreground", "--force", f"--socket={folder}/munge", *files)
        wait_until((folder / "munge").exists)
        start("slurmctld", "-D")
        for node in ("127.0.0.1", "127.0.0.2"):
            start("slurmd", "-D", "-N", node)
        show_nodes = ["sinfo", "--noheader", "--format=%D %T"]
        wait_until(lambda: subprocess.run(show_nodes, env=cluster.env, capture_output=True).stdout == b"2 idle\n")
        try:
            yield cluster
        finally:
            cluster.call("scancel", "--user=root")
            wait_until(lambda: not cluster.call("squeue", "--noheader"), pause=0.5)
