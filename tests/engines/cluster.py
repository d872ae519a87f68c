"""A SLURM cluster of one machine, with accounting, for as long as a `with` block lasts.

Needs root and, on Debian, the packages slurmctld slurmd slurm-client munge slurmdbd mariadb-server.
No service of the system is used or changed: all five daemons have their files in one folder and
are ended with it. Without accounting a crashed task would be waited for without end.
"""

import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

PACKAGES = "slurmctld slurmd slurm-client munge slurmdbd mariadb-server"
PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sbatch")

SLURM_CONF = """
ClusterName=nstbench
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
SlurmctldPort={ctld}
SlurmdPort={slurmd}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={folder}/munge/socket
ReturnToService=2
KillWait=5
MinJobAge=300
SchedulerParameters=batch_sched_delay=1,sched_interval=2,sched_min_interval=1,requeue_delay=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""

DBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={sql}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""


def missing():
    """What keeps a cluster from being started here, in words; None when nothing does."""
    if os.geteuid() != 0:
        return "starting SLURM needs root"
    absent = [name for name in PROGRAMS if not shutil.which(name, path=_path())]
    return f"{', '.join(absent)} not found: apt-get install {PACKAGES}" if absent else None


@contextmanager
def cluster(folder: Path):
    """The environment in which sbatch, sacct and so on speak to the new cluster."""
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
    values = _values(folder)
    for name in ("munge", "state", "spool", "sql"):
        (folder / name).mkdir()
    folder.chmod(0o755)
    (folder / "slurm.conf").write_text(SLURM_CONF.format_map(values))
    (folder / "slurmdbd.conf").write_text(DBD_CONF.format_map(values))
    (folder / "slurmdbd.conf").chmod(0o600)
    with ExitStack() as stack:
        stack.enter_context(_munge(folder, environment))
        stack.enter_context(_database(folder, values, environment))
        stack.enter_context(_daemon(folder, environment, "slurmdbd", "-D"))
        _until(lambda: _listens(values["dbd"]), "slurmdbd", folder)
        _run(environment, "sacctmgr", "-i", "add", "cluster", "nstbench")
        stack.enter_context(_daemon(folder, environment, "slurmctld", "-D"))
        _until(lambda: _listens(values["ctld"]), "slurmctld", folder)
        stack.enter_context(_daemon(folder, environment, "slurmd", "-D", "-N", values["host"]))
        idle = lambda: "idle" in _run(environment, "sinfo", "-h", "-o", "%T")  # noqa: E731
        _until(idle, "slurmd", folder)
        try:
            yield environment
        finally:
            _run(environment, "scancel", "--user", "root")
            time.sleep(2)


def _path():
    return os.environ["PATH"] + ":/usr/sbin:/sbin"


def _values(folder):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(4)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in sockets]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return dict(zip(("ctld", "slurmd", "dbd", "sql"), ports, strict=True)) | {
        "folder": folder,
        "host": socket.gethostname().split(".")[0],
        "cpus": os.cpu_count(),
        "memory": memory * 9 // 10,
    }


@contextmanager
def _munge(folder, environment):
    own = folder / "munge"
    key = own / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    shutil.chown(own, "munge", "munge")
    shutil.chown(key, "munge", "munge")
    own.chmod(0o755)
    options = [
        f"--{what}={own / name}"
        for what, name in (
            ("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"),
            ("log-file", "log"), ("seed-file", "seed"),
        )
    ]  # fmt: skip
    command = ("runuser", "-u", "munge", "--", "munged", "--foreground", "--force", *options)
    with _daemon(folder, environment, *command):
        _until(lambda: (own / "socket").exists(), "runuser", folder)
        yield


@contextmanager
def _database(folder, values, environment):
    data, door = folder / "sql" / "data", folder / "sql" / "socket"
    shutil.chown(folder / "sql", "mysql", "mysql")
    _run(environment, "mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=mysql")
    options = ("--no-defaults", f"--datadir={data}", f"--socket={door}", f"--port={values['sql']}",
               "--bind-address=127.0.0.1", "--user=mysql", f"--pid-file={folder}/sql/pid",
               "--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900")  # fmt: skip
    with _daemon(folder, environment, "mariadbd", *options):
        _until(lambda: _listens(values["sql"]), "mariadbd", folder)
        statements = (
            "create database slurm; create user slurm@'127.0.0.1' identified by 'slurm';"
            "create user slurm@localhost identified by 'slurm';"
            "grant all on slurm.* to slurm@'127.0.0.1'; grant all on slurm.* to slurm@localhost;"
        )
        _run(environment, "mariadb", "--no-defaults", f"--socket={door}", "-e", statements)
        yield


@contextmanager
def _daemon(folder, environment, *command):
    with open(folder / f"{command[0]}.log", "ab") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _run(environment, *command):
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(condition, name, folder):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.3)
    raise RuntimeError(f"{name} did not start:\n{(folder / f'{name}.log').read_text()[-3000:]}")
