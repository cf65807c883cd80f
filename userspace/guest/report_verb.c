// SPDX-License-Identifier: GPL-2.0-only
/* fprctl report: in the guest, tell the host which pages are free. */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "endpoint.h"
#include "outfile.h"
#include "result.h"
#include "send_report.h"
#include "serve.h"
#include "verbs.h"

/* A destination that takes bytes as they come. */
struct stream {
	const char *name;
	int fd;
	struct patience patience;
};

static enum fpr_status write_stream(void *opaque, const void *data, size_t len)
{
	struct stream *stream = opaque;

	if (!patience_write(&stream->patience, stream->fd, data, len))
		return FPR_OK;
	if (errno)
		warn("%s", stream->name);
	return FPR_ERROR;
}

/* One report is made. */
static uint8_t send_buffer[SEND_BYTES];

static enum fpr_status send_stream(struct stream *stream, const struct free_source *source,
				   uint64_t tag, struct send_stats *stats)
{
	const struct sink sink = { .write = write_stream, .opaque = stream, .buffer = send_buffer };

	signal(SIGPIPE, SIG_IGN);
	return send_report(source, tag, &sink, stats);
}

static enum fpr_status write_memory(void *opaque, const void *data, size_t len)
{
	if (fwrite(data, 1, len, opaque) == len)
		return FPR_OK;
	warn("the report");
	return FPR_ERROR;
}

/* A file appears when the report is complete. */
static enum fpr_status send_file(const char *path, const struct free_source *source,
				 uint64_t tag, struct send_stats *stats)
{
	char *data = NULL;
	size_t len = 0;
	FILE *memory = open_memstream(&data, &len);
	const struct sink sink = { .write = write_memory, .opaque = memory, .buffer = send_buffer };
	enum fpr_status status;
	struct outfile out;

	if (!memory)
		err(FPR_ERROR, "the report");
	status = send_report(source, tag, &sink, stats);
	if (fclose(memory) && !status) {
		warn("the report");
		status = FPR_ERROR;
	}
	if (!status)
		status = outfile_open(&out, path, len, 0);
	if (!status)
		status = outfile_commit(&out, data, len);
	free(data);
	return status;
}

static bool is_port(const char *path)
{
	struct stat st;

	return !stat(path, &st) && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode));
}

static enum fpr_status open_stream(struct stream *stream, const struct endpoint *to,
				   uint64_t timeout_s)
{
	bool is_stdout = !to->is_vsock && outfile_is_stdout(to->name);

	*stream = (struct stream) { .name = is_stdout ? "stdout" : to->name, .fd = STDOUT_FILENO };
	patience_begin(&stream->patience, stream->name, timeout_s);
	if (to->is_vsock)
		return endpoint_connect(to, &stream->patience, &stream->fd);
	return is_stdout ? outfile_check(to->name) :
			   patience_open(&stream->patience, to->name, &stream->fd);
}

static enum fpr_status send_to(const struct endpoint *to, const struct free_source *source,
			       uint64_t tag, uint64_t timeout_s, struct send_stats *stats)
{
	bool is_stdout = outfile_is_stdout(to->name);
	enum fpr_status status;
	struct stream stream;

	if (!to->is_vsock && !is_stdout && !is_port(to->name)) {
		status = outfile_check(to->name);
		return status ? status : send_file(to->name, source, tag, stats);
	}
	status = open_stream(&stream, to, timeout_s);
	if (status)
		return status;
	status = send_stream(&stream, source, tag, stats);
	if (!is_stdout && close(stream.fd) && !status) {
		warn("%s", to->name);
		status = FPR_ERROR;
	}
	return status;
}

static void print_stats(const struct send_stats *stats, const struct endpoint *to, bool json)
{
	const struct result results[] = {
		{ "spanned_pages", "memory spans", "pages", stats->pages },
		{ "free_pages", "free", "pages", stats->free },
		{ "bytes", "sent", "bytes", stats->bytes },
		{ "report_us", "report took", "us", stats->us },
		{ 0 }
	};

	result_print(outfile_is_stdout(to->name) ? stderr : stdout, results, json);
}

static enum fpr_status report_once(const struct endpoint *to, struct free_source *source,
				   uint64_t tag, uint64_t timeout_s, bool json)
{
	enum wire_refusal refusal;
	struct send_stats stats;
	enum fpr_status status;

	status = free_source_open(source, &refusal);
	if (status)
		return status;
	status = send_to(to, source, tag, timeout_s, &stats);
	free_source_close(source);
	if (!status)
		print_stats(&stats, to, json);
	return status;
}

static enum fpr_status check_usage(const struct cli_args *args)
{
	const char *serve_at = args->option[OPT_SERVE];

	if (!serve_at == !args->nr_operands) {
		warnx("report: give either where to write it or --serve ENDPOINT");
		return FPR_USAGE;
	}
	if (serve_at && (args->option[OPT_EPOCH] || args->option[OPT_TIMEOUT] || args->option[OPT_JSON])) {
		warnx("report: --epoch, --timeout and --json are of no use with --serve");
		return FPR_USAGE;
	}
	return FPR_OK;
}

static enum fpr_status parse_endpoint(struct endpoint *endpoint, const char *name)
{
	if (!endpoint_parse(endpoint, name))
		return FPR_OK;
	warnx("%s: give vsock:CID:PORT, such as vsock:host:999, or for --serve vsock:any:999",
	      name);
	return FPR_USAGE;
}

static enum fpr_status run(const struct cli_args *args)
{
	const char *serve_at = args->option[OPT_SERVE];
	struct free_source source;
	struct endpoint endpoint;
	enum fpr_status status;
	uint64_t epoch, timeout_s = 0;

	status = check_usage(args);
	if (!status)
		status = parse_endpoint(&endpoint, serve_at ? serve_at : args->operand[0]);
	if (!status)
		status = cli_epoch(args, &epoch);
	if (!status)
		status = cli_seconds("--timeout", args->option[OPT_TIMEOUT], &timeout_s);
	if (!status)
		status = free_source_choose(&source, args->option[OPT_SOURCE],
					    args->option[OPT_DEVICE]);
	if (status)
		return status;
	if (serve_at)
		return serve(&endpoint, &source);
	return report_once(&endpoint, &source, epoch, timeout_s, args->option[OPT_JSON]);
}

static const struct cli_option report_options[] = {
	{ OPT_SERVE, "serve", "ENDPOINT", "answer requests for as long as it runs" },
	{ OPT_SOURCE, "source", "device|kpageflags", "where it reads (default device)" },
	{ OPT_DEVICE, "device", "PATH", "the device (default " FREE_SOURCE_DEVICE ")" },
	{ OPT_EPOCH, "epoch", "N", "the epoch that it is for, which is its tag (default 0)" },
	{ OPT_TIMEOUT, "timeout", "SECONDS", "how long TO may take (default: no limit)" },
	CLI_JSON_OPTION,
	{ 0 }
};

const struct cli_verb report_verb = {
	.name = "report",
	.operands = "[TO]",
	.min_operands = 0,
	.max_operands = 1,
	.summary = "In a guest: tell its host which pages are free",
	.options = report_options,
	.run = run,
	.details =
"TO is one of\n"
"  FILE             replaced when the report is complete\n"
"  -                stdout\n"
"  vsock:CID:PORT   connected to; CID may be \"host\"\n"
"  a port of virtio-serial, such as /dev/virtio-ports/NAME\n"
"ENDPOINT is such a port, another character device or a socket, or\n"
"vsock:any:PORT, where connections are waited for: several are answered in turn,\n"
"and one that says nothing for 10 seconds goes.\n"
"A port may be closed and opened by its host at any time, as in a migration.\n"
"\n"
"The report is a response in the format that is described in\n"
"Documentation/protocol.rst. Each page that it names was free\n"
"at some instant after fprctl began, or read the request; none is held.\n"
"This is not Linux's free page reporting, which gives memory back to the host.\n"
"\n"
"device is the module fpr_guest, which reads the kernel's lists under their\n"
"locks. It may also be any file with a bitmap in whole 64-bit words.\n"
"kpageflags needs no module and is slow; it misses free pages, and it can name\n"
"pages that were never free, which are lost then. It has to be asked for.\n",
	.examples =
"  fprctl report --serve /dev/virtio-ports/fpr.report\n"
"  fprctl report vsock:host:999 --epoch 12\n",
};
