# For tests whose guests boot by UEFI, beside check.sh. Sourced.

# boot_disk DISK MEGABYTES [FROM TO]…: a disk with one partition that firmware looks into, and those files on it.
boot_disk() {
	local disk=$1 sectors=$(($2 * 2048)) begins=2048 at="$1@@1M"
	shift 2
	truncate -s $(((begins + sectors) * 512)) "$disk"
	# in use, no cylinders, type 0xef (UEFI 2.10, 5.2.2 and 13.3.3); the numbers of sectors with their low byte first
	printf "$(printf '\\200\\377\\377\\377\\357\\377\\377\\377'
		for number in $begins $sectors; do
			for shift in 0 8 16 24; do printf '\\%03o' $((number >> shift & 255)); done
		done)" | dd of="$disk" bs=1 seek=446 conv=notrunc status=none
	printf '\125\252' | dd of="$disk" bs=1 seek=510 conv=notrunc status=none
	mformat -i "$at" -T $sectors -H $begins :: && mmd -i "$at" ::/EFI ::/EFI/BOOT ::/EFI/debian || return 1
	while [ $# -ge 2 ]; do
		mcopy -i "$at" "$1" "::$2" || return 1
		shift 2
	done
}

# changed_loader LOADER OUT: the same but for one byte, so that its signature fits no more.
changed_loader() {
	cp "$1" "$2"
	printf 'X' | dd of="$2" bs=1 seek=$(($(stat -c %s "$1") / 2)) conv=notrunc status=none
	[ "$(cmp -l "$1" "$2" | wc -l)" = 1 ]
}

# png WIDTH HEIGHT FILE: a PNG that says it has this size.
png() {
	[ "$(od -An -v -tx1 -N 24 "$3" | tr -d ' \n')" = "$(printf '89504e470d0a1a0a0000000d49484452%08x%08x' "$1" "$2")" ]
}
