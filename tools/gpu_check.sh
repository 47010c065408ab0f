#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything that only a GPU can show: the tests marked gpu, then the benches. Installs nothing: it runs on any machine
# whose Python has torch, pytest, hypothesis, rich, matplotlib and Patina3D, with this repository beside it.
#
#     tools/gpu_check.sh [OPERATOR]
#
# PYTHON names the Python. OUT, where set, receives the test report and a copy of benches/results.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
operator=${1:-}
out=${OUT:-out/gpu}
mkdir -p "$out"

"$python" - <<'END' || exit 1
import sys
import torch
from patina3d.core import doctor
report = doctor()
print(f"torch {report['torch']}, driver {report['driver']}: {report['gpu']}")
sys.exit(not (torch.cuda.is_available() and report["gpu"].startswith("The GPU can be used")))
END

failed=0
"$python" -m pytest -m gpu -k "$operator" --junitxml "$out/gpu-tests.xml" || failed=1
# shellcheck disable=SC2086 # no operator is no argument
"$python" benches/run.py --device cuda $operator || failed=1
cp -r benches/results "$out/"
exit $failed
