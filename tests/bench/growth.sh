#!/bin/bash
# growth.sh BENCH_VERIFY WHOLE_PROCESS NESTVISOR: how time and memory grow with rules, and with hosts those of `reach` over
# a lab; growth.tsv and growth.svg are left in this folder.
set -eu
here=$(dirname "$(readlink -f "$0")")
data=${NESTVISOR_DATA:-$here/../../../shared/data}/classbench-ip6tables
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
{
	"$1" growth
	for rules in 1000 5000 15000; do
		[ -e "$data/fw1_$rules.fw" ] || continue
		{
			echo '*filter'
			echo ':FORWARD DROP [0:0]'
			sed -n 's/^ip6tables -A/-A/p' "$data/fw1_$rules.fw"
			echo COMMIT
		} > "$folder/ip6tables-save.txt"
		"$1" grown 'ClassBench fw1' "$folder/ip6tables-save.txt" || echo "left out: ClassBench fw1 of $rules rules" >&2
	done
	for hosts in 25 50 100 200; do
		"$here/reach-lab.py" "$folder/$hosts" --hosts $hosts
		"$2" --table 'hosts of 50 rules, reach' $hosts "$3" reach --facts "$folder/$hosts"
	done
} | tee growth.tsv
"$here/plot" < growth.tsv > growth.svg
echo "drawn in $PWD/growth.svg"
