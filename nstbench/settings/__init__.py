"""Settings: composed once, checked once, then only read."""
