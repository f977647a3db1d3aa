"""The review of a saved plan: what changes, in words; what of it is dangerous; what it costs; who may do more."""
