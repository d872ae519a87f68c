"""Settings: composed once from `conf/` and the command line, checked once, then frozen."""
