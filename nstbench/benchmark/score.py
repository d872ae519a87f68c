"""`python -m nstbench.benchmark.score`: the same as `python -m nstbench score`."""

import sys

from nstbench.benchmark.commands import score as main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
