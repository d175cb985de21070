"""A real SLURM on this machine: munge, a controller and two nodes, whose GPUs are empty files."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.helpers.machines import Clone, free_ports, wait

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")
NODES, GPUS = 2, 16
SHORT = os.environ.get("ENGINES") == "short"  # what .ci/run has time for: each kind of kill once
CONFIGURATION = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
SwitchType=switch/none
KillWait=5
GresTypes=gpu
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=128 RealMemory=1000000 Gres=gpu:{gpus}
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=128 RealMemory=1000000 Gres=gpu:{gpus}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Say why SLURM cannot be started here; nothing where it can."""
    if os.environ.get("ENGINES") not in ("1", "short"):
        return "set ENGINES=1 to start a SLURM of two nodes (ten minutes), or ENGINES=short (five)"
    if os.geteuid() != 0:
        return "SLURM's daemons want root"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"not installed: {', '.join(missing)} (apt-get install slurm-wlm munge)" if missing else ""


class Slurm:
    """The cluster, from entering to leaving; jobs are submitted from the folder of a project."""

    def __init__(self, folder: Path, project: Clone) -> None:
        self.folder, self.project = folder, project
        self.environment = project.environment | {"SLURM_CONF": str(folder / "slurm.conf")}

    def __enter__(self) -> "Slurm":
        folder = self.folder
        folder.mkdir()
        (folder / "state").mkdir()
        (folder / "key").write_bytes(os.urandom(128))
        (folder / "key").chmod(0o600)
        for gpu in range(GPUS):
            (folder / f"gpu{gpu}").touch()
        (folder / "gres.conf").write_text(f"NodeName=node[1-{NODES}] Name=gpu File={folder}/gpu[0-{GPUS - 1}]\n")
        host = socket.gethostname().split(".")[0]
        (folder / "slurm.conf").write_text(
            CONFIGURATION.format(host=host, folder=folder, ports=free_ports(1 + NODES), gpus=GPUS)
        )
        files = {name: folder / name for name in ("munge.socket", "munged.pid", "munged.log", "seed")}
        self.do(
            "munged", "--force", f"--key-file={folder / 'key'}", f"--socket={files['munge.socket']}",
            f"--pid-file={files['munged.pid']}", f"--log-file={files['munged.log']}", f"--seed-file={files['seed']}",
        )  # fmt: skip
        self.do("slurmctld")
        for node in range(1, 1 + NODES):
            self.do("slurmd", "-N", f"node{node}")
        wait("SLURM's nodes", lambda: self.do("sinfo", "--noheader", "--format=%T %D").split() == ["idle", str(NODES)])
        return self

    def __exit__(self, *_: object) -> None:
        """End the jobs, then the daemons, whatever state they are in."""
        subprocess.run(["scancel", "--user=root"], env=self.environment, check=False, timeout=60)
        wait("the jobs' end", lambda: not self.queue())
        for file in [*self.folder.glob("slurm*.pid"), *self.folder.glob("munged.pid")]:
            os.kill(int(file.read_text()), signal.SIGTERM)
            wait(f"the end of {file.stem}", lambda file=file: not file.exists())

    def do(self, *words: str, **variables: str) -> str:
        """Run a command in the project's folder; return what it said."""
        done = subprocess.run(
            words,
            cwd=self.project.folder,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done.stdout

    def submit(self, *words: str, **variables: str) -> str:
        """Return the number of the job."""
        return self.do("sbatch", "--parsable", *words, **variables).strip()

    def queue(self) -> dict[str, str]:
        """Return the state of each task that is not over."""
        return dict(line.split() for line in self.do("squeue", "--noheader", "--array", "--format=%i %T").splitlines())

    def requeue(self, task: str) -> None:
        """Kill a task and start it again, without the two minutes that SLURM waits otherwise."""
        self.do("scontrol", "requeue", task)
        wait(f"{task} to be queued again", lambda: self.queue().get(task) == "PENDING")
        self.do("scontrol", "update", f"JobId={task}", "StartTime=now")
        wait(f"{task} to run again", lambda: self.queue().get(task) == "RUNNING")

    def finish(self, seconds: float = 300) -> None:
        """Wait until no task is left."""
        wait(f"the queue's end\n{self.logs()}", lambda: not self.queue(), seconds)

    def log(self, name: str) -> str:
        return (self.project.folder / name).read_text()

    def logs(self) -> str:
        files = [*self.folder.glob("*.log"), *self.project.folder.glob("*.log")]
        return "\n".join(f"{path.name}:\n{path.read_text()[-2000:]}" for path in files)
