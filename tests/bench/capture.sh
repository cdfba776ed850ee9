#!/bin/bash
# A host with 5,000 rules: how long capture takes, and how long loading what it wrote.
set -eu
nestvisor=$(readlink -f "$1")
{
	echo 'table inet filter {'
	echo '	chain forward { type filter hook forward priority 0; policy drop;'
	for i in $(seq 0 2499); do
		ports=$((1000 + i))
		[ $((i % 20)) != 0 ] || ports="{ 22, $ports }" # nft asks the kernel for each set
		echo "		ip saddr 10.$((i / 250)).$((i % 250)).0/24 ip daddr 192.168.$((i % 256)).0/24 tcp dport $ports ct state new counter accept comment \"rule $i\""
	done
	echo '	}'
	echo '}'
} | nft -f -
{
	echo '*filter'
	for i in $(seq 0 2499); do
		echo "-A FORWARD -s 10.$((i / 250)).$((i % 250)).0/24 -d 172.16.$((i % 256)).0/24 -p tcp -m multiport --dports 22,$((1000 + i)) -m conntrack --ctstate NEW -j ACCEPT"
	done
	echo 'COMMIT'
} | iptables-nft-restore
python3 - "$nestvisor" <<'EOP'
import json, os, resource, subprocess, sys, time

def cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

def run(*argv, times=7):
    """Medians of the time that went by and of the CPUs' time, which says more on a busy machine."""
    seconds, busy = [], []
    for _ in range(times):
        start, before = time.monotonic(), cpu()
        out = subprocess.run([sys.argv[1], *argv], check=True, capture_output=True).stdout
        seconds.append(time.monotonic() - start)
        busy.append(cpu() - before)
    return sorted(seconds)[times // 2], sorted(busy)[times // 2], out

start = time.monotonic()
subprocess.run(["nft", "-a", "list", "ruleset"], check=True, capture_output=True)
nft = time.monotonic() - start
captured, captured_cpu, _ = run("capture", "-q", "--force", "-o", "bundle.tar")
_, _, out = run("facts", "--facts", "bundle.tar", "--stats", "--json", times=1)
loaded, loaded_cpu, _ = run("facts", "--facts", "bundle.tar", "--stats")
stats = json.loads(out)["stats"]
print(f"capture of a host with 5,000 rules: median {captured:.3f} s (at most 0.5; nft alone {nft:.3f} s), {captured_cpu:.3f} s of CPU, {os.path.getsize('bundle.tar') / 1e6:.1f} MB")
print(f"loading it: median {loaded * 1000:.0f} ms (at most 50), {loaded_cpu * 1000:.0f} ms of CPU, {stats['rules']} rules in it, "
      f"{stats.get('fully', 0)} understood fully, {stats.get('partly', 0)} partly, {stats.get('not', 0)} not")
EOP
