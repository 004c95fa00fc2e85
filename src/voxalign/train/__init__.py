"""Training: images (or nothing at all) in, weights out. Everything here needs torch."""
