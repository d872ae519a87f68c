from nstbench.cli import entry

entry()
