"""Batch transform: a model server over all objects of a prefix, one answer an object."""
