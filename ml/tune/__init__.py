"""Tuning: trials of settings on features that are computed once, in a study that outlives its process."""
