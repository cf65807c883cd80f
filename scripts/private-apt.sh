# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Functions to use suites of Debian that the machine itself does not: with them apt
# works in a directory of the cache, and its own configuration stays as it is. Source it
# after debian.sh.

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# mirror: print the URI of the mirror of Debian that this machine uses already.
mirror()
{
	local uri

	# shellcheck disable=SC2016 # apt's variables
	uri=$(apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
		awk -F'|' '$1 == "Debian" && $2 == "main" && $3 !~ /^cdrom:/ && !n++ { print $3 }')
	[ -n "$uri" ] || die "apt knows no mirror of Debian: is this Debian 12 or 13, with package lists (apt-get update)?"
	echo "$uri"
}

need_keyring()
{
	[ -e "$keyring" ] || die "needs $keyring: install the Debian package debian-archive-keyring"
}

# use_suite SUITE: from here on apt's commands know that suite of the machine's own mirror,
# and nothing else. Sets apt_dir, where it keeps what it knows. APT_CONFIG is how they all,
# and what calls them, are told.
use_suite()
{
	local uri

	need_keyring
	uri=$(mirror)
	suite=$1
	apt_dir=$(cache_dir)/apt-$suite-lists
	mkdir -p "$apt_dir"/{lists,archives}/partial
	# Others may read both at this moment.
	printf "%s [signed-by=$keyring] $uri $suite main\n" deb deb-src > "$apt_dir/sources.list.$$"
	mv "$apt_dir/sources.list.$$" "$apt_dir/sources.list"
	cat > "$apt_dir/apt.conf.$$" <<-END
		Dir::Etc::sourcelist "$apt_dir/sources.list";
		Dir::Etc::sourceparts "-";
		Dir::State::lists "$apt_dir/lists";
		Dir::Cache::archives "$apt_dir/archives";
		Dir::Cache::pkgcache "";
		Dir::Cache::srcpkgcache "";
		Acquire::Languages "none";
		Acquire::Retries "2";
		$([ "$(id -u)" -ne 0 ] || echo 'APT::Sandbox::User "root";')
	END
	mv "$apt_dir/apt.conf.$$" "$apt_dir/apt.conf"
	export APT_CONFIG=$apt_dir/apt.conf
}

# update_suite: fetch its package lists. A mirror need not have each suite, so where that fails it ends with the
# status of what is not to be had.
update_suite()
{
	log "fetching the package lists of $suite"
	# By itself apt takes what it cannot fetch for a mere warning.
	run_apt apt-get -o APT::Update::Error-Mode=any update && return
	log "no package lists of $suite: is there a network, and does the mirror have that suite?"
	exit "${status_none:?}"
}

# newest PACKAGE...: print "NAME VERSION" of each, as the suite's lists have them; it ends at one that they have not.
newest()
{
	local name version

	for name; do
		version=$(LC_ALL=C apt-cache policy "$name" | sed -n 's/^  Candidate: \([^(]*\)$/\1/p')
		[ -n "$version" ] || return 0
		echo "$name $version"
	done
}

# find_newest PACKAGE...: set versions to the same, after the lists were fetched if need be. Where the mirror has not
# all of them that is said, and the status is 1.
find_newest()
{
	versions=$(newest "$@")
	[ "$(grep -c . <<<"$versions")" -lt $# ] || return 0
	update_suite
	versions=$(newest "$@")
	[ "$(grep -c . <<<"$versions")" -lt $# ] || return 0
	log "the mirror's $suite has no $1"
	return 1
}

# suite_failed WHAT: it could not be fetched. Old lists name what the mirror no longer has.
suite_failed()
{
	rm -rf "$apt_dir"
	die "cannot fetch $1: is there a network? If there is, try again, with fresh package lists"
}
