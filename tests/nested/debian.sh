#!/bin/bash
# A normal system as hypervisor and as guest: debian-12 at L1, debian-12 and micro below it, disks on overlays.
# One CPU: of a hypervisor whose two CPUs run guests at once, emulation (QEMU 7.2) resets one now and then.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
nestvisor=$(readlink -f "$1")
work=$(mktemp -d /run/test/lab.XXXXXX)
cd "$work" || exit 1
nv() { "$nestvisor" "$@"; }
cat > debian.nest.yaml <<'EOF'
lab: debian
networks:
  lab: {subnet: 192.168.122.0/24, uplink: nat, dns: true}
guests:
  hv:
    image: debian-12
    cpus: 1
    cpu-overcommit: 2
    memory: 1536M
    nics: [{network: lab, address: 192.168.122.10}]
    networks:
      inner: {subnet: 192.168.124.0/24, uplink: route}
    guests:
      d: {image: debian-12, memory: 384M, nics: [{network: inner, address: 192.168.124.20}]}
      m: {memory: 128M, nics: [{network: inner, address: 192.168.124.21}]}
EOF
check "up with debian-12 at two layers" nv up
check "L1 is a Debian with systemd" says systemd nv exec hv -- readlink /proc/1/exe
check "L2 is a Debian with systemd" says systemd nv exec hv/d -- readlink /proc/1/exe
check "L2's root is a disk" says ext4 nv exec hv/d -- grep ' / ' /proc/mounts
check "the base image went down as a read-only disk" says 1 nv exec hv -- sh -c 'cat /sys/block/vd*/ro'
check "L0 reaches the Debian L2" nv exec L0 -- ping -c1 -W5 192.168.124.20
check "L0 reaches the micro L2" nv exec L0 -- ping -c1 -W5 192.168.124.21
check "ssh into the Debian L1" says Linux nv ssh hv -- uname -s
check "ssh into the Debian L2" says Linux nv ssh hv/d -- uname -s
nv exec hv/d -- sh -c 'echo kept > /root/kept && sync'
check "a change that restarts L2 keeps its disk" bash -c "sed -i 's/384M/400M/' debian.nest.yaml && $nestvisor up && $nestvisor exec hv/d -- cat /root/kept | grep -q kept"
check "down" nv down
check "leaves nothing" clean
finish
