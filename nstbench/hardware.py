"""What settings say of the device and its kernels, without a backend: planning knows no more.

`device=auto` stays "auto": what it is decides the machine that runs, which need not be the one that
plans (a cluster's front end has no accelerator, its nodes have), and a guess by either would give a
run two names. Runs of one name may then come from different devices; each record says which it was
(`machine.devices`, `machine.kernels`), and a run that is there already says so. Who shares a
results folder between machines of different kinds names the device: `device=gpu`.
"""

import re

from nstbench import errors

WITHOUT_XLA = ("torch",)  # backends that do not compile by XLA
SINGLE = ("float32", "tf32")  # precisions whose network computes with float32


def check(device: str) -> None:
    """Raise `SettingsError` for what is no `device` setting, whatever the machine has."""
    if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", device):
        raise errors.unknown("device", device, ("auto", "cpu", "gpu", "gpu:1"))


def kind(device: str) -> str:
    """ "auto", "cpu" or "gpu" of a `device` setting: which one of several changes no number."""
    return device.partition(":")[0]


def kernels(chosen: str, kind: str, backend: str, precision: str) -> str:
    """`direct` or `fast`: `auto` is fast where XLA compiles for a CPU in float32, direct elsewhere.

    It stays `auto` where only the device that runs could tell.
    """
    if chosen != "auto":
        return chosen
    if kind == "gpu" or backend in WITHOUT_XLA or precision not in SINGLE:
        return "direct"
    return "fast" if kind == "cpu" else "auto"
