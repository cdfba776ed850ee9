#!/bin/bash
# The program's size, and the shared libraries that a hypervisor guest must carry for it.
set -eu
strip -o nestvisor.stripped "$1"
echo "nestvisor, stripped: $(stat -c %s nestvisor.stripped) bytes (at most 1048576)"
echo "shared libraries: $(ldd nestvisor.stripped | awk '/=>/{print $1}' | sort | tr '\n' ' ')"
