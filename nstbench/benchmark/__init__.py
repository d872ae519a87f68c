"""The benchmark: tuned on some pictures, scored on others, against targets that never move."""
