"""Who did what: one row for each change that a person or program asked for."""
