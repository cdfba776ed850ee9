#!/bin/bash
# `nestvisor up` of the first lab, warm cache, to both L2s answering, in turn with the same by hand; then what nestvisor's
# own processes cost, and what the commands cost once everything runs. first-lab.sh NESTVISOR WHOLE_PROCESS [RUNS]
set -eu
here=$(dirname "$(readlink -f "$0")")
nestvisor=$(readlink -f "$1") runs=${3:-5}
lab=$here/../../examples/first.nest.yaml
image=$(mktemp /run/test/image.XXXXXX)
"$nestvisor" image micro --json > "$image"
ms() { local t=$(date +%s%N); "$@" >/dev/null 2>&1; echo $((($(date +%s%N) - t) / 1000000)); }
median() { sort -n | awk '{v[NR]=$1} END {print v[int((NR+1)/2)]}'; }

: > up.ms; : > hand.ms
for run in $(seq "$runs"); do
	up=$(ms "$nestvisor" up "$lab"); "$nestvisor" down first >/dev/null 2>&1
	hand=$("$here/first-lab-by-hand" "$image" 2>/dev/null)
	echo "$up" >> up.ms; echo "$hand" >> hand.ms
	echo "run $run: nestvisor up $up ms, by hand $hand ms, ratio $(awk "BEGIN{printf \"%.3f\", $up/$hand}")"
done
up=$(median < up.ms) hand=$(median < hand.ms)
echo "first lab to both L2s answering, median of $runs: nestvisor $up ms, by hand $hand ms, ratio $(awk "BEGIN{printf \"%.3f\", $up/$hand}") (at most 1.05)"

python3 - "$nestvisor" "$lab" <<'EOF'
import resource, subprocess, sys, time
nestvisor, lab = sys.argv[1:]
def usage():
    u = resource.getrusage(resource.RUSAGE_CHILDREN)
    return u.ru_utime + u.ru_stime
def run(*argv):
    before, t = usage(), time.monotonic()
    subprocess.run([nestvisor, *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return usage() - before, (time.monotonic() - t) * 1000
cpu, _ = run("up", lab)
print(f"CPU time of nestvisor at L0 during that up: {cpu:.3f} s (at most 0.3)")
for limit, argv in ((50, ("up", lab)), (20, ("status", "first"))):
    ms = sorted(run(*argv)[1] for _ in range(21))
    print(f"{argv[0]} when all runs, whole process: median {ms[10]:.1f} ms, {ms[0]:.1f} to {ms[-1]:.1f} (at most {limit})")
ms = sorted(run("exec", "--lab", "first", "hv1", "--", "true")[1] for _ in range(21))
print(f"exec in L1: median {ms[10]:.1f} ms")
ms = sorted(run("exec", "--lab", "first", "hv1/a", "--", "true")[1] for _ in range(11))
print(f"exec in L2: median {ms[5]:.1f} ms")
t = time.monotonic(); run("down", "first"); print(f"down: {(time.monotonic() - t) * 1000:.0f} ms")
EOF
