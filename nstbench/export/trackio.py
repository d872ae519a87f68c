"""Runs in Trackio, which keeps them on this machine (TRACKIO_DIR)."""

from contextlib import suppress

import trackio

from nstbench.export import contents
from nstbench.export.commands import Options
from nstbench.report.data.reader import RecordedRun


def view(options: Options) -> str:
    """The command that shows what was exported."""
    return f"trackio show --project {options.project}"


class Writer:
    """A project; each run is opened, written and closed."""

    def __init__(self, options: Options):
        self._project = options.project

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_exception: object) -> None:
        pass

    def update(self, run: RecordedRun) -> None:
        """Write a run, in the place of an earlier export of it."""
        with suppress(ValueError):  # there is no such project yet
            for old in list(trackio.Api().runs(self._project)):
                if old.name == run.id:
                    old.delete()
        trackio.init(
            project=self._project, name=run.id, config=contents.parameters(run),
            auto_log_cpu=False, auto_log_gpu=False,  # they would be this process's
        )  # fmt: skip
        for evaluations, _, values in contents.series(run):
            trackio.log({"evaluations": evaluations, **values}, step=evaluations)
        trackio.log(contents.summary(run), step=run.evaluations + 1)
        trackio.finish()
