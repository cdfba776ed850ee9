#!/bin/bash
# Three layers of guests (L3) under emulated SVM, and a plan of four.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
nestvisor=$(readlink -f "$1")
work=$(mktemp -d /run/test/lab.XXXXXX)
cd "$work" || exit 1
nv() { "$nestvisor" "$@"; }
cat > deep.nest.yaml <<'EOF'
lab: deep
networks: {n1: {subnet: 10.101.0.0/24}}
guests:
  g1:
    cpus: 2
    memory: 1536M
    nics: [{network: n1, address: 10.101.0.2}]
    networks: {n2: {subnet: 10.102.0.0/24, uplink: route}}
    guests:
      g2:
        memory: 640M
        nics: [{network: n2, address: 10.102.0.2}]
        networks: {n3: {subnet: 10.103.0.0/24, uplink: route}}
        guests:
          g3: {memory: 128M, nics: [{network: n3, address: 10.103.0.2}]}
EOF
check "up with guests at three layers" nv up
check "L3 runs a command" says Linux nv exec g1/g2/g3 -- uname -s
check "L3 has its address" says 10.103.0.2 nv exec g1/g2/g3 -- ip address
check "L0 pings L3" nv exec L0 -- ping -c2 -W5 10.103.0.2
check "L3 pings L0's gateway" nv exec g1/g2/g3 -- ping -c2 -W5 10.101.0.1
check "a file in L3's memory" nv exec g1/g2/g3 -- sh -c 'echo first > /tmp/x'
check "a snapshot of L3, which L2 takes" nv snapshot g1/g2/g3 one
check "L0 lists it" says "g1/g2/g3" nv snapshots
check "the file is another" nv exec g1/g2/g3 -- sh -c 'echo second > /tmp/x'
check "back to the snapshot" nv restore g1/g2/g3 one
check "the file is as it was" says first nv exec g1/g2/g3 -- cat /tmp/x
check "a guest with guests has none" says "snapshots of a whole stack" nv snapshot g1/g2 one
check "status sees all three" bash -c "[ \$($nestvisor status --json | grep -o '\"state\": *\"running\"' | wc -l) = 3 ]"
check "doctor in L2 sees nesting, handed on by L1" found g1/g2 kvm.nested pass kvm_amd nv exec g1/g2 -- nestvisor doctor --json
check "doctor in L2 sees that KVM works there" found g1/g2 kvm.boot pass "g1/g2/g3 runs under KVM" nv exec g1/g2 -- nestvisor doctor --json
check "down" nv down
check "leaves nothing" clean
check "a lab of four layers of guests is planned" status 3 nv plan "$here/../../examples/deep.nest.yaml"
finish
