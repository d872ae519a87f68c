"""Command lines in forks of one warm process: milliseconds each, where a start takes a second.

For the many mistakes that are told before anything is loaded; what runs is a process of its own.
Run as a script it is that process: a line of JSON in, an exit code out.
"""

import json
import os
import subprocess
import sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import NamedTuple

FRAMEWORKS = ("tensorflow", "jax", "torch")


class Answer(NamedTuple):
    """What a command line answered, and which frameworks it loaded for that."""

    code: int
    output: str
    errors: str
    loaded: list[str]


class Forks:
    """The warm process; `with` starts and ends it."""

    def __enter__(self):
        command = [sys.executable, __file__]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, text=True, **pipes)
        return self

    def __exit__(self, *_):
        self._process.communicate()

    def command(self, folder, notes, *arguments):
        """`python -m nstbench *arguments` in `folder`; `notes` is a folder for what it says."""
        request = json.dumps([str(folder), str(notes), arguments])
        print(request, file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        output, errors, loaded = (notes / name for name in ("output", "errors", "loaded"))
        return Answer(code, output.read_text(), errors.read_text(), loaded.read_text().split())


def serve():
    from nstbench import cli

    with redirect_stderr(StringIO()):
        cli.main(["content=nosuch"])  # whatever one mistake needs, the others need, too
    for line in sys.stdin:
        child = os.fork()
        if not child:
            enter(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def enter(folder, notes, arguments):
    from nstbench import cli

    os.chdir(folder)
    for number, name in ((1, "output"), (2, "errors")):
        os.dup2(os.open(Path(notes) / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    sys.argv = ["nstbench", *arguments]
    try:
        cli.entry()
    finally:
        loaded = [name for name in FRAMEWORKS if name in sys.modules]
        (Path(notes) / "loaded").write_text(" ".join(loaded))


if __name__ == "__main__":
    serve()
