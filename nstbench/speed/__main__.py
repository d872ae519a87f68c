"""`python -m nstbench.speed [name=value ...]`: one session of measurements, printed and written."""

import sys
from collections.abc import Sequence

from nstbench import errors

HELP = """\
python -m nstbench.speed [name=value ...]: seconds of nstbench and of every other way to do the same

  python -m nstbench.speed                                     the whole session: minutes
  python -m nstbench.speed sizes=[256] rounds=9 curve=[]       one size, no cost curve
  python -m nstbench.speed peers=[nstbench,torch_cl]           some competitors
  KERAS_BACKEND=jax python -m nstbench.speed                   on another backend, or its GPU

Settings (conf/speed.yaml explains them and holds the goals):
  sizes  rounds  warm_up  sample_s  pause_s  peers  curve  fresh  matrix  tolerance  weights
  device  out
Competitors:
  nstbench  direct (nstbench without its fast kernels)  tutorial  torch  torch_cl  pastiche
Those that are not installed are named as missing: pip install 'nstbench[speed]' brings them.
Tables (CSV) and figures (PNG, SVG) go to results/speed (out=...).
"""


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    return errors.exit_code("nstbench.speed", lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> None:
    from nstbench.speed import options as choices

    options = choices.resolve(arguments)
    from nstbench.run.progress import quiet_start

    with quiet_start():
        from nstbench import engine as engines
        from nstbench.speed import measure, output
        from nstbench.speed.goals import Session

        engine = engines.load(options.device)
    from nstbench.run import machine

    before, session = machine.load(), Session()
    accelerator = engine.devices() != ["CPU"]
    sizes = options.sizes or (options.accelerator_sizes if accelerator else options.cpu_sizes)
    for size in sizes:
        measure.compare(options, engine, size, session, _say)
    session.curve = measure.curve(options, engine, _say)
    if options.fresh:
        _start_each(options, sizes, session, accelerator)
    notes = machine.timing_notes(before, machine.load())
    facts = {"devices": engine.devices(), "machine": machine.describe(), "timing_notes": notes}
    paths = output.write(session, options, facts | _when())
    output.show(session, options, notes)
    print(*paths, sep="\n")


def _start_each(options, sizes: Sequence[int], session, accelerator: bool) -> None:
    """Start every competitor that was not missing in a process of its own, at every size."""
    from nstbench.speed import fresh, measure

    for size in sizes:
        settings = measure.settings_for(options, size)
        task = measure.task_of(settings, accelerator)
        for peer in (p for p in options.peers if p not in session.missing):
            _say(f"{size}: starting {peer} in a process of its own")
            kernels = "direct" if peer == "direct" else "auto"
            command = [*settings.command, f"kernels={kernels}", "epochs=1"]
            session.fresh[peer, size] = fresh.start(peer, command, task)


def _when() -> dict[str, object]:
    from datetime import UTC, datetime

    import keras

    from nstbench.run import machine

    when = datetime.now(UTC).isoformat(timespec="seconds")
    return {"date": when, "backend": keras.backend.backend(), "versions": machine.versions()}


def _say(*words: str) -> None:
    print(*words, sep="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
