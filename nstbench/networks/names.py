"""Names of networks, read without importing the framework: a slip is told at once."""

import functools
import importlib.util
import re
from pathlib import Path

DEFAULT_LAYERS = "default"  # in a term's `layers`: those that suit the network


@functools.cache
def application_names() -> tuple[str, ...]:
    """The models of `keras.applications` in lower case, from the text of its index module."""
    spec = importlib.util.find_spec("keras")
    if spec is None or not spec.submodule_search_locations:
        return ()
    index = Path(spec.submodule_search_locations[0]) / "applications" / "__init__.py"
    text = index.read_text(encoding="utf-8") if index.is_file() else ""
    return tuple(name.lower() for name in re.findall(r"import ([A-Z]\w+)", text))
