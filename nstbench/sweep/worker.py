"""The fresh process of one run of a sweep: `python -m nstbench.sweep.worker SETTINGS`.

It ends with the process that waits for it (`nstbench.sweep.supervise`), however that ends.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from nstbench.errors import LockedError, NstbenchError
from nstbench.run import ahead
from nstbench.run.schema import Status
from nstbench.settings import compose
from nstbench.sweep.supervise import GRACE_S, TAKEN


def main(arguments: Sequence[str]) -> int:
    """Carry out the run of these settings; the exit code, `TAKEN` where another process has it."""
    _ignore_requeue_signals()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        settings = compose.resolve(arguments)
        begun = ahead.begin(settings)
        from nstbench.run import loop, setup
        from nstbench.run.progress import Progress

        with Progress(settings) as progress:
            record = loop.run(settings, progress, setup.Setup(begun))
    except NstbenchError as error:
        print(f"nstbench: {error}", file=sys.stderr)
        return TAKEN if isinstance(error, LockedError) else error.exit_code
    except KeyboardInterrupt:
        return 130
    return 130 if record.status == Status.INTERRUPTED else 0


def _ignore_requeue_signals() -> None:
    """SLURM warns every process of a job; the one that waits for this one acts on it."""
    for name in ("SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _end_with_parent() -> None:
    """Stop this run when the process that waits for it is gone: its end of the pipe closes."""
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
