"""What can be seen of a command line without reading its settings. Nothing heavy is imported."""

import os
import shlex
from collections.abc import Callable, Sequence

from nstbench import errors

# What `python -m nstbench <command>` does besides runs; each computes (True) or reads and waits.
COMMANDS = {
    "from": True, "report": False, "check": True, "cost": True, "benchmark": False, "score": False,
    "pack": False, "verify": True, "leaderboard": False, "speed": True, "visualize": True,
    "animate": False, "sheet": False, "export": False,
}  # fmt: skip
WORKERS = ("nstbench.sweep.worker", "nstbench.benchmark.worker")  # processes that carry out runs
CONFIG_DIR = "--config-dir"  # DIR: a person's own YAML files
MULTIRUN = ("-m", "--multirun")
DRY_RUN = "--dry-run"
HELP = ("-h", "--help")
INFORMATION = (*HELP, "--version", "--cfg", DRY_RUN)  # answered without a run
FLAGS = (*MULTIRUN, *INFORMATION, CONFIG_DIR)
SWEEP_OPTIONS = ("suite", "repeats", "time_limit")  # the keys of conf/sweep.yaml
CONTINUES = "stopped; the same command continues"
PICTURES = ("content", "style")  # settings that take a folder, too


def command(
    name: str,
    text: str,
    arguments: Sequence[str],
    action: Callable[[], int | None],
    *,
    is_whole: bool = False,
    stopped: str = "stopped",
) -> int:
    """Carry out `python -m nstbench <name>`: print its help, or do `action`; the exit code.

    Without arguments it is help that is wanted, unless the command `is_whole` by itself.
    """
    if {*HELP} & set(arguments) or not (arguments or is_whole):
        print(text, end="")
        return 0
    return errors.exit_code(f"nstbench {name}", action, stopped)


def typed(*words: str) -> str:
    """The command line as it is typed in a shell: "python -m nstbench report 'my results'"."""
    return shlex.join(["python", "-m", "nstbench", *words])


def joined(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--config-dir DIR` as one, `--config-dir=DIR`."""
    made: list[str] = []
    for argument in arguments:
        if made and made[-1] == CONFIG_DIR:
            made[-1] = f"{CONFIG_DIR}={argument}"
        else:
            made.append(argument)
    return made


def is_flag(argument: str) -> bool:
    """Whether an argument is an option, and no setting (whose value may begin with a dash)."""
    return argument.startswith("-") and not argument.startswith(f"{CONFIG_DIR}=")


def is_sweep(arguments: Sequence[str], folder: str = ".") -> bool:
    """Whether a command line asks for runs in processes of their own, which are waited for.

    `folder` is where it was given: a folder of pictures stands for all of them.
    """
    if {*MULTIRUN, DRY_RUN} & set(arguments):
        return True
    keys = {a.partition("=")[0] for a in arguments if not is_flag(a)}
    if keys & set(SWEEP_OPTIONS) or any(key.startswith("hydra") for key in keys):
        return True
    return any(names_folder(argument, folder) for argument in arguments)


def names_folder(argument: str, folder: str = ".") -> bool:
    """Whether `argument` gives a folder of pictures as content or style.

    A built-in picture's name never is one, whatever lies in the current folder.
    """
    key, equals, name = argument.partition("=")
    path = os.path.join(folder, os.path.expanduser(name))
    if key not in PICTURES or not equals or not os.path.isdir(path):
        return False
    from nstbench.pictures import images  # seldom needed, and brings NumPy

    return name not in (*images.builtin_contents(), *images.builtin_styles())


def computes(command: Sequence[str], folder: str = ".") -> bool:
    """Whether a process with this command line computes for nstbench, rather than waits or reads.

    `command` begins with the interpreter; `folder` is the process's current one.
    """
    words = list(command[1:])
    if not command or not os.path.basename(command[0]).startswith(("python", "pypy")):
        return False
    script = bool(words) and os.path.basename(words[0]) in ("nstbench", "nstbench.exe")
    if script:
        module, rest = "nstbench", words[1:]
    elif "-m" in words[:-1]:
        at = words.index("-m")
        module, rest = words[at + 1], words[at + 2 :]
    else:
        return False
    if module in WORKERS:
        return True
    if module.startswith("nstbench.") and module.count(".") == 1:
        module, rest = "nstbench", [module.partition(".")[2], *rest]
    if module != "nstbench" or set(rest) & set(INFORMATION):
        return False
    if rest and rest[0] in COMMANDS:
        return COMMANDS[rest[0]]
    return not is_sweep(joined(rest), folder)
