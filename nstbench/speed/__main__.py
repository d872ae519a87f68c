"""`python -m nstbench speed [name=value ...]`: one session of measurements, printed and written."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nstbench import arguments as given
from nstbench import errors

if TYPE_CHECKING:
    from nstbench.speed.goals import Session
    from nstbench.speed.options import Options

HELP = """\
python -m nstbench speed [name=value ...]: seconds of nstbench and of every other way to do the same

  python -m nstbench speed                                     the whole session: minutes
  python -m nstbench speed sizes=[256] rounds=9 curve=[]       one size, no cost curve
  python -m nstbench speed peers=[nstbench,torch_cl]           some competitors
  KERAS_BACKEND=jax python -m nstbench speed                   on another backend, or its GPU

It says first how long it will take. The same command continues a session that was stopped, on the
same machine with the same versions; force=true begins anew.

Settings (conf/speed.yaml explains them and holds the goals):
  sizes  rounds  warm_up  sample_s  pause_s  peers  curve  fresh  matrix  tolerance  own_tolerance
  weights  device  out  force
Competitors, each in a process of its own:
  nstbench  nstbench_jax  nstbench_torch  direct (nstbench without its fast kernels)
  tutorial  torch  torch_cl  pastiche
Those that are not installed are named as missing: pip install 'nstbench[speed]' brings them.
Tables (CSV) and figures (PNG, SVG) go to results/speed (out=...).
"""


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    return given.command(
        "speed", HELP, arguments, lambda: _run(arguments), is_whole=True, stopped=given.CONTINUES
    )


def _run(arguments: Sequence[str]) -> None:
    from nstbench.speed import options as choices

    options = choices.resolve(arguments)
    from nstbench.run.progress import quiet_start

    with quiet_start():
        from nstbench import engine as engines
        from nstbench.speed import goals, output

        engine = engines.load(options.device)
    facts = _facts(engine)
    options.peers = _without_double(options.peers, facts["backend"])
    session = _measured(options, engine, facts)
    print(*output.write(session, options), sep="\n")
    output.show(session, options)
    wrong = [f"{size}" for peer, size in goals.differing(session, options) if peer == "direct"]
    if wrong:
        raise errors.NstbenchError(
            f"the fast kernels differ from the direct ones at {', '.join(wrong)}; see above"
        )
    for (peer, size), reason in session.missing.items():
        if peer == "nstbench":
            raise errors.NstbenchError(f"nstbench itself at {size}: {reason}")


def _measured(options: "Options", engine: Any, facts: dict[str, Any]) -> "Session":
    """The session, from what is on record to its end; it is on record after every part."""
    from pathlib import Path

    from nstbench.run import machine
    from nstbench.speed import measure, plan, record
    from nstbench.speed.goals import Session

    path = Path(options.out) / "session.json"
    key = record.key(options, facts["machine"], facts["versions"])
    earlier = None if options.force else record.load(path, key)
    session = earlier or Session()
    accelerator = engine.devices() != ["CPU"]
    sizes = options.sizes or (options.accelerator_sizes if accelerator else options.cpu_sizes)
    seconds = plan.expected_s(options, sizes, session, plan.product_rate())
    if earlier:
        _say("on record here: ", ", ".join(_progress(session, options, sizes)))
    minutes = max(1, round(seconds / 60))
    _say(f"about {minutes} minute{'s' * (minutes > 1)}." if seconds else "complete already.")
    before = machine.load()

    def keep() -> None:
        record.save(path, key, session, facts)

    for size in sizes:
        measure.compare(options, engine, size, session, keep, _say)
    if session.overhead_s is None:
        session.overhead_s = measure.overhead(measure.settings_for(options, sizes[0]), engine)
    measure.curve(options, engine, session, keep, _say)
    for size in sizes if options.fresh else ():
        measure.starts(options, engine, size, session, keep, _say)
    if seconds:
        notes = machine.timing_notes(before, machine.load())
        session.notes += [f"timing disturbed: {note}" for note in notes]
    keep()
    return session


def _progress(session: "Session", options: "Options", sizes: Sequence[int]) -> list[str]:
    from nstbench.speed.measure import rounds_of

    done = ((size, min(rounds_of(session, size), options.rounds)) for size in sizes)
    return [f"{rounds} of {options.rounds} rounds at {size}" for size, rounds in done]


def _without_double(peers: list[str], backend: str) -> list[str]:
    """Without the row of the backend that `nstbench` itself runs on."""
    from nstbench.speed.options import PEERS

    def is_double(name: str) -> bool:
        return PEERS[name].kernels is not None and PEERS[name].backend == backend

    return [name for name in peers if not is_double(name)]


def _facts(engine: Any) -> dict[str, Any]:
    from datetime import UTC, datetime

    import keras

    from nstbench.run import machine

    when = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "date": when, "devices": engine.devices(), "machine": machine.describe(),
        "backend": keras.backend.backend(), "versions": machine.versions(),
    }  # fmt: skip


def _say(*words: str) -> None:
    print(*words, sep="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
