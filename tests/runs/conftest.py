import jax
import jax.numpy as jnp
import pytest

from configs import smoke
from realnvp_jax.runs.best import Best
from realnvp_jax.runs.checkpoints import Checkpoints
from realnvp_jax.runs.workdir import Workdir
from tests.training.helpers import compiled_step


@pytest.fixture
def saved(tmp_path):
    """A workdir with checkpoints of steps 1, 2 and 3, of which 1 is the best."""
    config = smoke.get_config()
    with config.unlocked():
        config.model.event_shape = (4, 4, 1)
        config.model.num_scales, config.model.base_features, config.model.levels = 1, 4, 4
    Workdir(tmp_path, config).start()
    state, _ = compiled_step(ema_decay=0.9)
    checkpoints = Checkpoints(tmp_path, keep=2)
    states = {}
    for step in (1, 2, 3):
        states[step] = jax.tree.map(lambda leaf, step=step: leaf + step if leaf.ndim else leaf, state)
        states[step] = states[step].replace(step=jnp.asarray(step, jnp.int32))
        checkpoints.save(states[step], Best(1, 2.0))
    yield tmp_path, checkpoints, states
    checkpoints.close()
