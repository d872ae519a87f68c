"""What a run ran on, and whether it was alone there: one small function per fact."""

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import psutil

from nstbench.arguments import computes

PACKAGES = ("nstbench", "tensorflow", "keras", "numpy", "jax", "torch", "hydra-core")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "XLA_FLAGS",
    "CUDA_VISIBLE_DEVICES",
)
LAUNCHER_VARIABLE = "NSTBENCH_LAUNCHER"  # set by a sweep that may run several at once

# A run is disturbed when other processes used its cores for more than this share of what it used
# itself: the differences that a comparison of optimizers looks for are of a few per cent.
OTHERS_SHARE = 0.05
# ... but not for less than this: the system counts CPU time in ticks of 10 ms, on every core.
OTHERS_FLOOR_S = 0.3
# Time that a hypervisor gave to other machines, or a quota took away, as a share of wall time.
LOST_SHARE = 0.01


def describe() -> dict[str, object]:
    """The facts about this machine that seconds depend on; all of it stays in `run.json`."""
    return {
        "host": host(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "cpu": cpu_model(),
        "cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(),
        "usable_cores": len(usable_cores()),
        "memory_bytes": memory_bytes(),
        "governor": governor(),
        "gpus": gpus(),
        "threads": thread_variables(),
    }


def host() -> str:
    """A digest that tells this machine from others without naming it."""
    identity = platform.node()
    with contextlib.suppress(OSError):
        identity = Path("/etc/machine-id").read_text().strip() + identity
    return hashlib.sha256(f"{identity} {cpu_model()}".encode()).hexdigest()[:16]


def cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Hardware", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> list[int]:
    """The logical cores that this process may run on."""
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # no affinity on macOS
        return list(range(psutil.cpu_count() or 1))


def memory_bytes() -> int:
    return psutil.virtual_memory().total


def governor() -> str | None:
    """What decides the clock rate of the cores; "performance" gives the steadiest seconds."""
    return _read_text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))


def gpus() -> list[str]:
    """Name, driver and memory of each NVIDIA device; empty where there is none."""
    return _nvidia("--query-gpu=name,driver_version,memory.total")


def thread_variables() -> dict[str, str]:
    """The environment variables, where set, that decide how many threads a run uses."""
    return {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}


def versions() -> dict[str, str | None]:
    """Installed versions, without importing anything; None for what is not installed."""
    return {name: _version(name) for name in PACKAGES}


def process_age() -> float:
    """Seconds since this process started, by a clock that does not jump where there is one."""
    with contextlib.suppress(OSError, AttributeError):
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        return max(0.0, since_boot - ticks / os.sysconf("SC_CLK_TCK"))
    return max(0.0, time.time() - psutil.Process().create_time())


def load() -> dict[str, object]:
    """How busy the machine is now; two of these, from both ends of a run, give `timing_notes`.

    Counters (`..._s`, `..._count`) only mean something as differences.
    """
    return {
        "monotonic_s": time.monotonic(),
        "load_average": load_average(),
        "threads": psutil.Process().num_threads(),
        "other_runs": other_runs(),
        "other_gpu_processes": other_gpu_processes(),
        "launcher": os.environ.get(LAUNCHER_VARIABLE),
        "cpu_own_s": cpu_own_s(),
        "cpu_all_s": cpu_all_s(),
        "steal_s": steal_s(),
        "quota_throttled_s": quota_throttled_s(),
        "thermal_throttle_count": thermal_throttle_count(),
    }


def load_average() -> list[float]:
    """Mean number of runnable processes over 1, 5 and 15 minutes. Recorded, never judged by: after
    a serial run it still holds that run's load."""
    return [round(value, 2) for value in psutil.getloadavg()]


def cpu_own_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return float(sum(psutil.Process().cpu_times()[:4]))


def cpu_all_s() -> float:
    """CPU seconds of all processes on the cores that this one may use."""
    return sum(
        times.user + times.system + getattr(times, "nice", 0.0) for times in _times_of_cores()
    )


def steal_s() -> float:
    """Seconds that a hypervisor gave to other machines while this one wanted to run."""
    return sum(getattr(times, "steal", 0.0) for times in _times_of_cores())


def quota_throttled_s() -> float | None:
    """Seconds that a CPU quota (of a container, of a job) held processes back; None: unreadable."""
    for folder in _cpu_cgroups():
        for line in (_read_text(folder / "cpu.stat") or "").splitlines():
            name, _, value = line.partition(" ")
            if name == "throttled_usec":  # cgroup 2
                return int(value) / 1e6
            if name == "throttled_time":  # cgroup 1
                return int(value) / 1e9
    return None


def thermal_throttle_count() -> int | None:
    """How often cores were slowed because they were hot; None: not readable."""
    folder = Path("/sys/devices/system/cpu")
    texts = [_read_text(p) for p in folder.glob("cpu*/thermal_throttle/core_throttle_count")]
    counts = [int(text) for text in texts if text]
    return sum(counts) if counts else None


def other_runs() -> int:
    """Running processes of nstbench other than this one, its parents and its children."""
    me = psutil.Process()
    family = {me.pid} | {p.pid for p in me.parents()} | {p.pid for p in me.children(recursive=True)}
    processes = psutil.process_iter(["cmdline", "cwd", "status"])
    return sum(
        process.pid not in family
        and process.info["status"] != psutil.STATUS_ZOMBIE
        and computes(process.info["cmdline"] or [], process.info["cwd"] or ".")
        for process in processes
    )


def other_gpu_processes() -> int:
    """Processes that compute on the NVIDIA devices, this one aside; 0 where there is none."""
    mine = str(os.getpid())
    return sum(pid != mine for pid in _nvidia("--query-compute-apps=pid"))


def timing_notes(start: Mapping[str, object], end: Mapping[str, object]) -> list[str]:
    """Why the seconds between two `load()` are not those of a run alone on its machine.

    Empty when they are. The reasons are sentences for a person.
    """
    return [
        note
        for note in (
            _shared_by_launcher(end),
            _other_runs(start, end),
            _other_processes(start, end),
            _other_gpu_processes(start, end),
            _lost(start, end, "steal_s", "the hypervisor gave {:.1f} s to other machines"),
            _lost(start, end, "quota_throttled_s", "a CPU quota held the run back for {:.1f} s"),
            _hot(start, end),
        )
        if note
    ]


def _shared_by_launcher(end: Mapping) -> str | None:
    launcher = end["launcher"]
    return f"the {launcher} launcher may run several at once on one machine" if launcher else None


def _other_runs(start: Mapping, end: Mapping) -> str | None:
    runs = max(start["other_runs"], end["other_runs"])
    return f"{runs} other nstbench run{'s' * (runs > 1)} on the machine" if runs else None


def _other_processes(start: Mapping, end: Mapping) -> str | None:
    own = _difference(start, end, "cpu_own_s")
    others = _difference(start, end, "cpu_all_s") - own
    if others <= max(OTHERS_FLOOR_S, OTHERS_SHARE * own):
        return None
    return f"other processes used {others:.1f} s of CPU beside the run's {own:.1f} s"


def _other_gpu_processes(start: Mapping, end: Mapping) -> str | None:
    count = max(start["other_gpu_processes"], end["other_gpu_processes"])
    return f"{count} other process{'es' * (count > 1)} on the GPU" if count else None


def _lost(start: Mapping, end: Mapping, counter: str, sentence: str) -> str | None:
    lost = _difference(start, end, counter)
    wall = _difference(start, end, "monotonic_s")
    return sentence.format(lost) if lost > LOST_SHARE * wall else None


def _hot(start: Mapping, end: Mapping) -> str | None:
    count = _difference(start, end, "thermal_throttle_count")
    return f"hot cores were slowed {count:.0f} times" if count > 0 else None


def _difference(start: Mapping, end: Mapping, counter: str) -> float:
    return float((end[counter] or 0) - (start[counter] or 0))


def _times_of_cores() -> list:
    cores = psutil.cpu_times(percpu=True)
    return [cores[index] for index in usable_cores() if index < len(cores)]


def _cpu_cgroups() -> list[Path]:
    """The folders that may hold this process's `cpu.stat`, the most specific first."""
    folders = []
    for line in (_read_text(Path("/proc/self/cgroup")) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "cpu" in controllers.split(","):
            mount = Path("/sys/fs/cgroup") / ("cpu" if controllers else "")
            folders += [mount / path.lstrip("/"), mount]
    return folders


def _nvidia(query: str) -> list[str]:
    """Lines of an nvidia-smi query; empty where there is no such tool or it fails."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, query, "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
