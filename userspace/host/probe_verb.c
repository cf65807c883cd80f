// SPDX-License-Identifier: GPL-2.0-only
/* fprctl probe: whether this kernel has the filter. */
#include <err.h>
#include <errno.h>
#include <json-c/json.h>
#include <linux/kvm_fpr.h>
#include <stdio.h>
#include <unistd.h>

#include "filter.h"
#include "result.h"
#include "verbs.h"

/* Of the Debian package with KVM's modules. */
#define HOST_CHECK	"/usr/lib/kvm-fpr/host-check"

static const struct {
	uint32_t flag;
	const char *name;
} flag_names[] = {
	{ KVM_FPR_CAP_CONFIRM, "confirm" },
	{ KVM_FPR_CAP_FOREIGN, "foreign" },
	{ KVM_FPR_CAP_CANDIDATES, "candidates" },
};

#define NR_FLAG_NAMES	(sizeof(flag_names) / sizeof(flag_names[0]))

static void print_flags(uint32_t flags)
{
	const char *separator = " (";
	size_t i;

	printf("free page filter: %s", flags ? "yes" : "no");
	for (i = 0; i < NR_FLAG_NAMES; i++) {
		if (!(flags & flag_names[i].flag))
			continue;
		printf("%s%s", separator, flag_names[i].name);
		separator = ", ";
		flags &= ~flag_names[i].flag;
	}
	/* What only a newer fprctl has a name for. */
	if (flags) {
		printf("%s0x%x", separator, flags);
		separator = ", ";
	}
	printf("%s\n", separator[0] == ',' ? ")" : "");
}

static void print_flags_json(uint32_t flags)
{
	struct json_object *object = json_object_new_object();
	struct json_object *names = json_object_new_array();
	size_t i;

	for (i = 0; i < NR_FLAG_NAMES; i++) {
		if (flags & flag_names[i].flag)
			json_object_array_add(names,
				json_object_new_string(flag_names[i].name));
	}
	json_object_object_add(object, "supported",
			       json_object_new_boolean(flags != 0));
	json_object_object_add(object, "flags", names);
	json_object_object_add(object, "mask", json_object_new_uint64(flags));
	result_print_json(stdout, object);
}

static enum fpr_status run_probe(const struct cli_args *args)
{
	uint32_t flags;

	if (filter_probe(&flags)) {
		if (errno == ENOENT)
			warnx("/dev/kvm does not exist: load kvm-intel or kvm-amd");
		else if (errno == EACCES)
			warnx("not permitted to open /dev/kvm: run as root or in its group");
		else
			warn("/dev/kvm");
		return FPR_ERROR;
	}
	if (args->option[OPT_JSON])
		print_flags_json(flags);
	else
		print_flags(flags);
	if (!flags && !access(HOST_CHECK, X_OK))
		warnx("kvm-fpr-dkms is installed, but this KVM is another one: " HOST_CHECK " says why");
	return flags ? FPR_OK : FPR_NO_FILTER;
}

static const struct cli_option probe_options[] = { CLI_JSON_OPTION, { 0 } };

const struct cli_verb probe_verb = {
	.name = "probe",
	.summary = "Tell whether this kernel has the free page filter",
	.options = probe_options,
	.run = run_probe,
	.examples =
"  $ fprctl probe\n"
"  free page filter: yes (confirm, foreign, candidates)\n",
};
