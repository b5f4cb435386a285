"""Changes that running tasks makes to the interpreter: start, workers, clearing up after killed runs."""
