"""Figures: as data, in print, and for the page."""
