"""One run: the loop over epochs, its record, its clocks, and what it ran on."""
