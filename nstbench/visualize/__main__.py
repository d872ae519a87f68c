"""`python -m nstbench visualize COMMAND [name=value ...]`: pictures of the inside of a network."""

import sys
from collections.abc import Sequence
from pathlib import Path

from nstbench import arguments as given
from nstbench import errors

HELP = """\
python -m nstbench visualize COMMAND [name=value ...]: pictures of the inside of a network

  layers                 the layers that settings can name, with their features' shapes
  filters                the first layer's kernels as colours
  features               what the channels of a layer make of a picture
  reconstruct content    from noise to the content's features, one layer at a time
  reconstruct style      from noise to the style's Gram matrices in more and more layers

  python -m nstbench visualize layers extractor=resnet50            # or extractor=./my_net.py:build
  python -m nstbench visualize features layer=block3_conv1 content=cat size=256 first=0 count=64
  python -m nstbench visualize reconstruct style style=wave size=128 steps=100

Their own settings: layer  first  count  layers  poolings  steps  term  (conf/visualize explains)
The main command's: content  style  size  keep_aspect  extractor  weights  seed  device  out  ...
Pictures go to results/visualize (out=...).
"""

COMMANDS = ("layers", "filters", "features", "reconstruct content", "reconstruct style")


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    return given.command("visualize", HELP, arguments, lambda: _dispatch(list(arguments)))


def _dispatch(arguments: list[str]) -> None:
    words = [a for a in arguments if "=" not in a]
    command = " ".join(words)
    if command not in COMMANDS:
        raise errors.unknown("command", command, COMMANDS)
    from nstbench.visualize import options

    key = command.replace(" ", "_")
    own, settings = options.resolve(key, [a for a in arguments if "=" in a])
    from nstbench.run.progress import Progress, quiet_start

    with Progress(settings) as progress:
        with quiet_start():
            from nstbench.visualize import commands
        done = getattr(commands, key)(own, settings, progress)
    if isinstance(done, Path):
        print(done)
    else:
        _print_layers(settings, done)


def _print_layers(settings, layers) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("layer", box=None, pad_edge=False)
    table.add_column("channels", justify="right")
    table.add_column(f"positions at size={settings.size}", justify="right")
    table.add_column("taken by default for")
    for name, layer in layers.items():
        rows, columns, channels = layer.shape
        table.add_row(name, str(channels), f"{rows} x {columns}", ", ".join(layer.default_for))
    Console(highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
