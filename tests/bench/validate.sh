#!/bin/bash
# `validate` of a lab of 1,000 L1s with 20 L2s each: time and memory of the whole process.
set -eu
here=$(dirname "$(readlink -f "$0")")
nestvisor=$(readlink -f "$1")
"$here/gen-lab" 1000 20 > big.nest.yaml
"$2" 500 200 'validate: 1,000 x 20 guests' "$nestvisor" validate --no-host big.nest.yaml
