"""Records handed on to other tools, after the fact: nothing of them is in a run's own process."""
