"""Runs in Weights & Biases; with WANDB_MODE=offline in files that `wandb sync` sends later."""

import re

import wandb

from nstbench.export import contents
from nstbench.export.commands import Options
from nstbench.report.data.reader import RecordedRun

# What W&B notes of a process would be the export's, not the run's.
NOTHING_OF_THIS_PROCESS = {
    "console": "off", "silent": True, "disable_git": True, "x_disable_stats": True,
    "x_disable_meta": True,
}  # fmt: skip


def view(options: Options) -> str:
    """The command that sends what was exported offline; online it is there already."""
    return f"wandb sync {_folder(options)}/wandb/offline-run-* (or in the project online)"


def _folder(options: Options) -> str:
    return options.to or str(options.folder)


class Writer:
    """A project; each run is opened, written and closed."""

    def __init__(self, options: Options):
        options.folder.mkdir(parents=True, exist_ok=True)
        self._project, self._folder = options.project, _folder(options)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_exception: object) -> None:
        pass

    def update(self, run: RecordedRun) -> None:
        """Write a run; one with the same identity is replaced."""
        made = wandb.init(
            project=self._project, dir=self._folder, name=run.label,
            config=contents.parameters(run), id=re.sub(r"[^\w.-]", "_", run.id),
            group=run.problem, tags=[str(run.status)],
            settings=wandb.Settings(**NOTHING_OF_THIS_PROCESS),
        )  # fmt: skip
        pictures = contents.pictures(run)
        for evaluations, _, values in contents.series(run):
            picture = pictures.get(evaluations)
            shown = {} if picture is None else {"image": wandb.Image(str(picture))}
            made.log({"evaluations": evaluations, **values, **shown}, step=evaluations)
        made.summary.update(contents.summary(run))
        made.finish()
