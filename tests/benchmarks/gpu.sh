#!/usr/bin/env bash
# For a GPU that is there for a limited time.
#
#     tests/benchmarks/gpu.sh check                  the recordings of the authors' code, on this device
#     tests/benchmarks/gpu.sh table FILE [SECONDS]   speed, memory and longest kernels of training steps, into FILE (JSON)
#     tests/benchmarks/gpu.sh train SECONDS --config=configs/cifar10_ten_minutes.py --workdir=runs/cifar10 [FLAGS]
#
# `table` begins no case after SECONDS (150), most wanted cases first; CASES names others, to try it on a CPU. `train` is
# train.py, stopped after SECONDS as by Ctrl-C, with everything saved. The same call goes on; the exit code is 130 as long
# as there is more to do. A program compiles for about a minute and tracing does not run in parallel: one process at a time.
set -euo pipefail
what=${1:?check, table or train}
here=$(cd "$(dirname "$0")/../.." && pwd)
case $what in
check)
    cd "$here"
    run="python -m pytest -q --noconftest -o addopts= -W ignore tests/models/test_golden.py"
    $run -k "evaluation or sampling"
    JAX_DEFAULT_MATMUL_PRECISION=highest $run -m "not slow"
    ;;
table)
    file=$(realpath "${2:?a file for the table}")
    cd "$here"
    half=dtype=bfloat16
    python -m tests.benchmarks.training_steps ${CASES:-cifar10_ten_minutes cifar10,batch_size=256,$half \
        cifar10_ten_minutes,model.transform=affine cifar10,batch_size=512,$half cifar10 cifar10,$half \
        cifar10,batch_size=256 cifar10,batch_size=512 cifar10,batch_size=256,$half,unroll=True} \
        --steps 10 --kernels 25 --seconds "${3:-150}" --json "$file"
    ;;
train)
    seconds=${2:?seconds for the training}
    shift 2
    cd "$here"
    status=0
    timeout --preserve-status --signal=INT "$seconds" python train.py "$@" || status=$?
    exit "$status"
    ;;
*)
    echo "expected check, table or train; got $what" >&2
    exit 2
    ;;
esac
