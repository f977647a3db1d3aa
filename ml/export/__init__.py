"""From a trained network to what serves it: the fastest arithmetic and decoding that leave its answers alone."""
