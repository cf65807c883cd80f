# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Functions that make a series for "git am" in a scratch repository, $tree. Source it
# after debian.sh and patches.sh.

author="kvm-fpr developers <kvm-fpr@localhost>"

# commit MESSAGE
commit()
{
	git -C "${tree:?}" add -A
	git -C "$tree" -c user.name="${author% <*}" -c user.email=kvm-fpr@localhost \
		commit -q --author="$author" -m "$1"
}

# make_base SOURCE HOOKS [FILE...]: the upstream files that the hooks change, and those named, are all it needs.
make_base()
{
	git init -q "$tree"
	(cd "$1" && { patched_files "$2"; printf '%s\n' "${@:3}"; } | xargs cp --parents -t "$tree")
	commit base
	git -C "$tree" tag base
}

# apply_hook PATCH: apply and commit it. The message is what stands between Subject and
# the line of dashes.
apply_hook()
{
	apply_patch "$1" "$tree"
	commit "$(sed -nE '/^---$/q; s/^Subject: \[PATCH\] //; s/^Subject: //; /^From: /d; p' "$1")"
}

# write_series DIR [LETTER]: write all since the base, in place of what DIR had. A cover letter, whose
# first line is its subject, becomes 0000-cover-letter, which "git am DIR/*.patch" does not take for a patch.
write_series()
{
	local letter=$1/0000-cover-letter

	mkdir -p "$1"
	rm -f "$1"/*.patch "$letter"
	git -C "$tree" -c user.name="${author% <*}" -c user.email=kvm-fpr@localhost \
		format-patch -q --no-signature ${2:+--cover-letter} -o "$(realpath "$1")" base
	if [ $# -eq 2 ]; then
		SUBJECT=$(head -n 1 "$2") BODY=$(tail -n +3 "$2") perl -pe \
			's/\Q*** SUBJECT HERE ***/$ENV{SUBJECT}/; s/\Q*** BLURB HERE ***/$ENV{BODY}/' \
			"$letter.patch" > "$letter"
		rm "$letter.patch"
	fi
	log "$(find "$1" -name '*.patch' | wc -l) patches in $1"
}
