#!/bin/bash
# Switching guests: the whole process of `nestvisor cut` and `open` of a guest of L1, of one of L2 with both layers
# confirmed, the transaction itself, and 200 guests at once.
set -eu
here=$(dirname "$(readlink -f "$0")")
nestvisor=$(readlink -f "$1")
cp "$here/../../examples/first.nest.yaml" .
"$nestvisor" up -q
measure() { # NAME N LIMIT GUEST…
	python3 - "$nestvisor" "$@" <<'PYTHON'
import json, subprocess, sys, time
nestvisor, name, count, limit, *guests = sys.argv[1:]
whole, outer, inner, transaction = [], [], [], []
for i in range(int(count)):
    t = time.monotonic()
    out = subprocess.run([nestvisor, "cut" if i % 2 == 0 else "open", "--no-verify", "--json", *guests], check=True, capture_output=True).stdout
    whole.append((time.monotonic() - t) * 1000)
    answer = json.loads(out)
    assert answer["complete"], answer
    outer.append(answer["layers"][0]["ms"])
    inner.append(max(l["ms"] for l in answer["layers"]))
    transaction.append(answer["transaction_ms"])
def spread(values):
    values = sorted(values)
    return f"{values[len(values) // 2]:.2f} ({values[0]:.2f} to {values[-1]:.2f})"
print(f"{name}: whole process {spread(whole)} ms{limit}; in force at L0 {spread(outer)} ms; everywhere {spread(inner)} ms; "
      f"the transaction {spread(transaction)} ms")
PYTHON
}
measure "a guest of L1" 50 " (at most 10)" hv1
measure "a guest of L2" 50 "" hv1/a
"$nestvisor" down -q
