"""Faults on demand: what a cloud does wrong at times, on the calls that a rule names."""
