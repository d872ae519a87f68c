"""Many runs: planned, launched, carried out and shown."""
