"""Training, as pure functions of arrays: steps, optimizers, state, devices, evaluation, and `fit`."""
