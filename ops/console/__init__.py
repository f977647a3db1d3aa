"""A local page for a stage: ask it about photos, and see what it does."""
