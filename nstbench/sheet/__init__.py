"""One picture that shows how several runs come along: a row for each, a column for each moment."""
