"""`python -m nstbench.speed`: nstbench's seconds beside those of every other way to do the same.

`peers.py` builds the competitors, `measure.py` times them in one session, `fresh.py` starts each
in a process of its own, `goals.py` turns numbers into statistics and promises kept, and
`output.py` writes it all down.
"""
