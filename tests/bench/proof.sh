#!/bin/bash
# proof.sh NESTVISOR WHOLE_PROCESS: `reach` of a real firewall and of made-up labs, `path` through real and sample stacks, and `verify`
# of labs that ran, each as a whole process.
set -eu
here=$(dirname "$(readlink -f "$0")")
nestvisor=$(readlink -f "$1")
whole_process=$(readlink -f "$2")
shared=$here/../../../shared
data=${NESTVISOR_DATA:-$shared/data}
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

measure() { "$whole_process" "$@"; }

firewall=$data/net-network/configs_chair_for_Network_Architectures_and_Services/iptables-save-2015-05-15_15-23-41
if [ -e "$firewall" ]; then
	mkdir "$folder/firewall"
	cp "$firewall" "$folder/firewall/iptables-save.txt"
	reach=("$nestvisor" reach --facts "$folder/firewall" --hook forward --proto tcp)
	measure 150 120 'reach: 4,840 rules, service matrices of two ports' "${reach[@]}" --port 22 --port 80
	measure 0 0 'reach: the same, one port' "${reach[@]}" --port 443
	measure 0 0 'reach: the same, whether by any port' "${reach[@]}"
	echo '  others, as measured once for the same rules and ports: fffuu 41.0 s; NetPlumber 7.1 s to load, then 82-245 ms a source;'
	echo '  iptables-restore 155 ms only to load them'
else
	echo "skipped: $firewall is missing"
fi

stack=$here/../data/kernel-sample/0006/hosts
measure 5 0 'path: a stack of six hosts' "$nestvisor" path --facts "$stack" --from l2 --to 203.0.113.254 --proto tcp --port 8080
capture=$shared/captures/wsl2-nested
if [ -e "$capture" ]; then
	measure 5 0 'path: hosts of libvirt, as captured' "$nestvisor" path --facts "$capture" --from wsl2 --to vm2 --proto tcp --port 22
	measure 0 0 'why: the same' "$nestvisor" why --facts "$capture" --from wsl2 --to vm2 --proto tcp --port 22
	measure 0 0 'fix: the same' "$nestvisor" fix --facts "$capture" --from wsl2 --to vm2 --proto tcp --port 22
else
	echo "skipped: $capture is missing"
fi

for kind in routed flat; do
	"$here/reach-lab.py" "$folder/$kind" --hosts 200 --rules 50 $([ $kind = flat ] && echo --flat)
done
measure 1000 0 'reach: the matrix of 200 hosts of 50 rules, 14 bridges' "$nestvisor" reach --facts "$folder/routed"
measure 1000 256 'reach: the same, one bridge' "$nestvisor" reach --facts "$folder/flat"

labs=$here/../fixtures
lab_verify() { # MS WHAT FIXTURE
	measure "$1" 0 "$2" "$nestvisor" verify "$labs/$3/first.nest.yaml" --facts "$labs/$3"
}
lab_verify 100 'verify: the first lab, a guest cut; its facts are read, too' verify
lab_verify 100 'verify: with published ports and two guests cut' published
