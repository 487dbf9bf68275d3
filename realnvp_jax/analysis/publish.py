"""`publish`: a run's flow as a folder that can be shared, in the layout that model hubs use.

    config.json, model.safetensors        the flow and its parameters, as `save` writes them; `load` reads them
    README.md                             a model card (`analysis.card`)
    samples.png                           samples
    log_prob.stablehlo, sample.stablehlo  compiled functions (`analysis.exported`)
    log_prob.onnx, sample.onnx            the same for ONNX Runtime (`analysis.onnx_export`)

Every exported function is called on the present platform, and compared with the flow, before it is written; one that
cannot be made, or that differs, is left out.
"""

import functools
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.export
import numpy as np

from realnvp_jax.analysis.card import Exports, model_card
from realnvp_jax.analysis.exported import FUNCTIONS, PLATFORMS, example_arguments, export_stablehlo
from realnvp_jax.analysis.onnx_export import export_onnx, has_onnx
from realnvp_jax.analysis.run import Run
from realnvp_jax.analysis.sampling import sample_in_batches
from realnvp_jax.analysis.tables import rounded
from realnvp_jax.data.images.labels import grid_columns, one_hot
from realnvp_jax.models.create import class_names
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.plots import images, vectors
from realnvp_jax.runs.saved_flow import check_free, divided, named_leaves, write_folder
from realnvp_jax.text import describe_error

LARGEST_DIFFERENCE = 1e-4  # of an exported function from the flow, relative to the largest value
_BATCH_SIZES = (1, 3, 17)
_NUM_SAMPLES = 64
_MOST_ROWS = 16


def publish(
    run: Run,
    path: Path,
    *,
    stablehlo: bool = True,
    onnx: bool = True,
    license_name: str = "",
    overwrite: bool = False,
    max_file_size: int | None = None,
) -> Exports:
    """Write the folder; it appears complete or not at all.

    Args:
      run: the run.
      path: the new folder.
      stablehlo: whether to export StableHLO.
      onnx: whether to export ONNX, if its packages are installed.
      license_name: license of the parameters for the card, such as "cc-by-4.0"; "" to say none.
      overwrite: whether to replace an older folder that `publish` or `save` made.
      max_file_size: bytes of parameters in one file, None for no limit.

    Returns:
      What the folder holds, and which files were left out and why.

    Raises:
      ValueError: the folder exists, and `overwrite` is not set or would destroy other files.
    """
    check_free(path, overwrite)
    flow, params, leaves = run.flow, run.params, named_leaves(run.flow, run.params)
    files: dict[str, bytes] = {}
    differences: dict[str, float] = {}
    left_out: dict[str, str] = {}

    def add(file: str, make: Callable[[], bytes], load: Callable[[bytes], Callable[..., Any]]) -> None:
        """Add an exported function if it can be made, and agrees with the flow."""
        try:
            serialized = make()
            difference = largest_difference(flow, params, file.partition(".")[0], load(serialized))
        except Exception as error:  # of a user's own part, or of another library: the other files do not depend on it
            left_out[file] = describe_error(error)
            return
        if not difference <= LARGEST_DIFFERENCE:
            left_out[file] = f"it differs from the flow by {difference:.1e}, more than {LARGEST_DIFFERENCE:.0e}"
            return
        files[file], differences[file] = serialized, difference

    for name in FUNCTIONS:
        if stablehlo:
            add(
                f"{name}.stablehlo",
                functools.partial(export_stablehlo, flow, params, name),
                functools.partial(stablehlo_function, leaves),
            )
        if onnx and has_onnx():
            add(f"{name}.onnx", functools.partial(export_onnx, flow, params, name), onnx_function)
        elif onnx:
            left_out[f"{name}.onnx"] = "it needs pip install 'realnvp-jax[onnx]'"
    picture = samples_picture(run)
    if picture is None:
        left_out["samples.png"] = "the flow is conditional on columns, for which no values were given"
    else:
        files["samples.png"] = picture
    exports = Exports(
        models=tuple(divided(leaves, max_file_size)),
        platforms=PLATFORMS,
        left_out=left_out,
        differences=differences,
        has_picture=picture is not None,
    )
    files["README.md"] = model_card(run, path.resolve().name, exports, license_name).encode()
    write_folder(path, flow, params, files, overwrite=overwrite, max_file_size=max_file_size)
    return exports


def stablehlo_function(leaves: Mapping[str, np.ndarray], serialized: bytes) -> Callable[..., Any]:
    """A serialized StableHLO function, as a function of arrays for these parameters."""
    return functools.partial(jax.export.deserialize(bytearray(serialized)).call, leaves)


def onnx_function(serialized: bytes) -> Callable[..., np.ndarray]:
    """An ONNX model as a function of arrays, by ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    session = onnxruntime.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    return lambda *arguments: np.asarray(session.run(None, dict(zip(names, arguments, strict=True)))[0])


def largest_difference(flow: Flow, params: Params, name: str, function: Callable[..., Any]) -> float:
    """Largest difference of an exported function from the flow's own on random examples; infinite where one is NaN.

    It is relative to the largest log-density (or to 1 nat, if that is larger), or to the largest distance of a sampled
    value from the mean.
    """
    differences, values = [0.0], []
    for size in _BATCH_SIZES:
        arguments = example_arguments(flow, params, name, size, seed=size)
        expected, got = np.asarray(FUNCTIONS[name](flow, params, *arguments)), np.asarray(function(*arguments))
        finite = np.isfinite(expected)
        if got.shape != expected.shape or not np.array_equal(got[~finite], expected[~finite], equal_nan=True):
            return math.inf
        differences.append(float(np.abs(got[finite] - expected[finite]).max(initial=0)))
        values.append(expected)
    joined = np.concatenate(values).astype(np.float64)
    if name == "log_prob":
        scale = max(1.0, float(np.abs(joined).max(initial=0, where=np.isfinite(joined))))
    else:
        scale = float(np.abs(joined - joined.mean(axis=0)).max())
    largest = max(differences, key=lambda value: math.inf if math.isnan(value) else value)
    return math.inf if math.isnan(largest) else largest / scale


def samples_picture(run: Run) -> bytes | None:
    """Samples as a PNG file, with one class in each row; None for a flow that is conditional on columns."""
    flow, classes = run.flow, class_names(run.config)
    context, columns, num = None, None, _NUM_SAMPLES
    if classes:
        rows = min(len(classes), _MOST_ROWS)
        columns = grid_columns(rows, num, least=4)
        num, context = rows * columns, one_hot(np.repeat(np.arange(rows), columns), len(classes))
    elif flow.context_size:
        return None
    elif flow.levels is None:
        num = 2000
    samples = np.concatenate(list(sample_in_batches(flow, run.params, num, context=context)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.png"
        if flow.levels is None:
            vectors.save_points(None, rounded(run, samples), run.modelled_columns(), path, run.title)
        else:
            images.save_image_grid(np.asarray(flow.to_uint8(samples)), flow.levels, path, columns, run.title)
        return path.read_bytes()
