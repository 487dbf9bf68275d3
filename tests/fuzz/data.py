"""Read damaged data files: 20,000 pictures, and 2,000 each of arrays, tables and prepared TFDS data sets.

    python -m tests.fuzz.data --seed 0 --count 20000 --others 2000

Each file is an intact one (see `tests.fuzz.samples`) with bits flipped, bytes overwritten, removed, repeated or
replaced by extreme numbers, or cut off; half of the damaged PNG and .npz files get correct checksums again, so that
the damage reaches the decoder. A file may be read or refused, but a picture only by `BadPictureError`, any other file
only by a ValueError of one sentence of at most 400 characters. Anything else is a failure: another error, a crash, more
than 30 seconds, or a process whose memory exceeds MOST_MEMORY; and so is an intact file that is refused, as are the
first few of each kind. The file of a failure depends only on the seed, the kind and the number that are printed (and,
in an .npz file, on the time, which it contains).

Each kind is read in a process of its own. One that crashes or hangs is started again behind the file that did it.
"""

import argparse
import contextlib
import functools
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from realnvp_jax.data.images.arrays import array_source, array_splits
from realnvp_jax.data.images.folder import read_picture
from realnvp_jax.data.images.framing import BadPictureError, Framing
from realnvp_jax.data.images.prepared import prepared_source
from realnvp_jax.data.vectors.table_files import TableFile
from tests.fuzz import samples

KINDS = (*samples.PICTURES, *samples.TABLES, "array_record")
MOST_MEMORY = 2 * 2**30  # bytes
SECONDS = 30  # per file
FRAMINGS = (Framing((8, 8, 3), "centre"), Framing((8, 8, 1), "centre"), Framing((30, 40, 3)))
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)


def damaged(content: bytes, rng: np.random.Generator, kind: str = "") -> bytes:
    """`content` with one kind of damage, or up to three; that of an .npz file may be inside one of its arrays."""
    if kind.endswith("npz") and rng.random() < 0.5:
        return _with_damaged_array(content, rng)
    data = bytearray(content)
    for _ in range(1 if rng.random() < 0.6 else rng.integers(2, 4)):
        _damage(data, rng)
    if kind == "png" and rng.random() < 0.5:
        _correct_checksums(data)
    return bytes(data)


def _damage(data: bytearray, rng: np.random.Generator) -> None:
    if not data:
        return
    size = len(data)
    near_start = rng.random() < 0.5  # where headers are
    place = int(rng.integers(min(size, 200))) if near_start else int(rng.integers(size))
    choice = rng.integers(7)
    if choice == 0:  # flip a few bits
        for at in rng.integers(size, size=rng.integers(1, 9)).tolist():
            data[at] ^= 1 << int(rng.integers(8))
    elif choice == 1:  # flip bits at one place
        data[place] ^= int(rng.integers(1, 256))
    elif choice == 2:  # overwrite with noise
        length = int(rng.integers(1, 33))
        data[place : place + length] = rng.bytes(min(length, size - place))
    elif choice == 3:  # cut off
        del data[place:]
    elif choice == 4:  # remove
        del data[place : place + int(rng.integers(1, 65))]
    elif choice == 5:  # repeat
        data[place:place] = data[place : place + int(rng.integers(1, 65))]
    else:  # an extreme number
        number, width = int(rng.choice(np.array(_EXTREMES, np.uint64))), int(rng.choice([1, 2, 4, 8]))
        order = "big" if rng.random() < 0.5 else "little"
        data[place : place + width] = (number % 256**width).to_bytes(width, order)


def _with_damaged_array(content: bytes, rng: np.random.Generator) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(file, "w") as copy:
        names = archive.namelist()
        chosen = names[rng.integers(len(names))]
        for name in names:
            copy.writestr(name, damaged(archive.read(name), rng) if name == chosen else archive.read(name))
    return file.getvalue()


def _correct_checksums(data: bytearray) -> None:
    """Correct the checksum of each chunk of a PNG file."""
    place = 8
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(data):
            return
        data[end : end + 4] = zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")
        place = end + 4


def read_damaged(kind: str, seed: int, number: int, folder: Path) -> str:
    """Damage a file and read it. Files with the first few numbers are intact.

    Args:
      kind: one of KINDS.
      seed: seed of the damage.
      number: number of the file.
      folder: an empty folder of this kind, or one that this function has filled.

    Returns:
      "read", or the sentence with which the file was refused.

    Raises:
      Exception: reading failed in a way in which it must not.
    """
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), number])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "array_record":
            return _refusal(lambda: _read_array_record(folder, rng))
        intact = samples.pictures(kind) if kind in samples.PICTURES else samples.tables(kind)
        path = folder / f"damaged.{kind}"
        content = intact[number % len(intact)]
        path.write_bytes(content if number < len(intact) else damaged(content, rng, kind))
        if kind in samples.PICTURES:
            outcomes = [_refusal(functools.partial(_read_picture, path, framing)) for framing in FRAMINGS]
        else:
            outcomes = [_refusal(lambda: _read_images(path) if kind in ("npz", "npy") else _read_table(path))]
        assert number >= len(intact) or "read" in outcomes, outcomes
        return "read" if "read" in outcomes else outcomes[0]


def _refusal(read: Callable[[], None]) -> str:
    message = "read"
    try:
        read()
    except BadPictureError as error:
        message = str(error)
    except ValueError as error:
        message = str(error)
        if type(error) is not ValueError or not message.startswith("expected "):
            raise
    return _sentence(message)


def _sentence(message: str) -> str:
    assert 0 < len(message) <= 400, message
    assert "\n" not in message, message
    return message


def _read_picture(path: Path, framing: Framing) -> None:
    assert read_picture(path, framing).shape == framing.shape


def _read_images(path: Path) -> None:
    for split in array_splits(str(path)):
        source = array_source(str(path), split, 0)
        for i in range(min(source.num, 20)):
            assert source.read(Framing((8, 8, 3), "centre"), i).shape == (8, 8, 3)
            if not isinstance(source.labels, str):
                source.labels.number(i)


def _read_table(path: Path) -> None:
    """Read the numbers of a table, and its categories as context if it has any."""
    has_categories = path.suffix != ".npz"
    keys = {"path": str(path), "missing": "drop"}
    tables = [TableFile("table", **keys, columns="a,b c,n,flag" if has_categories else "")]
    if has_categories:
        keys |= {"columns": "a", "context": "city"}
        tables.append(TableFile("table", **keys, categories=TableFile("table", **keys).find_categories()))
    for table in tables:
        assert np.isfinite(table.load("all").x).all()


def _read_array_record(folder: Path, rng: np.random.Generator) -> None:
    intact, copy = folder / "intact", folder / "copy"
    if not intact.exists():
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            samples.write_array_record(intact)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(next(intact.glob("*/*/dataset_info.json")).parent, copy)
    files = sorted(copy.iterdir())
    shards = [file for file in files if "array_record" in file.name]
    file = shards[0] if rng.random() < 0.6 else files[rng.integers(len(files))]
    file.write_bytes(damaged(file.read_bytes(), rng))
    source = prepared_source(copy, "train")
    for i in range(min(source.num, 12)):
        with contextlib.suppress(BadPictureError):
            source.read(FRAMINGS[0], i)
        if not isinstance(source.labels, str):
            source.labels.number(i)


def _work(kind: str, seed: int, first: int, count: int, folder: Path) -> None:
    """Read files until one takes too long or ends the process; the state is in the file `state` of the folder."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    outcomes: Counter[str] = Counter()
    failures, slowest = [], 0.0
    for number in range(first, count):
        state = {"number": number, "outcomes": outcomes, "failures": failures, "slowest": slowest}
        (folder / "state").write_text(json.dumps(state))
        signal.alarm(SECONDS)  # the default action ends the process, even in the middle of a decoder
        start = time.monotonic()
        try:
            outcomes["read" if read_damaged(kind, seed, number, folder) == "read" else "refused"] += 1
        except Exception as error:
            outcomes["failed"] += 1
            failures.append([number, f"{type(error).__name__}: {error}"[:300]])
        signal.alarm(0)
        slowest = max(slowest, time.monotonic() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    state = {"number": count, "outcomes": outcomes, "failures": failures, "slowest": slowest, "memory": memory}
    (folder / "state").write_text(json.dumps(state))


def run(kind: str, seed: int, count: int) -> bool:
    """Read `count` damaged files of a kind, print the outcome, and return whether it is good."""
    outcomes: Counter[str] = Counter()
    failures: list[list] = []
    first, memory, slowest = 0, 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        while first < count:
            arguments = ["--kinds", kind, "--seed", str(seed), "--worker", folder, str(first), str(count)]
            done = subprocess.run([sys.executable, "-m", "tests.fuzz.data", *arguments], capture_output=True, text=True)
            state = json.loads((Path(folder) / "state").read_text())
            outcomes += Counter(state["outcomes"])
            failures += state["failures"]
            memory, slowest = max(memory, state.get("memory", 0)), max(slowest, state["slowest"])
            first = state["number"] + 1
            if done.returncode or "memory" not in state:
                outcomes["hung" if done.returncode == -signal.SIGALRM else "crashed"] += 1
                failures.append([state["number"], f"exit code {done.returncode}: {done.stderr[-300:]}"])
    good = not failures and memory <= MOST_MEMORY
    counts = ", ".join(f"{number:,} {what}" for what, number in sorted(outcomes.items()))
    print(f"{kind}: {counts}; at most {memory / 2**20:,.0f} MiB, {slowest:.1f} s for a file", flush=True)
    for number, problem in failures[:10]:
        print(f"  seed {seed}, number {number}: {problem}", flush=True)
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=20_000, help="number of pictures, of all formats together")
    parser.add_argument("--others", type=int, default=2_000, help="number of files of each other kind")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        folder, first, count = options.worker
        _work(options.kinds[0], options.seed, int(first), int(count), Path(folder))
        return
    pictures = options.count // len(samples.PICTURES)
    good = [run(kind, options.seed, pictures if kind in samples.PICTURES else options.others) for kind in options.kinds]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
