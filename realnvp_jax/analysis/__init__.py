"""What is done with a trained flow: evaluate, sample, reconstruct, interpolate, score."""
