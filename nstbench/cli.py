"""The command line: settings in, exit code out, every mistake one line.

Exit codes: 0 done (a diverged run is a result), 1 a run failed, 2 a setting is wrong, 130 stopped.
Nothing heavy is imported before it is needed: `--help` answers at once.
"""

import signal
import sys
from collections.abc import Sequence

from nstbench import errors

HELP = """\
nstbench: an optimizer benchmark on one real problem, neural style transfer with VGG-19

  python -m nstbench optimizer=adam lr=0.02 epochs=500             one run
  python -m nstbench -m optimizer=adam,adagrad lr=0.02,0.1         every combination, resumable
  python -m nstbench suite=table1 repeats=3                        a named suite, interleaved
  python -m nstbench.report                                        figures, tables, verdicts

Settings (name=value, any order; conf/config.yaml explains them all):
  optimizer  adam adamw nadam adamax adagrad adadelta rmsprop sgd lion ftrl adafactor
             lbfgs lbfgsb
  lr  epochs  steps_per_epoch  size  content  style  init  seed  snapshots  weights  kernels  out
  objective=...  extractor=...  experiment=...  optimizer.beta_1=0.99  objective.style.weight=1e-3

Sweeps (conf/sweep.yaml): repeats=5 (interleaved), time_limit=3600 (seconds per run), vectorize=8
  (runs in one batch), epochs_scale=0.02 (a shorter suite), hydra/launcher=joblib | slurm | ray

Options:
  -m, --multirun   run every combination of comma-separated values
  --cfg            print the composed settings and stop
  --version        print the version
  -h, --help       this text
"""

FLAGS = ("-m", "--multirun", "--cfg", "--version", "-h", "--help")


def entry() -> None:
    """Console script and `python -m nstbench`."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    stopped = "stopped; the same command continues"
    return errors.exit_code("nstbench", lambda: _dispatch(list(arguments)), stopped)


def _dispatch(arguments: list[str]) -> int:
    flags = [a for a in arguments if a.startswith("-")]
    overrides = [a for a in arguments if not a.startswith("-")]
    for flag in flags:
        if flag not in FLAGS:
            raise errors.unknown("option", flag, FLAGS)
    if "-h" in flags or "--help" in flags:
        print(HELP, end="")
        return 0
    if "--version" in flags:
        from importlib.metadata import version

        print(version("nstbench"))
        return 0
    if "--cfg" in flags:
        return _print_settings(overrides)
    keys = {override.split("=", 1)[0] for override in overrides}
    is_sweep = {"-m", "--multirun"} & set(flags) or keys & {"suite", "repeats", "vectorize"}
    if is_sweep or _has_folder(overrides):
        from nstbench.sweep import launch as sweep

        return sweep.main(overrides)
    return _run_one(overrides)


def _has_folder(overrides: list[str]) -> bool:
    from nstbench.sweep import plan

    return any(map(plan.names_folder, overrides))


def _print_settings(overrides: list[str]) -> int:
    from omegaconf import OmegaConf

    from nstbench.settings import compose

    print(OmegaConf.to_yaml(compose.resolve(overrides).model_dump(mode="json")), end="")
    return 0


def _run_one(overrides: list[str]) -> int:
    from nstbench.settings import compose, identity

    settings = compose.resolve(overrides)
    signal.signal(signal.SIGTERM, _interrupt)
    from nstbench.run.progress import Progress, quiet_start
    from nstbench.run.record import read_record

    done = read_record(identity.run_directory(settings))
    already = done is not None and done.status.is_final and not settings.force
    with Progress(settings) as progress:
        if not already:
            with quiet_start():
                from nstbench.run import loop as runner

            done = runner.run(settings, progress)
        progress.summary(done, identity.run_directory(settings), already)
    return 130 if done.status == "interrupted" else 0


def _interrupt(number, frame):
    raise KeyboardInterrupt
