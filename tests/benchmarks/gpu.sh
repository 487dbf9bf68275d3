#!/usr/bin/env bash
# For a GPU that is there for a limited time.
#
#     tests/benchmarks/gpu.sh check                  the recordings of the authors' code, on this device
#     tests/benchmarks/gpu.sh table FILE [SECONDS]   speed, memory and longest kernels of training steps, into FILE (JSON)
#     tests/benchmarks/gpu.sh record SECONDS WORKDIR OUT [FLAGS]         a training run of CONFIG, kept in OUT
#
# `table` begins no case after SECONDS (150), most wanted cases first; CASES names others, to try it on a CPU. `record` is
# train.py with cifar10_ten_minutes, or with the config that the variable CONFIG names (cifar10 is the paper's). It stops
# after SECONDS as by Ctrl-C, with everything saved; then OUT gets what the run has written so far, and its parameters,
# kernels in bfloat16, in files of at most 15 MiB. Leave a minute for that. The same call goes on with training, or with the
# evaluation of the test images if only that is missing; the exit code is 130 as long as there is more to do. Initializing
# and compiling take about two minutes. One process at a time: tracing does not run in parallel.
set -euo pipefail
what=${1:?check, table or record}
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
record)
    seconds=${2:?seconds for the training} workdir=$(realpath -m "${3:?a workdir}") out=$(realpath -m "${4:?a folder to keep}")
    shift 4
    cd "$here"
    status=0
    timeout --preserve-status --signal=INT "$seconds" \
        python train.py --config="${CONFIG:-cifar10_ten_minutes}" --workdir="$workdir" "$@" || status=$?
    mkdir -p "$out"
    for file in config.json run.json metrics.csv result.json curves.png samples.png; do
        if [ -e "$workdir/$file" ]; then cp "$workdir/$file" "$out"; fi
    done
    JAX_PLATFORMS=cpu python - "$workdir" "$out/model" <<'EOF'
import sys

import jax
import jax.numpy as jnp

import realnvp_jax


def rounded(path, leaf):
    return leaf.astype(jnp.bfloat16) if path[-1].key.endswith("kernel") else leaf


flow, params = realnvp_jax.load(sys.argv[1])
params = jax.tree.map_with_path(rounded, params)
realnvp_jax.save(sys.argv[2], flow, params, overwrite=True, max_file_size=15 * 2**20)
EOF
    exit "$status"
    ;;
*)
    echo "expected check, table or record; got $what" >&2
    exit 2
    ;;
esac
