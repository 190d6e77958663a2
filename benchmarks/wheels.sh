#!/bin/bash
# Fetch what the server needs and a GPU machine lacks into wheels/, which git ignores: about 14 MB.
# benchmarks/gpu.sh installs from there without a network, into a folder that it throws away.
#
#   benchmarks/wheels.sh                       for Python 3.12 on x86-64 Linux
#   PYTHON_VERSION=3.11 benchmarks/wheels.sh   for another Python
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
version=${PYTHON_VERSION:-3.12}

# The versions are pyproject.toml's. What comes with torch and its kin is left out.
wanted=$("$python" - <<'END'
import re
import tomllib

THERE = {"matplotlib", "numpy", "pillow", "safetensors", "scikit-image", "torch"}
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
tests = [one for one in project["optional-dependencies"]["dev"] if one.startswith("pytest")]
for requirement in [*project["dependencies"], *tests]:
    pin = requirement.partition(";")[0].strip()
    if re.match(r"[\w-]+", pin)[0] not in THERE:
        print(pin)
END
)
platforms=()
for glibc in 17 24 27 28 31 34 35; do platforms+=(--platform "manylinux_2_${glibc}_x86_64"); done

rm -rf wheels
# shellcheck disable=SC2086  # one word a requirement
"$python" -m pip download --quiet --dest wheels --only-binary=:all: --implementation cp \
    --python-version "$version" "${platforms[@]}" --platform manylinux2014_x86_64 $wanted
# What others of them ask for and is there.
rm -f wheels/{numpy,pillow,torch}-*.whl
du -sh wheels
