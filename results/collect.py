"""Keep what a finished run of images has shown, and write every table that is made of the files in results/.

    python results/collect.py runs/mnist_small [...]   # into results/mnist_small/, then the tables
    python results/collect.py                          # the tables alone, from what is in results/

Kept are the config, the result with the device, the metrics, curves and samples, and in run.json the command, the date,
the version and the training time. `page_tables.py` has the tables; each is between two marks in its page.
"""

import argparse
import csv
import datetime
import json
import re
import shutil
from pathlib import Path

import page_tables

HERE = Path(__file__).parent
ROOT = HERE.parent
FILES = ("config.json", "result.json", "metrics.csv", "curves.png", "samples.png")


def training_seconds(metrics: Path, batch_size: int) -> float:
    """Time spent on updates, compiling included, evaluation not."""
    total, before = 0.0, 0
    with metrics.open() as file:
        for row in csv.DictReader(file):
            step = int(row["step"])
            if step > before:  # not the evaluation before the first update
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


def write_between_marks(file: Path, name: str, text: str) -> None:
    """Put a text between the two marks of a name."""
    begin, end = f"<!-- {name}: written by results/collect.py -->\n", f"<!-- end of {name} -->\n"
    page = file.read_text()
    if begin not in page or end not in page:
        raise SystemExit(f"expected the marks {begin.strip()} and {end.strip()} in {file}; got none")
    before, rest = page.split(begin)
    file.write_text(before + begin + text + end + rest.split(end)[1])


def write_tables() -> None:
    """Write every table of every page."""
    for page, named in page_tables.TABLES.items():
        for name, make in named.items():
            write_between_marks(ROOT / page, name, make())


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
