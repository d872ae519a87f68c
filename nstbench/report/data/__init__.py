"""What runs say: read, checked, grouped and selected."""
