#!/bin/bash
# `validate` of a lab of 1,000 L1s with 20 L2s each: time and memory of the whole process.
set -eu
here=$(dirname "$(readlink -f "$0")")
nestvisor=$(readlink -f "$1")
"$here/gen-lab" 1000 20 > big.nest.yaml
python3 - "$nestvisor" <<'EOF'
import os, sys, time
seconds, memory = [], 0
for _ in range(5):
    t = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open("/dev/null", os.O_WRONLY), 1); os.dup2(1, 2)
        os.execv(sys.argv[1], [sys.argv[1], "validate", "--no-host", "big.nest.yaml"])
    _, status, usage = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "validate failed"
    seconds.append(time.monotonic() - t); memory = max(memory, usage.ru_maxrss)
seconds.sort()
print(f"validate of 1,000 x 20 guests: median {seconds[2]:.3f} s (at most 0.5), {memory / 1024:.0f} MB (at most 200)")
EOF
