"""The command line, the one front door: settings or a command in, exit code out.

Exit codes: 0 done (a diverged run is a result), 1 a run failed, 2 a setting is wrong, 130 stopped.
Every mistake is one line. Nothing heavy is imported before it is needed: `--help` answers at once.
"""

import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from nstbench import arguments as given
from nstbench import errors

if TYPE_CHECKING:
    from nstbench.settings.model import Settings

# Where each command's `main(arguments) -> exit code` is, or another function of this form.
COMMANDS = {
    "from": "nstbench.again",
    "report": "nstbench.report.__main__",
    "check": "nstbench.check",
    "cost": "nstbench.cost.commands",
    "benchmark": "nstbench.benchmark.commands:benchmark",
    "score": "nstbench.benchmark.commands:score",
    "pack": "nstbench.benchmark.pack",
    "verify": "nstbench.benchmark.verify",
    "leaderboard": "nstbench.benchmark.leaderboard",
    "speed": "nstbench.speed.__main__",
    "visualize": "nstbench.visualize.__main__",
    "animate": "nstbench.animate",
    "sheet": "nstbench.sheet.commands",
    "export": "nstbench.export.commands",
}


def entry() -> None:
    """Console script and `python -m nstbench`.

    SIGTERM and SIGHUP stop it like Ctrl-C, from the start; one that was ignored (nohup) stays so.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        code = main(sys.argv[1:])
    except KeyboardInterrupt:  # while a command was being loaded
        print("nstbench: stopped", file=sys.stderr)
        code = 130
    sys.exit(code)


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    first = arguments[0] if arguments else ""
    if first in COMMANDS:
        module, _, function = COMMANDS[first].partition(":")
        return getattr(import_module(module), function or "main")(list(arguments[1:]))
    return errors.exit_code("nstbench", lambda: _dispatch(given.joined(arguments)), given.CONTINUES)


def _dispatch(arguments: list[str]) -> int:
    flags = [a for a in arguments if given.is_flag(a)]
    overrides = [a for a in arguments if not given.is_flag(a)]
    _refuse_unknown(flags, overrides)
    if {*given.HELP} & set(flags):
        from nstbench import help

        print(help.of_runs(), end="")
    elif "--version" in flags:
        from importlib.metadata import version

        print(version("nstbench"))
    elif "--cfg" in flags:
        _print_settings(overrides)
    elif given.is_sweep(arguments):
        return _sweep(flags, overrides)
    else:
        return _run_one(overrides)
    return 0


def _refuse_unknown(flags: list[str], overrides: list[str]) -> None:
    for flag in flags:
        if flag == given.CONFIG_DIR:
            raise errors.SettingsError(f"{flag} needs a folder: {flag} my_conf")
        if flag not in given.FLAGS:
            raise errors.unknown("option", flag, given.FLAGS)
    for word in overrides:
        if "=" not in word and get_close_matches(word, COMMANDS, cutoff=0.7):
            raise errors.unknown("command", word, COMMANDS)


def _print_settings(overrides: list[str]) -> None:
    from omegaconf import OmegaConf

    print(OmegaConf.to_yaml(_composed(overrides).model_dump(mode="json")), end="")


def _sweep(flags: list[str], overrides: list[str]) -> int:
    from nstbench.sweep import launch

    multirun = bool({*given.MULTIRUN} & set(flags))
    return launch.main(overrides, multirun, dry=given.DRY_RUN in flags)


def _run_one(overrides: list[str]) -> int:
    settings = _composed(overrides)
    from nstbench.run import ahead
    from nstbench.run.progress import Progress, quiet_start
    from nstbench.run.record import read_record
    from nstbench.settings import identity

    directory = identity.run_directory(settings)
    done = read_record(directory)
    already = done is not None and done.status.is_final and not settings.force
    with Progress(settings) as progress:
        if not already:
            begun = ahead.begin(settings)
            with quiet_start():
                from nstbench.run import loop, setup

            done = loop.run(settings, progress, setup.Setup(begun))
        progress.summary(done, directory, already)
    return 130 if done.status == "interrupted" else 0


def _composed(overrides: list[str]) -> "Settings":
    from nstbench.run.progress import quiet_start
    from nstbench.settings import compose, inputs

    with quiet_start():  # an optimizer from outside may bring a backend, which greets
        settings = compose.resolve(overrides)
    inputs.check(settings)
    return settings
