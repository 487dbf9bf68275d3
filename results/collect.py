"""Keep what a finished run of images has shown, and the README's table of these runs.

    python results/collect.py runs/mnist_small [...]   # into results/mnist_small/, then the table
    python results/collect.py                          # the table alone, from what is in results/

Kept are the config, the result with the device, the metrics, curves and samples, and in run.json the command, the date,
the version and the training time. The table is between two marks in README.md.
"""

import argparse
import csv
import datetime
import json
import re
import shutil
from pathlib import Path

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
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
    run["command"] = without_paths(run["command"])
    config = json.loads((target / "config.json").read_text())
    for key in ("data_dir", "path", "manual_dir", "cache_dir"):  # of the machine, not of the run
        config["dataset"][key] = ""
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    run["training_seconds"] = round(training_seconds(target / "metrics.csv", config["batch_size"]))
    (target / "run.json").write_text(json.dumps(run, indent=2) + "\n")


def without_paths(command: str) -> str:
    """A command without the places where one machine keeps its files."""
    return re.sub(r" --(workdir|config\.dataset\.(data_dir|manual_dir|cache_dir))=\S+", "", command)


def table() -> str:
    lines = [
        "| data | command | device, date, version, training time | bits/dim | published |",
        "|---|---|---|---|---|",
    ]
    for path in sorted(HERE.glob("*/run.json")):
        run, result, config = (
            json.loads((path.parent / f).read_text()) for f in ("run.json", "result.json", "config.json")
        )
        minutes = run["training_seconds"] / 60
        took = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
        made = f"{result['devices']}, {run['date']}, {run['version']}, {took}, "
        data = config["dataset"]["name"]
        lines.append(
            f"| [{data}](results/{path.parent.name}), {result['num_examples']:,} test images | `{run['command']}` | "
            f"{made}{result['num_steps']:,} steps of {config['batch_size']} | "
            f"{result['mean']:.3f} +- {result['standard_error']:.3f} | {PUBLISHED.get(data, '')} |"
        )
    return "\n".join(lines) + "\n"


def write_table() -> None:
    text = README.read_text()
    if BEGIN not in text or END not in text:
        raise SystemExit(f"expected the marks {BEGIN.strip()} and {END.strip()} in {README.name}; got none")
    before, rest = text.split(BEGIN)
    README.write_text(before + BEGIN + table() + END + rest.split(END)[1])


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
    write_table()


if __name__ == "__main__":
    main()
