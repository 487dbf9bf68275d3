"""Only needless records of Orbax are hidden."""

import logging

import realnvp_jax.runs.checkpoints  # noqa: F401  (it sets the filters)


def test_only_warnings_and_raised_errors_of_orbax_are_hidden():
    absl, other = logging.getLogger("absl"), logging.getLogger("asyncio")

    def shown(logger: logging.Logger, level: int, path: str, text: str) -> bool:
        return bool(logger.filter(logger.makeRecord(logger.name, level, path, 1, text, (), None)))

    orbax, mine = "/lib/orbax/checkpoint/x.py", "/home/me/orbax_runs/train.py"
    assert not shown(absl, logging.WARNING, orbax, "a warning")
    assert shown(absl, logging.ERROR, orbax, "an error")
    assert not shown(absl, logging.ERROR, orbax, "[thread=x] _SignalingThread.run() raised an exception: [Errno 28]")
    assert shown(absl, logging.WARNING, mine, "my orbax run")
    assert shown(absl, logging.ERROR, mine, "Failed to write metadata=")
    left = "Task exception was never retrieved\nfuture: <Task finished exception=OSError(28, '{}')>"
    assert not shown(other, logging.ERROR, "/lib/asyncio/x.py", left.format("/run/checkpoints/2.orbax-checkpoint-tmp"))
    assert shown(other, logging.ERROR, "/lib/asyncio/x.py", left.format("/home/me/orbax_runs/x"))
    assert shown(other, logging.ERROR, "/lib/asyncio/x.py", "the task of my orbax reader failed")
