#!/bin/bash
# Everything that needs a GPU, in one command and under 9 minutes: see benchmarks/gpu.py.
#
#   benchmarks/gpu.sh                            results go into benchmarks/results/
#   OUT=folder benchmarks/gpu.sh                 and, with the logs, into folder/results.tar.gz
#   STEPS="encoder serving" benchmarks/gpu.sh    these steps alone
#   DEVICE=cpu QUICK=1 benchmarks/gpu.sh         a dry run without a GPU; its results are not kept
set -eu
cd "$(dirname "$0")/.."
exec "${PYTHON:-python3}" -m benchmarks.gpu
