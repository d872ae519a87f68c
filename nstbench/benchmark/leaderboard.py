"""`python -m nstbench leaderboard PACK.zip ...`: packs of benchmarks in one table and one figure.

A benchmark's folder stands for the pack that would be made of it. Every score is made anew from the
packed runs and the targets that are frozen here: whoever is added moves nobody. Packs whose files
disagree are refused; `verify` goes further and repeats runs.
"""

import argparse
import csv
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nstbench import errors
from nstbench.errors import NstbenchError

HEAD = ("place", "optimizer", "score", "low", "high", "leading", "runs", "settings", "pack", "made")


@dataclass(frozen=True)
class Row:
    """One optimizer of one pack; `entry` is a `scored.Entry`."""

    entry: object
    key: str  # tells it from all others of its benchmark
    label: str
    settings: str
    pack: str
    made: str  # the day of its last run


def main(arguments: Sequence[str]) -> int:
    """Build the leaderboard; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m nstbench leaderboard",
        description="Packs of benchmarks in one table (CSV, Markdown) and one ECDF.",
    )
    parser.add_argument(
        "packs", nargs="+", type=Path, metavar="PACK.zip",
        help="packs, or folders of benchmarks (results/benchmark/small)",
    )  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, default=Path("results/leaderboard"))
    chosen = parser.parse_args(arguments)
    return errors.exit_code("nstbench leaderboard", lambda: _build(chosen.packs, chosen.out))


def _build(packs: Sequence[Path], out: Path) -> None:
    rows = [row for path in sorted(packs) for row in _rows(path)]
    if not rows:
        raise NstbenchError("these packs hold no benchmark: pack the folder that one wrote")
    by_benchmark: dict[str, list[Row]] = {}
    for row in rows:
        by_benchmark.setdefault(row.entry.benchmark.name, []).append(row)
    write(out, by_benchmark)
    print((out / "leaderboard.md").read_text(), end="")
    print(out)


def _rows(path: Path) -> list[Row]:
    """The optimizers of a pack; one line on standard error where it holds no sound benchmark."""
    from nstbench.benchmark import consistency, packs, scored
    from nstbench.report.data import reader

    with _packed(path) as file, packs.opened(file) as pack:
        found = reader.read(pack.folder)
        faults = [*map(str, found.damaged)]
        faults += [f"{run.id}: {fault}" for run in found.runs for fault in consistency.faults(run)]
        faults += list(scored.faults(pack, found.runs)) if not faults else []
        if faults:
            raise packs.PackError(f"{path}: {packs.plain(faults[0])}")
        entries = scored.entries(pack, found.runs)
        if not entries:
            print(f"{path} holds no benchmark", file=sys.stderr)
        by_id = {run.id: run for run in found.runs}
        return [
            Row(
                entry, f"{entry.name} ({path.stem})", packs.plain(entry.label),
                packs.plain(by_id[entry.standing.runs[0]].label) if entry.standing.runs else "",
                path.name, packs.plain(_last_day(entry, by_id)),
            )
            for entry in entries
        ]  # fmt: skip


def _last_day(entry: Any, runs: Mapping[str, Any]) -> str:
    """The day on which the last of an entry's runs ended."""
    return max((runs[id].record.finished or "" for id in entry.standing.runs), default="")[:10]


@contextmanager
def _packed(path: Path) -> Iterator[Path]:
    """The pack in `path`, made for the length of the block where it is a benchmark's folder."""
    if not path.is_dir():
        yield path
        return
    from nstbench.benchmark import pack

    with tempfile.TemporaryDirectory(prefix="nstbench-pack-") as folder:
        made = Path(folder, f"{path.resolve().name}.zip")
        pack.make([path], made)
        yield made


def write(out: Path, by_benchmark: dict[str, list[Row]]) -> None:
    """`leaderboard.csv`, `leaderboard.md` and `ecdf-<benchmark>.png` in the folder `out`."""
    from nstbench.benchmark import figures, output, reference, scoring

    out.mkdir(parents=True, exist_ok=True)
    table: list[list[str]] = []
    parts = ["# Leaderboard\n", "From packs; `*`: the statistically leading group.\n"]
    for name, rows in sorted(by_benchmark.items()):
        rows = sorted(rows, key=lambda row: (-row.entry.standing.score.value, row.key))
        instances = {row.key: row.entry.standing.score.instances for row in rows}
        leaders = scoring.leading_group(instances)
        shared = [row.label for row in rows]
        labels = {
            row.key: row.label if shared.count(row.label) == 1 else f"{row.label} ({row.pack})"
            for row in rows
        }
        cells = [_cells(place, row, leaders) for place, row in enumerate(rows, start=1)]
        table += [[name, *each] for each in cells]
        parts += [f"## {name}\n", output.markdown(HEAD, cells), f"![ECDF](ecdf-{name}.png)\n"]
        benchmark = rows[0].entry.benchmark
        archived = reference.load(reference.location(_file(name)), benchmark)
        figures.leaderboard(
            out, benchmark, {row.key: (labels[row.key], row.entry.standing) for row in rows},
            [each for each in archived if each.name not in {row.entry.name for row in rows}],
        )  # fmt: skip
    (out / "leaderboard.md").write_text("\n".join(parts))
    with open(out / "leaderboard.csv", "w", newline="") as file:
        csv.writer(file).writerows([["benchmark", *HEAD], *table])


def _file(name: str) -> Path:
    from nstbench.benchmark import instances

    return instances.find(name)


def _cells(place: int, row: Row, leaders: Sequence[str]) -> list[str]:
    stands = row.entry.standing
    return [
        str(place),
        row.label,
        f"{stands.score.value:.4f}",
        f"{stands.score.low:.4f}",
        f"{stands.score.high:.4f}",
        "*" if row.key in leaders else "",
        str(len(stands.runs)),
        row.settings,
        row.pack,
        row.made,
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
