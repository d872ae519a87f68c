"""What an optimizer's step costs, decided in minutes: `python -m nstbench cost optimizer=a,b`.

Three instruments, from exact to end to end: arrays counted (`counts`), the update alone (`update`),
the whole step (`step`). The counts explain, the steps decide.
"""
