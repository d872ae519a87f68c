"""One module for each section of the page; `section(findings)` makes it, or None."""
