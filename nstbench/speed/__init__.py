"""`python -m nstbench.speed`: nstbench's seconds beside those of every other way to do the same.

`peers.py` builds the competitors, `worker.py` is each one's process and `remote.py` its near side;
`plan.py` says how long a session will take, `measure.py` times them in turn, `record.py` keeps what
was found, `goals.py` turns numbers into statistics and promises kept, `output.py` writes it down.
"""
