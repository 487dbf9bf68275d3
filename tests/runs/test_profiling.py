"""Profiles."""

import jax.numpy as jnp

from realnvp_jax.runs.profiling import Profile


def test_a_profile_opens_where_it_says(tmp_path):
    profile = Profile(tmp_path / "profile", 2, 10)
    x = jnp.ones(3)
    assert [profile.after(step, x + step) for step in range(11, 17)] == [False, False, False, False, True, False]
    profile.close()
    assert list(tmp_path.glob("profile/plugins/profile/*/*.xplane.pb"))
    assert list(tmp_path.glob("profile/plugins/profile/*/perfetto_trace.json.gz"))
    unused = Profile(tmp_path / "none", 0, 0)
    assert not any(unused.after(step, x) for step in range(10))
    unused.close()
    assert not (tmp_path / "none").exists()
