"""Connect the processes of one run, by `jax.distributed`: from the cluster's environment, or from options."""

import importlib.util
import os
import re
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import jax

from realnvp_jax.processes import meet
from realnvp_jax.text import describe_error, shorten

HEARTBEAT_SECONDS = 10  # without a heartbeat of a process, after which JAX ends all others
_SHUTDOWN_SECONDS = 30  # that a process waits for the others when it exits, after which JAX ends all of them
_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
_OPEN_MPI = ("OMPI_MCA_orte_hnp_uri", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK")


def connect(coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None) -> None:
    """Connect this process with the others of its run, before JAX is used; do nothing for a single process.

    Without arguments, `jax.distributed.initialize` finds everything in the environment of Slurm, Open MPI or Cloud TPU.

    Args:
      coordinator: address of process 0 as host:port, with a port that is free there.
      num_processes: number of processes.
      process_id: number of this process, from 0.

    Raises:
      ValueError: only some of the arguments are given, they do not fit together, or the others cannot be reached.
    """
    given = {"--coordinator": coordinator, "--num_processes": num_processes, "--process_id": process_id}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 3:
        if not _is_one_of_several() or jax.distributed.is_initialized():
            return
        given = {}
    elif missing:
        raise ValueError(f"expected --coordinator, --num_processes and --process_id together; got no {missing[0]}")
    else:
        _check(str(coordinator), int(num_processes or 0), int(process_id or 0))
    # JAX's service would take over SIGTERM, and hears no other signal; `realnvp_jax.runs.stop` hears all of them.
    jax.config.update("jax_enable_preemption_service", False)
    options: dict[str, Any] = dict(
        coordinator_address=coordinator,
        num_processes=num_processes,
        process_id=process_id,
        heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
    )
    if given and jax.config.values["jax_cuda_visible_devices"] == "all":
        options["cluster_detection_method"] = "deactivate"  # every process uses all devices that it sees
    with ThreadPoolExecutor(1) as pool:
        _wait(pool.submit(jax.distributed.initialize, **options), coordinator)
    meet()


def _is_one_of_several() -> bool:
    """Whether a cluster's environment says that this process is one of several, or one of a TPU's."""
    environ = os.environ
    if all(name in environ for name in _SLURM):
        return environ["SLURM_NTASKS"] != "1"
    if environ.get("OMPI_COMM_WORLD_SIZE", "1") != "1":
        if not all(name in environ for name in _OPEN_MPI):
            raise ValueError(
                f"expected the environment of Open MPI 4, with {', '.join(_OPEN_MPI)}; got only a part of it, as from "
                "Open MPI 5: give --coordinator, --num_processes and --process_id"
            )
        return True
    # JAX sets this variable on machines without TPU chips
    return importlib.util.find_spec("libtpu") is not None and "TPU_SKIP_MDS_QUERY" not in environ


def _check(coordinator: str, num_processes: int, process_id: int) -> None:
    if not re.fullmatch(r".+:\d{1,5}", coordinator):
        raise ValueError(f"expected --coordinator as HOST:PORT, such as node1:12345; got {shorten(coordinator)}")
    if process_id >= num_processes:
        raise ValueError(
            f"expected --process_id from 0 to {num_processes - 1}, since --num_processes is {num_processes}; "
            f"got {process_id}"
        )


def _wait(connected: "Future[None]", coordinator: str | None) -> None:
    """Wait in Python, so that signals are answered."""
    while not connected.done():
        wait([connected], timeout=0.2)
    try:
        connected.result()
    except Exception as error:
        where = f" at {coordinator}" if coordinator else ""
        raise ValueError(
            f"expected to connect with the other processes of this run{where}; got {describe_error(error)}: "
            "start all of them with the same coordinator and the same number of processes"
        ) from error
