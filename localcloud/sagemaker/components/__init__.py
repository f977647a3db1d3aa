"""Inference components: copies of a model on an endpoint whose configuration names none; also none at all."""
