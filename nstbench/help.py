"""The text of `python -m nstbench --help`; names come from the YAML files in `conf/`."""

import textwrap

from nstbench.files import conf_dir

WIDTH = 100

RUNS = """\
nstbench: an optimizer benchmark on one real problem, neural style transfer with VGG-19

  python -m nstbench optimizer=adam lr=0.02 epochs=500             one run
  python -m nstbench -m optimizer=adam,adagrad lr=0.02,0.1         every combination, resumable
  python -m nstbench suite=table1 repeats=3                        a named suite, interleaved
  python -m nstbench report                                        figures, tables, verdicts
  python -m nstbench check | cost | benchmark | score              how good, how dear, how sound
  python -m nstbench pack | verify | leaderboard                   results that strangers can check
  python -m nstbench speed | visualize | animate                   each with its own --help
  python -m nstbench from image.png                                what made a picture, once more
  python -m nstbench sheet content=me.jpg lr=0.01,0.1              one picture of rates and progress
  python -m nstbench export tensorboard | mlflow | wandb | trackio

Settings (name=value, any order; conf/config.yaml explains them all):
  content  style  init  size  lr  epochs  steps_per_epoch  seed  snapshots  weights  kernels  out
  optimizer.beta_1=0.99  schedule.decay_rate=0.8  extractor.pooling=avg  objective.style.weight=1e-3
{groups}
Your own: optimizer=mylab.optim.MyAdam | ./my_opt.py:MyAdam | optax.adabelief | torch.optim.RAdam
  | scipy.CG; schedule= and extractor= by path, too; --config-dir DIR: your own YAML files

Sweeps (conf/sweep.yaml): repeats=5 (interleaved), time_limit=3600 (seconds per run),
  epochs_scale=0.02 (a shorter suite), hydra/launcher=joblib | slurm | ray
{suites}
Options:
  -m, --multirun    run every combination of comma-separated values
  --dry-run         say what would run, what is complete, and about how long it takes
  --config-dir DIR  a folder of YAML files (optimizer/mine.yaml ...) beside the built-in ones
  --cfg             print the composed settings and stop
  --version         print the version
  -h, --help        this text
"""


def of_runs() -> str:
    """The text of `python -m nstbench --help`."""
    groups = ("optimizer", "schedule", "objective", "extractor", "experiment")
    return RUNS.format(
        groups="\n".join(_listed(group) for group in groups), suites=_listed("suite")
    )


def _listed(group: str) -> str:
    names = sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
    return textwrap.fill(
        f"{group}: {' '.join(names)}", WIDTH, initial_indent="  ", subsequent_indent="    ",
        break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip
