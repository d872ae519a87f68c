"""What may be concluded from runs, and with how much certainty."""
