# Shared by the scripts that build images from Debian packages. POSIX sh, sourced; every path is absolute.
#
# A build script is run as `sh -eu SCRIPT SCRIPT_DIR OUT_DIR WORK_DIR`: SCRIPT_DIR holds all of nestvisor's files (this
# one, and those that go into the image), OUT_DIR takes the result, WORK_DIR is scratch space on the same file system.
# On standard output it speaks to nestvisor in lines:
#   nestvisor-progress: TEXT   what is being done now
#   nestvisor-error: TEXT      why the build failed (the last one counts), and
#   nestvisor-hint: TEXT       what the user can do about it
# Everything else goes to the build's log.

export LC_ALL=C DEBIAN_FRONTEND=noninteractive
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
umask 022

progress() {
	printf 'nestvisor-progress: %s\n' "$*"
}

# fail TEXT HINT
fail() {
	printf 'nestvisor-error: %s\nnestvisor-hint: %s\n' "$1" "$2"
	exit 1
}

# need PROGRAM PACKAGE: the program must be there.
need() {
	command -v "$1" >/dev/null || fail "the program $1 is missing" "apt-get install $2"
}

need_debian() {
	need apt-get apt
	need apt-cache apt
	need dpkg-deb dpkg
	[ "$(dpkg --print-architecture)" = amd64 ] ||
		fail "images are made for amd64, and this machine is $(dpkg --print-architecture)" \
			'use an image of your own: image: /path/to/disk.qcow2'
}

# Whether apt knows a package at all; without package lists it knows none, so they are fetched once.
need_package_lists() {
	apt-cache show --no-all-versions "$1" >/dev/null 2>&1 && return
	progress 'fetching the lists of Debian packages (apt-get update)'
	apt-get -q update >&2 || fail 'apt-get update failed' 'see what it says: apt-get update'
	apt-cache show --no-all-versions "$1" >/dev/null 2>&1 ||
		fail "apt knows no package $1" "add Debian 12 to /etc/apt/sources.list.d and run: apt-get update"
}

# fetch LOG PACKAGE...: into the current folder.
fetch() {
	fetch_log=$1
	shift
	fetch_status=0
	apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=0 -o Acquire::http::Timeout=20 \
		-o Acquire::https::Timeout=20 download "$@" >"$fetch_log" 2>&1 || fetch_status=$?
	cat "$fetch_log" >&2
	return $fetch_status
}

# need_mirror PACKAGE: without a network apt would ask for each name for minutes. Behind a proxy it asks for none.
need_mirror() {
	[ -z "${http_proxy:-}${https_proxy:-}" ] && ! apt-config dump | grep -qi '^Acquire::https*::Proxy' || return 0
	mirror=$(apt-get -qq --print-uris download "$1" | sed -n "s|^'https*://\([^/:]*\)[/:].*|\1|p")
	[ -z "$mirror" ] || timeout 20 getent ahosts "$mirror" >/dev/null ||
		fail "no way to the Debian mirror: the name $mirror cannot be resolved" \
			'packages are fetched once; with a network, run: nestvisor image micro (and debian-12)'
}

# download DIR PACKAGE...: fetches the candidate versions. Lists that are too old name files that are gone: one retry.
download() {
	download_dir=$1
	shift
	need_mirror "$1"
	mkdir -p "$download_dir"
	cd "$download_dir"
	if ! fetch "$download_dir.log" "$@"; then
		progress 'fetching the lists of Debian packages anew (apt-get update)'
		apt-get -q update >&2 || true
		fetch "$download_dir.log" "$@" ||
			fail "apt-get could not download: $*" 'check the network and /etc/apt/sources.list.d, then run: apt-get update'
	fi
	cd /
}

# unpack DEB_DIR TREE: every package in it, side by side, into a tree with a merged /usr.
unpack() {
	skeleton "$2"
	unpack_pids=
	for deb in "$1"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$2" --keep-directory-symlink --exclude './usr/share/doc' \
			--exclude './usr/share/man' --exclude './usr/share/locale' &
		unpack_pids="$unpack_pids $!"
	done
	for pid in $unpack_pids; do
		wait "$pid" || fail "unpacking the packages in $1 failed" 'see the build log; a full disk is the usual reason'
	done
}

# versions DEB_DIR...: "package version" of every package, sorted.
versions() {
	find "$@" -name '*.deb' | sed 's|.*/||; s|_[^_]*\.deb$||; s|_| |; s|%3a|:|' | sort
}

# kernel_package: the package that linux-image-cloud-amd64 stands for today.
kernel_package() {
	apt-cache depends --no-recommends --no-suggests linux-image-cloud-amd64 |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

# kernel BZIMAGE OUT_DIR: the compressed kernel, and the ELF inside it, which boots by PVH without decompressing itself.
# A Debian kernel is compressed by LZ4 in its legacy frame, magic 02 21 4c 18; what follows the frame is no frame again,
# which lz4 complains about after having written everything, so its result is judged by the ELF header.
kernel() {
	cp "$1" "$2/bzImage"
	offset=$(grep -abom 1 "$(printf '\002\041\114\030')" "$1" | head -n 1 | cut -d : -f 1)
	[ -n "$offset" ] || fail "no LZ4 payload found in $1" 'the kernel package changed its compression; please report it'
	tail -c "+$((offset + 1))" "$1" | lz4 -dc >"$2/vmlinux" 2>/dev/null || true
	[ "$(head -c 4 "$2/vmlinux" | tail -c 3)" = ELF ] ||
		fail "unpacking the kernel of $1 gave no ELF file" 'the kernel package changed its compression; please report it'
}

# skeleton ROOT: the folders of a system with a merged /usr.
skeleton() {
	mkdir -p "$1/usr/bin" "$1/usr/sbin" "$1/usr/lib/x86_64-linux-gnu" "$1/usr/lib64" "$1/usr/lib/nestvisor" "$1/etc"
	for name in bin sbin lib lib64; do
		[ -L "$1/$name" ] || ln -s "usr/$name" "$1/$name"
	done
}

# install_file TREE PATH ROOT: one file of the packages.
install_file() {
	[ -f "$1/usr/$2" ] || fail "no $2 in the packages" 'they changed; please report it'
	mkdir -p "$3/usr/${2%/*}"
	cp -L --preserve=mode "$1/usr/$2" "$3/usr/$2"
}

# run_in_tree TREE ARG...: a program of the packages, with their libraries and their loader. It starts in the tree, and a
# program named relative to that is found there.
run_in_tree() (
	cd "$1"
	shift
	exec usr/lib64/ld-linux-x86-64.so.2 --inhibit-cache --library-path usr/lib/x86_64-linux-gnu "$@"
)

# loaded_libraries TREE PROGRAM...: "soname path" of all that the loader would load for the programs (ld.so(8)); the path is
# absolute where the tree lacks the library and the running system has it, and "not found" where neither has.
loaded_libraries() {
	loaded_tree=$1
	shift
	for program in "$@"; do
		LD_TRACE_LOADED_OBJECTS=1 run_in_tree "$loaded_tree" "$program"
	done | sed -n 's|^[[:space:]]*\([^/ ]*\) => \(.*\)|\1 \2|p' | sed 's| (0x[0-9a-f]*)$||' | sort -u
}

# missing_libraries TREE PROGRAM...: sonames that the programs need and the tree has not.
missing_libraries() {
	loaded_libraries "$@" | sed -n 's/ \/.*//p; s/ not found$//p'
}

# library_packages SONAME...: the packages they come in, by Debian's rule for the names of library packages (Debian Policy
# 8.1): the soname without ".so.", but for hyphens. t64 is the suffix of the transition to a 64-bit time_t.
library_packages() {
	printf '%s\n' "$@" >sonames
	apt-cache pkgnames lib >names
	awk '
		function squeeze(name) { gsub(/[-_]/, "", name); return tolower(name) }
		NR == FNR {
			if ($1 ~ /^libz\.so/) print "zlib1g"
			else if ($1 ~ /^lib(m|dl|rt|pthread|resolv|util)\.so|^libnss_/) print "libc6"
			else if ($1 ~ /^lib(gmodule|gobject|gio|gthread)-2\.0\.so/) want["libglib2.00"] = 1
			else { name = $1; sub(/\.so\./, "", name); want[squeeze(name)] = 1 }
			next
		}
		{ name = squeeze($1); if (name in want) plain[name] = $1; sub(/t64$/, "", name); if (name in want) found[name] = $1 }
		END { for (name in found) print name in plain ? plain[name] : found[name] }
	' sonames names | sort -u
}

# fetch_libraries TREE WORK PROGRAM...: downloads and unpacks library packages until the programs need no more. What no package
# is found for is left to install_libraries, which takes the running system's.
fetch_libraries() {
	fetch_tree=$1 fetch_work=$2 fetch_round=0 fetch_before=
	shift 2
	while :; do
		cd "$fetch_work"
		sonames=$(missing_libraries "$fetch_tree" "$@")
		[ -n "$sonames" ] && [ "$sonames" != "$fetch_before" ] || break
		fetch_before=$sonames fetch_round=$((fetch_round + 1))
		packages=$(library_packages $sonames)
		[ -n "$packages" ] || break
		download "$fetch_work/libraries.$fetch_round" $packages
		unpack "$fetch_work/libraries.$fetch_round" "$fetch_tree"
	done
	cd /
}

# install_libraries TREE ROOT PROGRAM...: what the programs need, each under its soname, unless BASE (a root that this one goes
# on top of) has it. A library that no package was found for is the running system's.
install_libraries() {
	libraries_tree=$1 libraries_root=$2
	shift 2
	loaded_libraries "$libraries_tree" "$@" >"$libraries_root.libraries"
	while read -r soname from; do
		to=usr/lib/x86_64-linux-gnu/$soname
		[ "$from" != 'not found' ] || fail "the shared library $soname is missing" 'please report it'
		[ -e "$libraries_root/$to" ] || [ -e "${BASE:-/nonexistent}/$to" ] ||
			(cd "$libraries_tree" && cp -L --preserve=mode "$from" "$libraries_root/$to")
	done <"$libraries_root.libraries"
	rm "$libraries_root.libraries"
}

# install_modules TREE VERSION ROOT NAME...: the modules, by name or as a pattern such as nft_*, and what they depend on. In
# a name, - and _ are the same. A module built into the kernel has no file and needs none.
install_modules() {
	modules=$1/lib/modules/$2 modules_to=$3/usr/lib/modules/$2 modules_base=${BASE:-/nonexistent}/usr/lib/modules/$2
	shift 3
	mkdir -p "$modules_to"
	find "$modules/kernel" -name '*.ko' -exec grep -azH '^depends=' '{}' + | tr '\0' '\n' >"$modules.depends"
	set -f
	printf '%s\n' $* >"$modules.wanted"
	set +f
	awk '
		function plain(name) { sub(/.*\//, "", name); sub(/\.ko$/, "", name); gsub(/-/, "_", name); return name }
		function take(name,    i, n, needs) {
			if (name in taken) return
			taken[name] = 1
			if (!(name in file)) return
			n = split(depends[name], needs, ",")
			for (i = 1; i <= n; i++) take(plain(needs[i]))
			print file[name]
		}
		FILENAME ~ /\.builtin$/ { builtin[plain($0)] = 1; next }
		FILENAME ~ /\.depends$/ {
			split($0, part, ":depends=")
			file[plain(part[1])] = part[1]
			depends[plain(part[1])] = part[2]
			next
		}
		{
			pattern = plain($0)
			found = pattern in builtin
			gsub(/\*/, ".*", pattern)
			for (name in file) if (name ~ "^" pattern "$") wanted[name] = found = 1
			if (!found) { print "no module " $0 > "/dev/stderr"; failed = 1 }
		}
		END { for (name in wanted) take(name); exit failed }
	' "$modules/modules.builtin" "$modules.depends" "$modules.wanted" >"$modules.files" ||
		fail "the kernel $modules_version lacks modules" 'see the log above; please report it'
	while read -r module; do
		[ -e "$modules_base/${module##*/}" ] || install_module "$module" "$modules_to/${module##*/}"
	done <"$modules.files"
}

# install_module FROM TO: without its signature, unless KEEP_SIGNATURES is 1. Checking that costs more than loading the module
# where the CPU is emulated, and without Secure Boot this kernel does not insist on it. A signed module ends in: signature, its
# length as 32 bits big endian, a magic line of 28 bytes (Documentation/admin-guide/module-signing.rst; struct module_signature
# is 12 bytes).
install_module() {
	cp "$1" "$2"
	[ "${KEEP_SIGNATURES:-0}" = 0 ] || return 0
	[ "$(tail -c 28 "$1" | tr '\n' .)" = '~Module signature appended~.' ] || return 0
	set -- "$2" $(tail -c 32 "$1" | od -An -N4 -tu1)
	truncate -s "-$(($2 * 16777216 + $3 * 65536 + $4 * 256 + $5 + 40))" "$1"
}

# index_modules TREE VERSION ROOT [BASE]: the tables by which modprobe and the kernel find the modules of ROOT, and of the root that
# it goes on top of. Made by depmod of the busybox that was fetched, so that this machine needs none.
index_modules() {
	index_root=${4:-$3} index_folder=usr/lib/modules/$2
	cp "$1/$index_folder/modules.builtin" "$3/$index_folder/"
	if [ -n "${4-}" ]; then
		index_root=$3.index
		mkdir -p "$index_root/$index_folder"
		cp "$4/$index_folder"/* "$index_root/$index_folder/"
		cp "$3/$index_folder"/* "$index_root/$index_folder/"
		ln -s usr/lib "$index_root/lib"
	fi
	run_in_tree "$1" usr/bin/busybox depmod -b "$index_root" "$2"
	if [ -n "${4-}" ]; then
		cp "$index_root/$index_folder"/modules.* "$3/$index_folder/"
		rm -r "$index_root"
	fi
}
