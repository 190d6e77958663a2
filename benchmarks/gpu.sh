#!/bin/bash
# Everything that needs a GPU, in one command and under 8 minutes, on a machine with Python and torch.
# A step that fails or takes too long is told at the end and does not stop the others.
#
#   benchmarks/gpu.sh                 results go into benchmarks/results/, and into $OUT if it is set
#   DEVICE=cpu QUICK=1 benchmarks/gpu.sh       a dry run without a GPU, with as little as possible
set -u
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if [ "${DEVICE:-}" = cpu ]; then export CUDA_VISIBLE_DEVICES=; fi
fidelity=() table=() profile=()
if [ -n "${QUICK:-}" ]; then
    fidelity=(--counts 1)
    table=(--counts 1 --rounds 1)
    profile=(--counts 1 --repeats 3)
fi
logs=$(mktemp -d)
failed=()

step() { # name, seconds, command…
    local name=$1 seconds=$2
    shift 2
    echo "== $name (at most $seconds s)"
    timeout --kill-after=5 "$seconds" "$@" 2>&1 | tee "$logs/$name.txt"
    local status=${PIPESTATUS[0]}
    if [ "$status" -ne 0 ]; then failed+=("$name (exit code $status)"); fi
}

step machine 10 nvidia-smi
step fidelity 75 "$python" -m benchmarks.fidelity "${fidelity[@]}"
step encoder 270 "$python" -m benchmarks.encoder "${table[@]}"
step profile 75 "$python" -m benchmarks.profile "${profile[@]}"
if "$python" -c 'import pytest' 2>/dev/null; then
    # Not the project's configuration and fixtures, which need the whole development environment.
    step tests 45 "$python" -m pytest -q -c /dev/null --rootdir . --noconftest \
        -p no:cacheprovider tests/encoder/test_cuda.py
else
    echo "== tests are left out: no pytest here"
fi

if [ -n "${OUT:-}" ]; then
    mkdir -p "$OUT"
    cp -r benchmarks/results "$logs" "$OUT"
fi
if [ ${#failed[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${failed[@]}"
    exit 1
fi
