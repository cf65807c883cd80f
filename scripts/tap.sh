# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Functions that print TAP. Source it. In the end, "tap_end; exit" or "exit" with its status.

tap_number=0
tap_planned=''
tap_failed=0

# tap_plan NUMBER: how many results there will be. Without it, tap_end says how many there were.
tap_plan()
{
	tap_planned=$1
	echo "1..$1"
}

# tap_comment TEXT: something for a person.
tap_comment()
{
	echo "# ${1//$'\n'/$'\n# '}"
}

# tap_result STATUS NAME: a result, good if the status is 0.
tap_result()
{
	local result=ok

	if [ "$1" -ne 0 ]; then
		result='not ok'
		tap_failed=1
	fi
	echo "$result $((++tap_number)) - $2"
}

# tap_skip NAME REASON: a result that cannot be had here.
tap_skip()
{
	echo "ok $((++tap_number)) - $1 # SKIP $2"
}

# tap_skip_all REASON: instead of all else, where none of the results can be had.
tap_skip_all()
{
	echo "1..0 # SKIP $1"
}

# tap_check NAME COMMAND...: the result of a command; what it prints goes before it, if it fails.
tap_check()
{
	local output status=0

	output=$("${@:2}" 2>&1) || status=$?
	[ "$status" -eq 0 ] || tap_comment "$output"
	tap_result "$status" "$1"
}

# tap_end: print the plan, if none was given; 1 if anything failed.
tap_end()
{
	[ -n "$tap_planned" ] || echo "1..$tap_number"
	return "$tap_failed"
}
