# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The tables above are generated from the verb table. What follows is not, and uses them.

_fprctl_add() # WORD compgen's arguments...
{
	local word=$1

	shift
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen "$@" -- "$word")
}

# VMs that the user can see.
_fprctl_vms()
{
	fprctl list 2>/dev/null | awk 'NR > 1 { print $1 }' | sort -u
}

# Ways to a guest; behind "unix:" and "vsock-unix:" a path.
_fprctl_endpoint() # WORD
{
	local path=${1#*:} i n=${#COMPREPLY[@]}

	compopt -o filenames -o nospace 2>/dev/null
	if [[ $1 != *unix:* ]]; then
		_fprctl_add "$1" -W 'unix: vsock: vsock-unix:'
		_fprctl_add "$1" -f
		return
	fi
	_fprctl_add "$path" -f
	for ((i = n; i < ${#COMPREPLY[@]}; i++)); do
		COMPREPLY[i]=${1%%:*}:${COMPREPLY[i]}
	done
}

# What an argument such as "VM" or "raw|report" may be. Numbers are not completed.
_fprctl_argument() # WORD KINDS
{
	local kind kinds

	IFS='|' read -ra kinds <<< "$2"
	for kind in "${kinds[@]}"; do
		case $kind in
			VM) _fprctl_add "$1" -W "$(_fprctl_vms)" ;;
			FILE | PATH | TO)
				compopt -o filenames 2>/dev/null
				_fprctl_add "$1" -f
				;;
			ENDPOINT) _fprctl_endpoint "$1" ;;
			COMMAND...) _fprctl_add "$1" -c ;;
			[a-z]*) _fprctl_add "$1" -W "$kind" ;;
		esac
	done
}

# The next operand, or the options behind the last one.
_fprctl_operand() # WORD VERB FIRST: the words from FIRST on are the verb's
{
	local i n=0 kinds

	for ((i = $3; i < COMP_CWORD; i++)); do
		if [[ ${_fprctl_arguments["$2 ${COMP_WORDS[i]}"]} ]]; then
			((i++))
		elif [[ ${COMP_WORDS[i]} != -?* ]]; then
			((n++))
		fi
	done
	read -ra kinds <<< "${_fprctl_operands[$2]}"
	if [[ ${kinds[n]} ]]; then
		_fprctl_argument "$1" "${kinds[n]}"
	else
		_fprctl_add "$1" -W "${_fprctl_options[$2]}"
	fi
}

_fprctl()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]} first=2

	COMPREPLY=()
	# Bash cuts words at colons: what is behind one in a way to a guest is a path.
	if [[ $before == : && ${COMP_WORDS[COMP_CWORD - 2]} == *unix ]]; then
		compopt -o filenames 2>/dev/null
		_fprctl_add "$word" -f
		return
	fi
	if ((COMP_CWORD == 1)); then
		_fprctl_add "$word" -W "$_fprctl_verbs"
		return
	fi
	[[ $verb ]] || return
	if [[ ${_fprctl_groups["$verb"]+x} ]]; then
		if ((COMP_CWORD == 2)); then
			_fprctl_add "$word" -W "${_fprctl_groups["$verb"]}"
			return
		fi
		verb+=" ${COMP_WORDS[2]}"
		first=3
	fi
	[[ ${_fprctl_options["$verb"]+x} ]] || return
	if [[ ${_fprctl_arguments["$verb $before"]+x} ]]; then
		_fprctl_argument "$word" "${_fprctl_arguments["$verb $before"]}"
	elif [[ $word == -* ]]; then
		_fprctl_add "$word" -W "${_fprctl_options["$verb"]}"
	else
		_fprctl_operand "$word" "$verb" "$first"
	fi
}

complete -F _fprctl fprctl
