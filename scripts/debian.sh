# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Functions shared by the scripts here: messages, the cache, and Debian packages
# that are used without being installed. Source it; it does nothing by itself.

log() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() { log "$*"; exit 1; }

# need_command PACKAGE COMMAND...: every command exists, or name its package.
need_command()
{
	local package=$1 command
	shift
	for command; do
		command -v "$command" >/dev/null ||
			die "needs $command: install the Debian package $package (scripts/install-packages does)"
	done
}

# cache_dir: print the cache's directory, made if missing.
cache_dir()
{
	local dir=${KVM_FPR_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set}/.cache}/kvm-fpr}

	mkdir -p "$dir" || die "cannot make the cache $dir; set KVM_FPR_CACHE to a directory that can be written"
	realpath "$dir"
}

# need_disk MIB DIR: enough room below DIR, said before anything is built.
need_disk()
{
	local free

	free=$(df --output=avail -BM "$2" | tail -n 1 | tr -dc 0-9)
	[ "$free" -ge "$1" ] || die "needs $1 MiB free in $2, has $free; make room or set KVM_FPR_CACHE"
}

# hash_inputs STRING... [-- PATH...]: a short hash of the strings and of the
# names and contents of the paths (files, or whole directories). Name what belongs
# to the checkout relative to it: its place must not change the hash.
hash_inputs()
{
	local -a strings=()

	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		strings+=("$1")
		shift
	done
	[ $# -eq 0 ] || shift
	{
		printf '%s\0' "${strings[@]}"
		[ $# -eq 0 ] || find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
	} | sha256sum | cut -c -16
}

# drop_old_entries DIR NAME: forget what no run has asked for in two weeks.
drop_old_entries()
{
	find "$1" -maxdepth 1 -name "$2-????????????????" -mtime +14 -exec rm -rf {} +
}

# cached NAME HASH FUNCTION: print the directory of the result NAME-HASH. When it
# is not there yet, FUNCTION DIR makes it, in a temporary directory that is renamed
# once complete. Only one process makes a given NAME at a time. Not to be called
# from a condition (if, ||, &&), where bash ignores errexit.
cached()
{
	local name=$1 hash=$2 make=$3 cache entry lock tmp status

	cache=$(cache_dir)
	entry=$cache/$name-$hash
	if [ ! -d "$entry" ]; then
		exec {lock}>"$cache/.$name.lock"
		flock "$lock"
		if [ ! -d "$entry" ]; then
			rm -rf "$cache/.$name."*.tmp	# of a run that was killed: the lock is ours
			tmp=$cache/.$name.$$.tmp
			mkdir "$tmp"
			# A subshell with errexit on its own, which an "if" around it
			# would turn off; what it starts does not inherit the lock.
			set +e
			(set -e; "$make" "$tmp" {lock}>&-) >&2
			status=$?
			set -e
			if [ "$status" -ne 0 ]; then
				rm -rf "$tmp"
				exit "$status"
			fi
			mv -T "$tmp" "$entry"
			drop_old_entries "$cache" "$name"
		fi
		exec {lock}>&-
	fi
	touch "$entry"
	printf '%s\n' "$entry"
}

# as_root COMMAND...
as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		die "needs root for '$*': run as root or install sudo"
	fi
}

# run_apt COMMAND ARG...: apt-get, quiet, with the last error as one line.
run_apt()
{
	local out

	out=$(LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@" 2>&1) && return
	log "${*:1:2} failed: $(grep -E '^E:' <<<"$out" | tail -n 1 || true)"
	return 1
}

# apt_update: fetch the package lists, with the machine's own configuration.
apt_update()
{
	log "updating the package lists"
	run_apt as_root apt-get -o Acquire::Retries=2 update ||
		die "cannot update the package lists: is there a network?"
}

# deb_file NAME VERSION: print the path of that .deb in the cache, downloaded if
# missing, or fail. Nothing is installed.
deb_file()
{
	local dir tmp file
	local -a opts=(-o Acquire::Retries=2)

	dir=$(cache_dir)/dl
	mkdir -p "$dir"
	file=$(find "$dir" -maxdepth 1 -name "$1_${2//:/%3a}_*.deb" -print -quit)
	if [ -z "$file" ]; then
		log "downloading $1 $2"
		# apt's own user cannot write below a home directory.
		[ "$(id -u)" -ne 0 ] || opts+=(-o APT::Sandbox::User=root)
		tmp=$(mktemp -d "$dir/.XXXXXX")
		# apt checks the signed hash; the rename makes it complete or absent.
		if ! (cd "$tmp" && run_apt apt-get "${opts[@]}" download "$1=$2"); then
			rm -rf "$tmp"
			return 1
		fi
		file=$(cd "$tmp" && echo ./*.deb)
		mv "$tmp/$file" "$dir/"
		rmdir "$tmp"
		file=$dir/${file#./}
	fi
	printf '%s\n' "$file"
}
