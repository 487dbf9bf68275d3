"""What you can do with a trained flow: evaluate, sample, reconstruct, interpolate and score."""
