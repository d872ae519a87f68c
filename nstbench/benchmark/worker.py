"""The process that stays: runs come in as lines of JSON, answers go out as lines of JSON.

Started by `carry.Worker`. It ends with its input, so no run goes on for nobody; the run under way
is finished first, or interrupted by SIGINT and SIGTERM as every run is.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

from nstbench.errors import LockedError, NstbenchError
from nstbench.run.listener import Silent
from nstbench.run.progress import quiet_start

PATIENCE_S = 90.0  # for a run that a worker before this one still holds


class _Log(Silent):
    """Downloads and notes go to the log."""

    def download(self, name: str, done: int, total: int | None) -> None:
        if done == total:
            print(f"fetched {name}", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Carry out one run after the other until the input ends."""
    answers = _answers()
    with quiet_start():
        from nstbench.run.kept import Kept
    kept = Kept()
    for line in sys.stdin:
        status, error = carry_out(json.loads(line), kept)
        print(json.dumps({"status": status, "error": error}), file=answers, flush=True)
        if status == "interrupted":
            return 130
    return 0


def carry_out(arguments: Sequence[str], kept: Any) -> tuple[str, str | None]:
    """How the run of these arguments ended, and why where it failed."""
    from nstbench.run import loop
    from nstbench.settings import compose

    started = time.monotonic()
    while True:
        try:
            record = loop.run(compose.resolve(arguments), _Log(), kept)
            return str(record.status), record.error
        except LockedError as error:
            if time.monotonic() - started > PATIENCE_S:
                return "failed", str(error)
            time.sleep(0.5)
        except KeyboardInterrupt:
            return "interrupted", None
        except NstbenchError as error:
            return "failed", str(error)
        except Exception as error:  # an optimizer from anywhere may raise anything
            return "failed", " ".join(f"{type(error).__name__}: {error}".split())


def _answers() -> TextIO:
    """The standard output for answers alone: what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    sys.exit(main())
