"""The tables and numbers of the pages that are made of the files in results/, each a function from the files to text.

A run's files are in a folder of its own (config.json, result.json, run.json, and bound_16.json where the bound with 16
samples was computed), in vectors/ or in autoregressive/ (NAME.json, its result). ablation/ has one file for each table.
comparisons.json has what commands printed that leave no file: baselines and true densities.
"""

import functools
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PUBLISHED = {"cifar10": "3.49 (the paper)", "mnist": "1.06 (RealNVP in FFJORD's paper)"}
INGREDIENTS = {  # what docs/results.md calls them, for readers who do not know the code
    "Muon, cosine": "Muon at ten times the learning rate, cosine to zero",
}
OPTIMIZERS = {
    "adam": "Adam",
    "adamax": "Adamax",
    "adamw": "AdamW",
    "muon": "Muon",
    "schedule_free": "schedule-free AdamW",
}


def read(*path: str) -> Any:
    """A file of results/."""
    return json.loads(HERE.joinpath(*path).read_text())


def number(result: dict[str, Any]) -> str:
    """Mean and standard error."""
    return f"{result['mean']:.3f} +- {result['standard_error']:.3f}"


def of(folder: str, name: str) -> str:
    """The test result in a folder of single files, or nothing if it has none."""
    return number(read(folder, f"{name}.json")) if (HERE / folder / f"{name}.json").is_file() else ""


def printed(benchmark: str, name: str) -> list[str]:
    """What a command printed for one data set or run, in the order of its columns."""
    return read("comparisons.json")[benchmark][name]


def lay_out(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    header = list(header)
    lines = [" | ".join(header), *(" | ".join(cells) for cells in rows)]
    lines = [f"| {line} |\n" for line in lines]
    return "".join([lines[0], "|" + "---|" * len(header) + "\n", *lines[1:]])


def kept_runs() -> list[tuple[str, dict, dict, dict]]:
    """Directory, run, result and config of every run of images in results/."""
    files = ("run.json", "result.json", "config.json")
    names = sorted(path.parent.name for path in HERE.glob("*/run.json"))
    return [(name, *(read(name, file) for file in files)) for name in names]


def commands_of(run: dict[str, Any]) -> list[str]:
    """The different commands of a run's starts: several if a run was resumed with other keys."""
    return list(dict.fromkeys(start["command"] for start in run.get("starts", [run])))


def cells_of_runs() -> list[dict[str, str]]:
    """The cells of each run, for both tables."""
    all_cells = []
    for name, run, result, config in kept_runs():
        minutes, data = run["training_seconds"] / 60, config["dataset"]["name"]
        took = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
        cost = f"{took} on {result['devices']}"
        steps = f"{result['num_steps']:,} steps of {config['batch_size']}"
        cells = {
            "name": name,
            "bits": number(result),
            "bound": of(name, "bound_16"),
            "published": PUBLISHED.get(data) or PUBLISHED.get(name.partition("_")[0], ""),
            "data": f"{data}, {result['num_examples']:,} test images",
            "cost": cost,
            "how": f"{steps}, {run['date']}, version {run['version']}",
            "command": "; resumed by ".join(f"`{command}`" for command in commands_of(run)),
        }
        all_cells.append(cells)
    return all_cells


def runs() -> str:
    """docs/results.md: every run of images."""
    header = ("run", "bits/dim", "16 samples", "published", "training")
    row = "[{name}](../results/{name}/README.md)|{bits}|{bound}|{published}|{cost}"
    return lay_out(header, (row.format(**cells).split("|") for cells in cells_of_runs()))


def commands() -> str:
    """docs/results.md: how these runs were made."""
    header = ("run", "data", "made", "command")
    row = "{name}|{data}|{how}|{command}"
    return lay_out(header, (row.format(**cells).split("|") for cells in cells_of_runs()))


def short_runs() -> str:
    """README.md: the same, in short."""
    row = "[{name}](results/{name}/README.md)|{bits}|{published}|{cost}"
    header = ("config", "bits/dim", "published", "training")
    return lay_out(header, (row.format(**cells).split("|") for cells in cells_of_runs()))


def other_images() -> str:
    """docs/results.md: PixelCNN, and simple models."""
    rows = []
    for data, images, real_nvp in (
        ("digits", "digits, 180 test images", None),
        ("shapes", "shapes, 10,000 test images", of("autoregressive", "shapes")),
    ):
        config = f"`python train.py --config=configs/{data}_pixelcnn.py`"
        rows.append((f"{images}, by PixelCNN", of("autoregressive", f"{data}_pixelcnn"), config))
        if real_nvp:
            rows.append(("the same, by RealNVP", real_nvp, f"`python train.py --config=configs/{data}.py`"))
        baselines = "; ".join(printed("image_baselines", data))
        command = f"`python -m tests.benchmarks.image_baselines {data}`"
        rows.append(("the same, pixel histogram; Gaussian in logit space", baselines, command))
    return lay_out(("data", "bits/dim", "command"), rows)


def images() -> str:
    """results/autoregressive: RealNVP and PixelCNN side by side."""
    rows = []
    for data, described, real_nvp in (
        ("shapes", "shapes, 20x20, black and white, 10,000 test images", of("autoregressive", "shapes")),
        ("digits", "digits, 8x8, 17 levels, 180 test images", of("digits", "result")),
    ):
        pixelcnn = of("autoregressive", f"{data}_pixelcnn")
        rows.append((described, pixelcnn, real_nvp, *printed("image_baselines", data)))
    return lay_out(("", "PixelCNN", "RealNVP", *read("comparisons.json")["image_baselines"]["columns"]), rows)


def mean_over_seeds(values: list[float]) -> str:
    """Mean and standard error over seeds; the value alone, if there is one seed."""
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.3f}"
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return f"{mean:.3f} +- {math.sqrt(variance / len(values)):.3f}"


def over_seeds(rung: dict, key: str) -> list[float]:
    """A number of a variant, for each seed."""
    return [seed[key] for seed in rung["seeds"]]


def rungs(seconds: int) -> list[dict]:
    """The variants that were trained for that time."""
    return read("ablation", f"ingredients_{seconds}_seconds.json")["rows"]


def ingredients() -> str:
    """docs/results.md: what each ingredient is worth on the test images."""
    rows = []
    for short, long in zip(rungs(60), rungs(900), strict=True):
        assert short["rung"] == long["rung"]
        scores = (mean_over_seeds(over_seeds(rung, "test")) for rung in (short, long))
        rows.append((INGREDIENTS.get(short["rung"], short["rung"]), *scores))
    return lay_out(("", "1 minute", "15 minutes"), rows)


def all_ingredients(seconds: int) -> str:
    """results/ablation: the variants that were trained for that time, with sizes and validation."""
    rows = []
    for rung in rungs(seconds):
        updates = over_seeds(rung, "updates")
        scores = (mean_over_seeds(over_seeds(rung, key)) for key in ("validation", "test"))
        rows.append((rung["rung"], f"{rung['parameters']:,}", f"{sum(updates) / len(updates):,.0f}", *scores))
    return lay_out(("", "parameters", "updates", "validation", "test"), rows)


def learning_rates() -> dict[str, list[tuple[str, float | None, float | None]]]:
    """Optimizer -> (learning rate, validation, test) of each run with one seed; None is not finite."""
    tried: dict[str, list[tuple[str, float | None, float | None]]] = {}
    for rung in read("ablation", "optimizers.json")["rows"]:
        name, rate = rung["rung"].split()
        (seed,) = rung["seeds"]
        tried.setdefault(name, []).append((rate, seed["validation"], seed["test"]))
    return tried


def best(tried: list[tuple[str, float | None, float | None]]) -> tuple[str, float]:
    """(learning rate, test) of the best validation."""
    rate, _, test = min((one for one in tried if one[1] is not None), key=lambda one: one[1])
    return rate, test


def optimizers() -> str:
    """results/ablation: every optimizer at several learning rates."""
    rows = []
    for name, tried in learning_rates().items():
        scores = (
            f"{rate}: " + ("not finite" if score is None else f"{score:.3f}" if score < 100 else f"{score:.0f}")
            for rate, score, _ in tried
        )
        rate, test = best(tried)
        rows.append((name, ", ".join(scores), f"**{test:.3f}** at {rate}"))
    return lay_out(("optimizer", "learning rate: validation", "best: test"), rows)


def best_optimizers() -> str:
    """docs/results.md: the best learning rate of every optimizer, in a sentence."""
    scores = sorted((best(tried)[1], OPTIMIZERS[name]) for name, tried in learning_rates().items())
    parts = [f"{score:.3f} by {name}" for score, name in scores]
    return (
        "At the best of the learning rates tried, the model with gated dense conditioners has\n"
        f"{', '.join(parts[:-1])} and {parts[-1]} (one seed).\n"
    )


def points_and_tables() -> str:
    """docs/results.md: log-densities of points and tables."""
    rows = []
    for name in ("moons", "smiley", "circles"):
        true, kernel = (text.partition(" ")[0] for text in printed("toy2d", name))
        splines = read("vectors", f"toy2d_{name}_spline.json")["mean"]
        others = f"splines {splines:.3f}; kernel density estimate {kernel}"
        flows = of("vectors", f"toy2d_{name}"), of("autoregressive", f"toy2d_ar_{name}")
        rows.append((name, *flows, true, others, f"`python train.py --config=configs/toy2d.py:{name}`"))
    for name in ("breast_cancer", "wine", "synthetic_table", "gaussian_mixture"):
        maf, true = of("autoregressive", f"tabular_maf_{name}"), ""
        if maf:
            maf += f"; splines {read('autoregressive', f'tabular_maf_{name}_spline.json')['mean']:.3f}"
        if name == "gaussian_mixture":
            true = printed("mixture", "tabular_gaussian_mixture")[1]
        others = f"Gaussian {printed('gaussians', name)[0].partition(' ')[0]}"
        command = f"`python train.py --config=configs/tabular.py:{name}`"
        rows.append((name, of("vectors", f"tabular_{name}"), maf, true, others, command))
    header = ("data", "RealNVP", "autoregressive", "true density", "for comparison", "command of RealNVP")
    return lay_out(header, rows)


def toy() -> str:
    """results/vectors: points on the plane."""
    rows = []
    for name in ("moons", "smiley", "circles", "blobs", "random"):
        true, kernel = printed("toy2d", name)
        mass = f"{read('vectors', f'toy2d_{name}.json')['density_sum']:.4f}"
        affine, splines = of("vectors", f"toy2d_{name}"), of("vectors", f"toy2d_{name}_spline")
        rows.append((name, true, affine, mass, splines, kernel))
    header = ("", "true density", "affine flow", "its density integrates to", "spline flow", "kernel density estimate")
    return lay_out(header, rows)


def tables() -> str:
    """results/vectors: tables."""
    sizes = {
        "breast_cancer": "341 train, 114 test, 30",
        "wine": "107 train, 36 test, 13",
        "synthetic_table": "160,000 train, 20,000 test, 6",
        "gaussian_mixture": "50,000 train, 20,000 test, 8",
    }
    header = ("", "rows, columns", "flow", *read("comparisons.json")["gaussians"]["columns"])
    rows = ((name, size, of("vectors", f"tabular_{name}"), *printed("gaussians", name)) for name, size in sizes.items())
    return lay_out(header, rows)


def autoregressive_points() -> str:
    """results/autoregressive: points on the plane."""
    rows = []
    for name in ("moons", "smiley", "circles"):
        true, kernel = printed("toy2d", name)
        mass = f"{read('autoregressive', f'toy2d_ar_{name}.json')['density_sum']:.4f}"
        affine, splines = of("vectors", f"toy2d_{name}"), of("vectors", f"toy2d_{name}_spline")
        rows.append((name, true, of("autoregressive", f"toy2d_ar_{name}"), mass, affine, splines, kernel))
    flows = ("autoregressive flow", "its density integrates to", "RealNVP, affine", "RealNVP, splines")
    return lay_out(("", "true density", *flows, "kernel density estimate"), rows)


def autoregressive_tables() -> str:
    """results/autoregressive: tables; KL(true density, flow) is in brackets."""

    def cell(folder: str, name: str) -> str:
        known = read("comparisons.json")["mixture"]
        return of(folder, name) + (f" ({known[name][0]})" if name in known else "")

    rows = []
    for name, columns in (("synthetic_table", 6), ("gaussian_mixture", 8)):
        true = printed("mixture", f"tabular_{name}")[1] if name == "gaussian_mixture" else ""
        maf = (cell("autoregressive", f"tabular_maf_{name}{transform}") for transform in ("", "_spline"))
        rows.append((f"{name}, {columns} columns", *maf, cell("vectors", f"tabular_{name}"), true))
    flows = ("MAF, 10 affine maps", "MAF, 5 spline maps", "RealNVP, splines and learned linear maps")
    return lay_out(("", *flows, "true density"), rows)


def compression() -> str:
    """Sizes of compressed images, beside other codes."""
    files = {name: read("compression", f"{name}.json") for name in ("digits", "mnist", "cifar10")}
    parts = {
        "the file": "bits_per_dim",
        "the flow's own": "own",
        "start-up": "start_up",
        "header and checksums": "framing",
        "coding": "coding",
    }
    rows = [(name, *(f"{found[key]:.4f}" for found in files.values())) for name, key in parts.items()]
    for code in ("PNG", "WebP", "JPEG XL"):
        found = (file.get("other", {}).get(code) for file in files.values())
        rows.append((code, *("" if bits is None else f"{bits:.2f}" for bits in found)))
    for percent in (3, 1):
        images = (f"{found[f'images_for_{percent}_percent']:,}" for found in files.values())
        rows.append((f"images until start-up and header are {percent}%", *images))
    return lay_out(("", *(f"{name}, {found['num_images']:,} images" for name, found in files.items())), rows)


def anomalies() -> str:
    """docs/after_training.md: AUROC of the scores; values below a half are bold."""
    found = read("comparisons.json")["anomalies"]
    rows = []
    for name, cells in found.items():
        if name not in ("command", "columns"):
            rows.append((name, *(f"**{cell}**" if cell and float(cell) < 0.5 else cell for cell in cells)))
    return lay_out(("", *found["columns"]), rows)


TABLES = {  # page -> the names of the tables between its marks, and what makes them
    "README.md": {"runs": short_runs},
    "docs/results.md": {
        "runs": runs,
        "commands": commands,
        "other_images": other_images,
        "ingredients": ingredients,
        "best_optimizers": best_optimizers,
        "points_and_tables": points_and_tables,
    },
    "results/vectors/README.md": {"toy": toy, "tables": tables},
    "results/autoregressive/README.md": {
        "points": autoregressive_points,
        "images": images,
        "tables": autoregressive_tables,
    },
    "docs/after_training.md": {"anomalies": anomalies},
    "docs/compression.md": {"compression": compression},
    "results/ablation/README.md": {
        "one_minute": functools.partial(all_ingredients, 60),
        "fifteen_minutes": functools.partial(all_ingredients, 900),
        "optimizers": optimizers,
    },
}
