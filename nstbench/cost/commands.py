"""`python -m nstbench cost optimizer=a,b,... [lr=x,y,...]`: count, time, decide, tell."""

import signal
import sys
from collections.abc import Sequence

from nstbench import arguments as given

HELP = """\
python -m nstbench cost optimizer=a,b,... [lr=x,y,...] [name=value ...]: what a step costs

  python -m nstbench cost optimizer=adam,adagrad,rmsprop size=256
  python -m nstbench cost optimizer=adam,./my_opt.py:MyAdam margin=0.005 minutes=20
  python -m nstbench cost optimizer=rmsprop lr=0.02,0.001 size=256   (rates; with both: all of them)
  KERAS_BACKEND=jax python -m nstbench cost optimizer=adam,optax.adam lr=0.02

Three instruments: arrays and bytes that an update moves, counted; the update alone, in
microseconds; whole steps in turn, A B B A, until it is decided whether they differ by more than
the margin. Looking again and again makes no errors: the bounds hold however often one looks.

Settings (conf/cost.yaml explains them):
  margin=0.01  minutes=10  pairs=all|first  alpha  sample_s  rounds  block_s  quietest  force
All other settings are those of a run (python -m nstbench --help): size, content, kernels, ...
The same command continues what was not decided. Tables (CSV, Markdown), a forest plot and the
record go to <out>/cost/. Leave the machine alone while it measures: what disturbed it is noted.
"""


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    return given.command("cost", HELP, arguments, lambda: _run(arguments), stopped=given.CONTINUES)


def _run(arguments: Sequence[str]) -> None:
    from nstbench.run.progress import quiet_start

    with quiet_start():
        from nstbench.cost import options
        from nstbench.settings import inputs

        request = options.read(arguments)
        for competitor in request.competitors:
            inputs.check(competitor.settings)
        from nstbench.cost.session import Session

        session = Session(request, list(arguments), _say)
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with session.locked():
            paths = session.measure()
    finally:
        signal.signal(signal.SIGTERM, previous)
    for line in session.told():
        print(line)
    print(*paths, sep="\n")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
