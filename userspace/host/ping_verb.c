// SPDX-License-Identifier: GPL-2.0-only
/* fprctl ping: whether a guest answers. */
#include <err.h>
#include <signal.h>
#include <unistd.h>

#include "guest_endpoint.h"
#include "receive_report.h"
#include "result.h"
#include "stop.h"
#include "verbs.h"
#include "wire.h"

/* The request is of no epoch, as the report is handed over to nobody. */
#define NO_EPOCH	0

static enum fpr_status ask(const struct guest_endpoint *guest, const struct receive_limits *limits,
			   struct received_report *report)
{
	struct guest_link link = { .name = guest->name };
	enum fpr_status status;
	bool lasting;

	status = guest_endpoint_open(guest, limits->timeout_s, &link.fd);
	if (status)
		return status;
	status = receive_report(report, &link, NO_EPOCH, limits, &lasting);
	close(link.fd);
	return status;
}

static enum fpr_status run(const struct cli_args *args)
{
	struct received_report report = { 0 };
	struct receive_limits limits;
	struct guest_endpoint guest;
	enum fpr_status status;

	if (!args->option[OPT_GUEST]) {
		warnx("ping: give --guest ENDPOINT, where to ask the guest");
		return FPR_USAGE;
	}
	status = guest_endpoint_parse(&guest, args->option[OPT_GUEST]);
	if (!status)
		status = receive_limits_parse(&limits, args);
	if (status)
		return status;
	/* Without the signal, write() returns the error where the guest has gone. */
	signal(SIGPIPE, SIG_IGN);
	stop_catch();
	status = ask(&guest, &limits, &report);
	if (!status) {
		const struct result results[] = {
			{ "version", "reports of version", NULL, WIRE_VERSION },
			{ "spanned_pages", "memory spans", "pages", report.nr_pages },
			{ "free_pages", "free", "pages", report.nr_free },
			{ "response_bytes", "response", "bytes", report.bytes },
			{ "report_us", "report took", "us", report.us },
			{ 0 }
		};

		result_print(stdout, results, args->option[OPT_JSON]);
	}
	receive_release(&report);
	return status;
}

static const struct cli_option ping_options[] = {
	{ OPT_GUEST, "guest", "ENDPOINT", "where the guest answers" },
	{ OPT_TIMEOUT, "timeout", "SECONDS", "how long to wait (default 10)" },
	RECEIVE_MAX_MEMORY_OPTION,
	CLI_JSON_OPTION,
	{ 0 }
};

const struct cli_verb ping_verb = {
	.name = "ping",
	.summary = "Ask a guest for a report and use it for nothing",
	.options = ping_options,
	.run = run,
	.details =
"Says whether fprctl report --serve answers in the guest, in which version of\n"
"the protocol, and how long a whole report takes. No VM is armed or looked for,\n"
"and no log is changed. It is an error where nobody answers, or the guest\n"
"refuses.\n"
"\n"
GUEST_ENDPOINT_HELP,
	.examples =
"  fprctl ping --guest unix:/run/vm/report.sock\n",
};
