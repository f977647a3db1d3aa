"""The embedded AWS: moto's server, plus what moto only pretends to do."""
