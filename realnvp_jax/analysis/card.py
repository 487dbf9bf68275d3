"""The README.md of a published flow: a model card, written from what the run has recorded."""

import dataclasses
import json
from typing import Any

import jax

import realnvp_jax
from realnvp_jax.analysis.run import SPLITS, Run
from realnvp_jax.models.create import context_columns, is_class_conditional
from realnvp_jax.models.pure import count_parameters
from realnvp_jax.runs.history import read_history
from realnvp_jax.runs.result import describe_result, read_result

_USE = """\
```python
import jax, realnvp_jax

flow, params = realnvp_jax.load("{name}")  # this folder; executes no code from it
{lines}
```"""

_STABLEHLO = """\
`log_prob.stablehlo` and `sample.stablehlo` run wherever JAX runs, without realnvp_jax, on {platforms}. The
batch size is free. They were exported by JAX {jax}, and JAX promises that later versions can call them for
six months; after that, export them again with `realnvp publish`.

```python
from pathlib import Path
import jax.export, safetensors.numpy

params = {{}}
for file in {models}:
    params |= safetensors.numpy.load_file(file)
log_prob = jax.export.deserialize(bytearray(Path("log_prob.stablehlo").read_bytes())).call
sample = jax.export.deserialize(bytearray(Path("sample.stablehlo").read_bytes())).call
log_prob(params, x{context})  # x: float32 [n, {event}] -> [n] nats
sample(params, latents{context})  # latents: draws of {base}, float32 [n, {event}] -> samples of the same shape
```"""

_ONNX = """\
{files} run by ONNX Runtime, without JAX, and hold the parameters. ONNX Runtime keeps reading
models of older versions, so no date of expiry is known.

```python
import onnxruntime

session = onnxruntime.InferenceSession("log_prob.onnx")
(log_prob,) = session.run(None, {{"x": x{context}}})  # as above; sample.onnx has the input "latents"
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
      platforms: the platforms of the StableHLO files; () if there are none.
      onnx: names of the ONNX files.
      left_out: name of a file -> why it is missing.
      differences: name of a file -> largest difference from the flow on random examples, relative to the largest value
        (or to 1, if that is larger).
      has_picture: whether there is a samples.png.
    """

    models: tuple[str, ...]
    platforms: tuple[str, ...]
    onnx: tuple[str, ...]
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
    flow, config = run.flow, run.config
    path = run.workdir / "result.json"
    result = read_result(path) if path.is_file() else None
    if result is not None and result["step"] != run.step:
        result = None
    sections = [
        _metadata(run, name, result, license_name),
        f"# {name}\n\nA normalizing flow, trained by realnvp_jax {realnvp_jax.__version__} on {config.dataset.name}.",
        *(["![samples](samples.png)"] if exports.has_picture else []),
        f"| | |\n|---|---|\n{_facts(run, result)}",
        f"## Use\n\n{_USE.format(name=name, lines=_use(run))}",
    ]
    context = ", context" if flow.context_size else ""
    event = ", ".join(map(str, flow.event_shape))
    if exports.platforms:
        models = json.dumps(list(exports.models))
        sections.append(
            _STABLEHLO.format(
                platforms=", ".join(exports.platforms),
                jax=jax.__version__,
                models=models,
                context=context,
                event=event,
                base=flow.base,
            )
        )
    if exports.onnx:
        files = " and ".join(f"`{file}`" for file in exports.onnx)
        sections.append(_ONNX.format(files=files, context=', "context": context' if context else ""))
    if exports.differences:
        lines = [f"| `{file}` | {difference:.1e} |" for file, difference in exports.differences.items()]
        sections.append(
            "Largest difference from the flow itself on random examples, in batches of 1, 3 and 17, relative to the "
            "largest value:\n\n| file | difference |\n|---|---|\n" + "\n".join(lines)
        )
    sections += [f"Not here: `{file}`: {reason}." for file, reason in exports.left_out.items()]
    sections.append(f"## Intended use, and what a likelihood cannot do\n\n{_LIMITS}")
    sections.append(f"## Config\n\n{_config(run)}")
    return "\n\n".join(sections) + "\n"


def _metadata(run: Run, name: str, result: dict[str, Any] | None, license_name: str) -> str:
    """YAML front matter; JSON strings are YAML strings."""
    dataset = json.dumps(run.config.dataset.name)
    lines = ["library_name: realnvp_jax", "tags: [normalizing-flow, density-estimation, jax, flax]"]
    if license_name:
        lines.insert(0, f"license: {json.dumps(license_name)}")
    if result is not None:
        metric = "bits_per_dimension" if result["unit"] == "bits/dim" else "log_likelihood_nats"
        lines += [
            "model-index:",
            f"- name: {json.dumps(name)}",
            "  results:",
            "  - task: {type: density-estimation}",
            f"    dataset: {{name: {dataset}, type: {dataset}, split: {json.dumps(result['split'])}}}",
            f"    metrics: [{{type: {metric}, value: {result['mean']:.6f}, name: test}}]",
        ]
    return "\n".join(["---", *lines, "---"])


def _facts(run: Run, result: dict[str, Any] | None) -> str:
    flow, config, starts = run.flow, run.config, read_history(run.workdir / "run.json")
    first = starts[0] if starts else {}
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
        "step": f"{run.step:,} of {config.num_steps:,}" + (", moving average of the parameters" if run.ema else ""),
        "command": f"`{first['command']}`" if first.get("command") else "",
        "trained": ", ".join(str(first[key]) for key in ("date", "devices") if first.get(key)),
        "versions": f"realnvp_jax {first.get('version')}, JAX {first.get('jax')}" if first else "",
        "commit": f"`{first['commit']}`" if first.get("commit") else "",
    }
    return "\n".join(f"| {key} | {_cell(value)} |" for key, value in facts.items() if value)


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
