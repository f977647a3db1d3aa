"""The model server: copied as it is into model.tar.gz (code/serving), so it imports nothing of the rest."""
