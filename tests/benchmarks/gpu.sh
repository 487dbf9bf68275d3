#!/usr/bin/env bash
# On a GPU, in pieces of ten minutes. All arguments of `train` go to train.py.
#
#     tests/benchmarks/gpu.sh table gpu.json                       the table of speed and memory, about ten minutes
#     tests/benchmarks/gpu.sh train --config=configs/cifar10_large.py --workdir=runs/cifar10 [--config.KEY=VALUE ...]
#
# `train` stops after SECONDS_A_PIECE (560) as Ctrl-C does, with everything saved, and goes on at the next call; it ends
# with 130 as long as there is more to do. BATCHES and MODEL make the table smaller (MODEL="8 1 4" to try it on a CPU).
set -euo pipefail
cd "$(dirname "$0")/../.."
what=${1:?table or train}
shift
case $what in
table)
    python -m tests.benchmarks.cifar10 --batch-sizes ${BATCHES:-64 256 512 1024} --model ${MODEL:-32 8 64} \
        --variants loop unroll bfloat16 unroll+bfloat16 --json "${1:?file for the numbers}"
    ;;
train)
    status=0
    timeout --preserve-status --signal=INT "${SECONDS_A_PIECE:-560}" python train.py "$@" || status=$?
    exit "$status"
    ;;
*)
    echo "expected table or train; got $what" >&2
    exit 2
    ;;
esac
