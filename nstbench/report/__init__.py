"""Run directories in; figures, tables, verdicts and one page out. Imports no backend."""
