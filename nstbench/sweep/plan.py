"""What a sweep is to run: suites, combinations and repeats become a list of runs."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from omegaconf import OmegaConf

from nstbench.errors import SettingsError, unknown
from nstbench.pictures import images
from nstbench.settings import config
from nstbench.settings.config import Settings

PICTURES = ("content", "style")  # settings that take a folder, too
SUITE_KEYS = ("experiments", "sweep", "overrides", "repeats", "time_limit", "vectorize")


@dataclass(frozen=True)
class Run:
    """One run of a sweep. Runs of one `group` share a problem and may advance as one batch."""

    overrides: tuple[str, ...]
    directory: Path
    settings: dict[str, Any]  # of a `config.Settings`, as plain data
    group: str

    @property
    def id(self) -> str:
        return self.directory.name

    @property
    def epochs(self) -> int:
        return self.settings["epochs"]

    @property
    def force(self) -> bool:
        return self.settings["force"]


@dataclass(frozen=True)
class Plan:
    """The runs in the order in which they are started, and how they are carried out."""

    runs: tuple[Run, ...]
    launcher: tuple[str, ...]  # Hydra's own overrides: hydra/launcher=... hydra.launcher...=...
    time_limit: float | None  # seconds
    vectorize: int


def make(arguments: Sequence[str]) -> Plan:
    """The plan of a command line such as `["suite=table1", "size=64", "repeats=3"]`.

    A suite gives experiments (`experiments`, globs over `conf/experiment`), combinations (`sweep`)
    or both, and settings for all of its runs (`overrides`); the command line's own settings come
    last and win. A folder as content or style stands for every picture in it. Repeats are
    interleaved: all runs once, then all again. Raises `SettingsError` for what cannot be read, and
    when nothing would run.
    """
    given = _parse(arguments)
    launcher = [texts for key, texts in given.items() if key.startswith("hydra")]
    options, suite = _options(given)
    ours = {k: v for k, v in given.items() if not k.startswith("hydra") and k not in options}
    if options["repeats"] > 1 and "repeat" in ours:
        raise SettingsError("repeats=... numbers the runs itself: leave repeat=... away")
    jobs = _with_rates(
        [job for block in _blocks(suite) for job in product(*(block | ours).values())]
    )
    runs = list(_distinct(_runs(jobs, options["repeats"])))
    return Plan(
        tuple(runs),
        tuple(text for texts in launcher for text in texts),
        options["time_limit"],
        options["vectorize"],
    )


def batches(runs: Iterable[Run], at_most: int) -> list[tuple[Run, ...]]:
    """Runs that advance together: of one group, `at_most` each, in the order of their first."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    made = [
        tuple(members[start : start + at_most])
        for members in groups.values()
        for start in range(0, len(members), at_most)
    ]
    order = {run.directory: number for number, run in enumerate(runs)}
    return sorted(made, key=lambda batch: order[batch[0].directory])


def _parse(arguments: Sequence[str]) -> dict[str, list[str]]:
    """Each key with its overrides, one per value of a sweep; of a key given twice the last wins."""
    parser = OverridesParser.create()
    parsed: dict[str, list[str]] = {}
    for argument in arguments:
        try:
            override = parser.parse_override(argument)
        except HydraException:
            raise SettingsError(
                f"cannot read {argument!r}; settings look like optimizer=adam,adagrad lr=0.02"
            ) from None
        key = override.get_key_element()
        parsed.pop(key, None)
        texts = [argument] if not override.is_sweep_override() else _values(key, override)
        parsed[key] = [each for text in texts for each in _opened(key, text)]
    return parsed


def names_folder(argument: str) -> bool:
    """Whether `argument` gives a folder of pictures as content or style: a sweep, then."""
    key, _, source = argument.partition("=")
    return key in PICTURES and images.is_folder(source.strip("'\""))


def _opened(key: str, text: str) -> list[str]:
    """One override per picture where `text` names a folder of them, else `text` alone."""
    if not names_folder(text):
        return [text]
    folder = text.partition("=")[2].strip("'\"")
    quoted = (path.replace("'", "\\'") for path in images.in_folder(folder))
    return [f"{key}='{path}'" for path in quoted]


def _values(key: str, override: Override) -> list[str]:
    """One override per value of a sweep."""
    value = override.value()
    if isinstance(value, Glob):
        names = value.filter(config.choices(key))
        if not names:
            raise SettingsError(f"{override.input_line} matches nothing in conf/{key}")
        return [f"{key}={name}" for name in names]
    if not override.is_discrete_sweep():
        raise SettingsError(f"{override.input_line} is no list of values; use choice or range")
    return [f"{key}={text}" for text in override.sweep_string_iterator()]


def _options(given: dict[str, list[str]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """How the sweep is carried out, from its defaults, the suite and the command line."""
    defaults = OmegaConf.to_container(OmegaConf.load(config.conf_dir() / "sweep.yaml"))
    said = {key: _single(given[key]) for key in defaults if key in given}
    suite = _suite(said.get("suite", defaults["suite"]))
    options = defaults | {key: suite[key] for key in defaults if key in suite} | said
    for key in ("repeats", "vectorize"):
        if not isinstance(options[key], int) or options[key] < 1:
            raise SettingsError(f"{key}={options[key]} must be a whole number of at least 1")
    limit = options["time_limit"]
    if limit is not None and not (isinstance(limit, int | float) and limit > 0):
        raise SettingsError(f"time_limit={limit} must be a positive number of seconds, or null")
    return options, suite


def _single(texts: list[str]) -> Any:
    if len(texts) > 1:
        raise SettingsError(f"{' '.join(texts)}: one value is needed")
    return OverridesParser.create().parse_override(texts[0]).value()


def _suite(name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    if name not in config.choices("suite"):
        raise unknown("suite", name, config.choices("suite"))
    suite = OmegaConf.to_container(OmegaConf.load(config.conf_dir() / "suite" / f"{name}.yaml"))
    if not isinstance(suite, dict) or not ({"experiments", "sweep"} & set(suite)):
        raise SettingsError(f"suite {name} is empty: it needs experiments or sweep")
    for key in suite:
        if key not in SUITE_KEYS:
            raise unknown(f"key of suite {name}", key, SUITE_KEYS)
    return suite


def _blocks(suite: dict[str, Any]) -> list[dict[str, list[str]]]:
    """The suite's parts, each a product of values; one empty part where there is no suite."""
    shared = _parse(suite.get("overrides") or [])
    sweep = suite.get("sweep") or []
    parts = sweep if isinstance(sweep, list) else [sweep]
    made = [shared | _product_part(part) for part in parts]
    if "experiments" in suite:
        names = _experiments(suite["experiments"] or [])
        made.insert(0, shared | {"experiment": [f"experiment={name}" for name in names]})
    if suite and not made:
        raise SettingsError("the suite is empty")
    return made or [{}]


def _product_part(part: dict[str, Any]) -> dict[str, list[str]]:
    values = {key: value if isinstance(value, list) else [value] for key, value in part.items()}
    if not values or not all(values.values()):
        raise SettingsError("a suite's sweep has no values")
    return {key: [f"{key}={value}" for value in listed] for key, listed in values.items()}


def _experiments(patterns: Sequence[str]) -> list[str]:
    """Names in `conf/experiment` that match, in the order of the patterns."""
    names = config.choices("experiment")
    found: dict[str, None] = {}
    for pattern in patterns:
        matching = [name for name in names if fnmatchcase(name, pattern)]
        if not matching:
            raise unknown("experiment", pattern, names)
        found.update(dict.fromkeys(matching))
    if not found:
        raise SettingsError("a suite's experiments are an empty list")
    return list(found)


def _with_rates(jobs: Iterable[Sequence[str]]) -> list[list[str]]:
    """`lr_times=3` becomes the rate that is 3 times what the job would have without it.

    A job that also has a rate of its own keeps it.
    """
    rates: dict[tuple[str, ...], float] = {}
    made = []
    for job in jobs:
        factors = [text for text in job if text.startswith("lr_times=")]
        rest = tuple(text for text in job if text not in factors)
        rate = []
        if factors and not any(text.startswith("lr=") for text in rest):
            if rest not in rates:
                rates[rest] = config.resolve(rest).lr
            rate = [f"lr={rates[rest] * float(factors[0].partition('=')[2]):.4g}"]
        made.append([*rest, *rate])
    return made


def _runs(jobs: list[list[str]], repeats: int) -> Iterable[Run]:
    """All jobs once, then all again, and so on."""
    resolved = [config.resolve(job) for job in jobs]
    for repeat in range(repeats):
        for job, settings in zip(jobs, resolved, strict=True):
            if repeats == 1:
                yield _run(job, settings)
            else:
                yield _run([*job, f"repeat={repeat}"], replace(settings, repeat=repeat))


def _run(job: list[str], settings: Settings) -> Run:
    return Run(
        overrides=tuple(job),
        directory=config.run_directory(settings).absolute(),
        settings={k: v for k, v in asdict(settings).items() if k != "command"},
        group=_group(settings),
    )


def _group(settings: Settings) -> str:
    """Equal for runs that may be lanes of one batch."""
    if settings.optimizer.name in ("lbfgs", "lbfgsb"):  # they advance one picture at a time
        return config.run_id(settings)
    own = {"optimizer", "lr", "repeat", "init", "experiment", "reported_seconds", "command"}
    if settings.weights != "random":  # the seed is that of the start image alone
        own.add("seed")
    return config.digest({k: v for k, v in asdict(settings).items() if k not in own})


def _distinct(runs: Iterable[Run]) -> Iterable[Run]:
    """Of runs that share a directory, the first."""
    seen: set[Path] = set()
    for run in runs:
        if run.directory not in seen:
            seen.add(run.directory)
            yield run
