"""Files: where what was fetched or painted is kept, and how a file is whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY = ".tmp"  # the end of every temporary name


def cache_dir() -> Path:
    """Where fetched weights and painted pictures are kept: $NSTBENCH_HOME, else the platform's."""
    import platformdirs

    home = os.environ.get("NSTBENCH_HOME")
    return Path(home).expanduser() if home else Path(platformdirs.user_cache_dir("nstbench"))


def conf_dir() -> Path:
    """`conf/`: inside the package in a wheel, at the top level in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path`: what the block writes there takes `path`'s place in one move.

    Readers see the old file or the whole new one. Raises what the block and the system raise; the
    old file is then as it was and no temporary is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
