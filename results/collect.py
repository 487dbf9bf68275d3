"""Keep what a finished run of images has shown, and write the tables of these runs.

    python results/collect.py runs/mnist_small [...]   # into results/mnist_small/, then the tables
    python results/collect.py                          # the tables alone, from what is in results/

Kept are the config, the result with the device, the metrics, curves and samples, and in run.json the command, the date,
the version and the training time. The full table is between two marks in docs/results.md, and a short one between the
same marks in README.md.
"""

import argparse
import csv
import datetime
import json
import re
import shutil
from pathlib import Path

HERE = Path(__file__).parent
README, PAGE = HERE.parent / "README.md", HERE.parent / "docs" / "results.md"
BEGIN, END = "<!-- runs: written by results/collect.py -->\n", "<!-- end of runs -->\n"
FILES = ("config.json", "result.json", "metrics.csv", "curves.png", "samples.png")
PUBLISHED = {"cifar10": "3.49 (the paper)", "mnist": "1.06 (RealNVP in FFJORD's paper)"}


def training_seconds(metrics: Path, batch_size: int) -> float:
    """Time spent on updates, compiling included, evaluation not."""
    total, before = 0.0, 0
    with metrics.open() as file:
        for row in csv.DictReader(file):
            step = int(row["step"])
            total += (step - before) * batch_size / float(row["examples_per_second"])
            before = step
    return total


def collect(workdir: Path, command: str | None, name: str | None) -> None:
    if not (workdir / "result.json").is_file():
        raise SystemExit(f"expected the workdir of a finished run, with result.json; got {workdir}")
    target = HERE / (name or workdir.name)
    target.mkdir(exist_ok=True)
    for file in FILES:
        shutil.copy(workdir / file, target / file)
    made = workdir / "run.json"
    if made.is_file():
        run = json.loads(made.read_text())
    elif command:
        date = datetime.date.fromtimestamp((workdir / "result.json").stat().st_mtime).isoformat()
        run = {"command": command, "date": date, "version": "0.1.0"}
    else:
        raise SystemExit(f"expected {made}, which runs have since version 0.2.0; got none: say --command")
    if command:
        run["command"] = command
    elif not run["command"]:
        raise SystemExit(f"expected the command of a run from Python; got none in {made}: say --command")
    for noted in (run, *run.get("starts", [])):
        noted["command"] = without_paths(noted["command"])
    config = json.loads((target / "config.json").read_text())
    for key in ("data_dir", "path", "manual_dir", "cache_dir"):  # of the machine, not of the run
        config["dataset"][key] = ""
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    run["training_seconds"] = round(training_seconds(target / "metrics.csv", config["batch_size"]))
    (target / "run.json").write_text(json.dumps(run, indent=2) + "\n")


def without_paths(command: str) -> str:
    """A command without the places where one machine keeps its files."""
    return re.sub(r" --(workdir|config\.dataset\.(data_dir|path|manual_dir|cache_dir))=\S+", "", command)


def kept_runs() -> list[tuple[str, dict, dict, dict]]:
    """Directory, run, result and config of every run in results/."""
    kept = []
    for path in sorted(HERE.glob("*/run.json")):
        files = (path.parent / name for name in ("run.json", "result.json", "config.json"))
        kept.append((path.parent.name, *(json.loads(file.read_text()) for file in files)))
    return kept


def row(name: str, run: dict, result: dict, config: dict) -> dict[str, str]:
    """The cells of a run's row, in either table."""
    minutes, data = run["training_seconds"] / 60, config["dataset"]["name"]
    took = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    steps = f"{result['num_steps']:,} steps of {config['batch_size']}"
    return {
        "name": name,
        "data": f"{data}, {result['num_examples']:,} test images",
        "command": f"`{run['command']}`",
        "made": f"{result['devices']}, {run['date']}, {run['version']}, {took}, {steps}",
        "cost": f"{took} on {result['devices']}",
        "bits": f"{result['mean']:.3f} +- {result['standard_error']:.3f}",
        "published": PUBLISHED.get(data) or PUBLISHED.get(name.partition("_")[0], ""),
    }


def full_table() -> str:
    """For docs/results.md."""
    lines = [
        "| run | data | command | device, date, version, training time | bits/dim | published |",
        "|---|---|---|---|---|---|",
    ]
    for cells in (row(*kept) for kept in kept_runs()):
        cells["name"] = f"[{cells['name']}](../results/{cells['name']}/README.md)"
        lines.append("| {name} | {data} | {command} | {made} | {bits} | {published} |".format(**cells))
    return "\n".join(lines) + "\n"


def short_table() -> str:
    """For README.md."""
    lines = ["| config | bits/dim | published | training |", "|---|---|---|---|"]
    for cells in (row(*kept) for kept in kept_runs()):
        lines.append("| [{name}](results/{name}/README.md) | {bits} | {published} | {cost} |".format(**cells))
    return "\n".join(lines) + "\n"


def write_between_marks(file: Path, table: str) -> None:
    text = file.read_text()
    if BEGIN not in text or END not in text:
        raise SystemExit(f"expected the marks {BEGIN.strip()} and {END.strip()} in {file.name}; got none")
    before, rest = text.split(BEGIN)
    file.write_text(before + BEGIN + table + END + rest.split(END)[1])


def write_tables() -> None:
    write_between_marks(PAGE, full_table())
    write_between_marks(README, short_table())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdirs", type=Path, nargs="*")
    parser.add_argument("--command", help="how the run was made, where that should be said in other words")
    parser.add_argument("--name", help="of the directory in results/")
    options = parser.parse_args()
    if (options.command or options.name) and len(options.workdirs) != 1:
        parser.error(f"expected one workdir with --command or --name; got {len(options.workdirs)}")
    for workdir in options.workdirs:
        collect(workdir, options.command, options.name)
    write_tables()


if __name__ == "__main__":
    main()
