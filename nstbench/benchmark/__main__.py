"""`python -m nstbench.benchmark`: the same as `python -m nstbench benchmark`."""

import sys

from nstbench.benchmark.commands import benchmark as main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
