"""The README.md of a published flow: a model card, written from what the run has recorded."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import jax

import realnvp_jax
from realnvp_jax.analysis.run import SPLITS, Run
from realnvp_jax.models.create import context_columns, is_class_conditional
from realnvp_jax.models.pure import count_parameters
from realnvp_jax.runs.history import read_history, without_paths
from realnvp_jax.runs.result import describe_result, read_result

_USE = """\
```python
import jax, realnvp_jax

flow, params = realnvp_jax.load({name})  # this folder; executes no code from it
{lines}
```"""

_STABLEHLO = """\
The .stablehlo files run wherever JAX runs, without realnvp_jax, on {platforms}. The batch size is free. They
were exported by JAX {jax}, and JAX promises that later versions can call them for six months; after that,
export them again with `realnvp publish`.

```python
from pathlib import Path
import jax.export, safetensors.numpy

params = {{}}
for file in {models}:
    params |= safetensors.numpy.load_file(file)
{lines}
```"""

_ONNX = """\
The .onnx files run by ONNX Runtime, without JAX, and hold the parameters. ONNX Runtime keeps reading models
of older versions, so these files have no known expiry date.

```python
import numpy as np, onnxruntime

{lines}
```"""

_LIMITS = """\
Density estimation, sampling, research and teaching, on data like those that the flow was trained on.

A high log-density does not mean that an example is normal or real: simple and smooth inputs often score
higher than every training example, and inputs of another kind can as well. Validate any use for anomaly
detection on examples of the anomalies. Samples resemble the training data, with their biases, and may
resemble single training examples. The density is with respect to the data's own units; densities of
differently scaled data cannot be compared."""


@dataclasses.dataclass(frozen=True)
class Exports:
    """What a published folder holds besides the flow.

    Attributes:
      models: names of the files with the parameters.
      platforms: the platforms of the StableHLO files.
      left_out: name of a file -> why it is missing.
      differences: name of an exported function's file -> largest difference from the flow (`largest_difference`).
      has_picture: whether there is a samples.png.
    """

    models: tuple[str, ...]
    platforms: tuple[str, ...]
    left_out: dict[str, str]
    differences: dict[str, float]
    has_picture: bool


def model_card(run: Run, name: str, exports: Exports, license_name: str = "") -> str:
    """The card as Markdown, with the metadata that model hubs read as YAML at its head.

    Args:
      run: the run.
      name: name of the published flow.
      exports: what else is in the folder.
      license_name: license of the parameters, "" to say none.
    """
    config, path = run.config, run.workdir / "result.json"
    result = read_result(path) if path.is_file() else None
    if result is not None and (result["step"], result["ema"]) != (run.step, run.ema):
        result = None
    sections = [
        _metadata(run, name, result, license_name),
        f"# {name}\n\nA normalizing flow of {config.dataset.name}, published by realnvp_jax {realnvp_jax.__version__}.",
        *(["![samples](samples.png)"] if exports.has_picture else []),
        f"| | |\n|---|---|\n{_facts(run, result)}",
        f"## Use\n\n{_USE.format(name=_yaml(name), lines=_use(run))}",
    ]
    stablehlo = [file for file in exports.differences if file.endswith(".stablehlo")]
    onnx = [file for file in exports.differences if file.endswith(".onnx")]
    if stablehlo:
        lines = [_call_stablehlo(run, file) for file in stablehlo]
        models, platforms = json.dumps(list(exports.models)), ", ".join(exports.platforms)
        sections.append(
            _STABLEHLO.format(platforms=platforms, jax=jax.__version__, models=models, lines="\n".join(lines))
        )
    if onnx:
        sections.append(_ONNX.format(lines="\n".join(_call_onnx(run, file) for file in onnx)))
    if exports.differences:
        lines = [f"| `{file}` | {difference:.1e} |" for file, difference in exports.differences.items()]
        sections.append(
            "Largest difference from the flow itself on random examples, in batches of 1, 3 and 17, relative to the "
            "largest log-density or to the spread of the samples:\n\n| file | difference |\n|---|---|\n"
            + "\n".join(lines)
        )
    sections += [f"Left out: `{file}`, because of this: {reason}." for file, reason in exports.left_out.items()]
    sections.append(f"## Intended use, and what a likelihood cannot do\n\n{_LIMITS}")
    sections.append(f"## Config\n\n{_config(run)}")
    return "\n\n".join(sections) + "\n"


def _metadata(run: Run, name: str, result: dict[str, Any] | None, license_name: str) -> str:
    """YAML front matter."""
    dataset = _yaml(run.config.dataset.name)
    lines = ["library_name: realnvp_jax", "tags: [normalizing-flow, density-estimation, jax, flax]"]
    if license_name:
        lines.insert(0, f"license: {_yaml(license_name)}")
    if result is not None:
        metric = "bits_per_dimension" if result["unit"] == "bits/dim" else "log_likelihood_nats"
        lines += [
            "model-index:",
            f"- name: {_yaml(name)}",
            "  results:",
            "  - task: {type: density-estimation}",
            f"    dataset: {{name: {dataset}, type: {dataset}, split: {_yaml(result['split'])}}}",
            f"    metrics: [{{type: {metric}, value: {result['mean']:.6f}, name: test}}]",
        ]
    return "\n".join(["---", *lines, "---"])


def _yaml(text: str) -> str:
    """A string of YAML; every string of JSON is one."""
    return json.dumps(text, ensure_ascii=False)


def _facts(run: Run, result: dict[str, Any] | None) -> str:
    flow, config, starts = run.flow, run.config, read_history(run.workdir / "run.json")
    commands = [f"`{command}`" for command in _distinct(starts, "command", without_paths)]
    versions = [f"realnvp_jax {', '.join(found)}" for found in [_distinct(starts, "version")] if found]
    versions += [f"JAX {', '.join(found)}" for found in [_distinct(starts, "jax")] if found]
    hashes = {} if run.fingerprint is None else run.fingerprint.sha256
    levels = f", {flow.levels} levels" if flow.levels is not None else ""
    facts = {
        "model": f"`{flow!r}`",
        "parameters": f"{count_parameters(flow):,}",
        "events": f"shape {flow.event_shape}{levels}",
        "conditional on": ", ".join(_context(run)),
        "data": f"{config.dataset.name}: " + ", ".join(f"{part} `{getattr(config.dataset, part)}`" for part in SPLITS),
        "data, SHA-256": "; ".join(f"{part} `{digest}`" for part, digest in hashes.items()),
        "result": describe_result(result) if result is not None else "none yet for these parameters",
        "step": f"{run.step:,} of {config.num_steps:,}" + (", averaged parameters" if run.ema else ""),
        "commands": ", then ".join(commands),
        "started": ", ".join(_distinct(starts, "date")),
        "devices": ", ".join(_distinct(starts, "devices")),
        "versions": "; ".join(versions),
        "commits": ", ".join(f"`{commit}`" for commit in _distinct(starts, "commit")),
    }
    return "\n".join(f"| {key} | {_cell(value)} |" for key, value in facts.items() if value)


def _distinct(starts: list[dict[str, Any]], key: str, change: Callable[[str], str] = str) -> list[str]:
    """What the starts of a run say under a key, each value once; those that say nothing are left out."""
    return list(dict.fromkeys(change(str(start[key])) for start in starts if start.get(key)))


def _call_stablehlo(run: Run, file: str) -> str:
    """Code that calls an exported function."""
    name, shape = file.partition(".")[0], ", ".join(map(str, run.flow.event_shape))
    context = ", context" if run.flow.context_size else ""
    load = f'{name} = jax.export.deserialize(bytearray(Path("{file}").read_bytes())).call'
    if name == "log_prob":
        return f"{load}\nlog_prob(params, x{context})  # x: float32 [n, {shape}] -> [n] nats"
    latents = f"float32 [n, {shape}], draws of {run.flow.base}"
    return f"{load}\nsample(params, latents{context})  # latents: {latents} -> samples"


def _call_onnx(run: Run, file: str) -> str:
    """Code that calls an ONNX model."""
    name = "x" if file.startswith("log_prob") else "latents"
    context = ', "context": np.asarray(context)' if run.flow.context_size else ""
    return (
        f'session = onnxruntime.InferenceSession("{file}")\n'
        f'({file.partition(".")[0]},) = session.run(None, {{"{name}": np.asarray({name}){context}}})'
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _context(run: Run) -> tuple[str, ...]:
    return ("the class",) if is_class_conditional(run.config) else context_columns(run.config)


def _use(run: Run) -> str:
    flow = run.flow
    context, keyword = (", context", ", context=context") if flow.context_size else ("", "")
    lines = [
        f"x = flow.sample(params, jax.random.key(0), (16,){keyword})",
        f"flow.log_prob(params, x{context})  # nats",
    ]
    if flow.levels is not None:
        lines.append(f"flow.bits_per_dim(params, jax.random.key(1), flow.to_uint8(x){context})")
    return "\n".join(lines)


def _config(run: Run) -> str:
    """The config without the places where one machine keeps its files."""
    config = run.config.to_dict()
    places = ("data_dir", "path", "manual_dir", "cache_dir")
    config["dataset"] = {key: value for key, value in config["dataset"].items() if key not in places}
    return f"```json\n{json.dumps(config, indent=2, default=str)}\n```"
