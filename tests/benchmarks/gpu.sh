#!/usr/bin/env bash
# For a GPU that is there for a limited time.
#
#     tests/benchmarks/gpu.sh table FILE             speed and memory of the CIFAR-10 model, also as JSON into FILE
#     tests/benchmarks/gpu.sh train SECONDS --config=configs/cifar10_large.py --workdir=runs/cifar10 [FLAGS]
#
# `train` is train.py, stopped after SECONDS as by Ctrl-C, with everything saved. The same call goes on; the exit code is
# 130 as long as there is more to do. BATCHES, MODEL and VARIANTS make the table smaller, to try it on a CPU:
#
#     MODEL="8 1 4" BATCHES=8 VARIANTS="loop bfloat16" tests/benchmarks/gpu.sh table FILE
set -euo pipefail
what=${1:?table or train}
argument=${2:?a file for the table, or seconds for the training}
shift 2
case $what in
table)
    file=$(realpath "$argument")
    cd "$(dirname "$0")/../.."
    python -m tests.benchmarks.cifar10 --batch-sizes ${BATCHES:-64 256 512 1024} --model ${MODEL:-32 8 64} \
        --variants ${VARIANTS:-loop unroll bfloat16 unroll+bfloat16} --json "$file"
    ;;
train)
    cd "$(dirname "$0")/../.."
    status=0
    timeout --preserve-status --signal=INT "$argument" python train.py "$@" || status=$?
    exit "$status"
    ;;
*)
    echo "expected table or train; got $what" >&2
    exit 2
    ;;
esac
