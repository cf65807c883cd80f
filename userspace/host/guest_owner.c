// SPDX-License-Identifier: GPL-2.0-only
/*
 * On the host: whose guest it is that answers at an endpoint.
 *
 * The free pages of another guest are pages that this one uses, so its answer would lose
 * them.  No endpoint tells for certain whose it is: what is known to be wrong is refused.
 */
#include <err.h>
#include <linux/kcmp.h>
#include <linux/vm_sockets.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli.h"
#include "guest_owner.h"
#include "proc_cmdline.h"
#include "proc_vms.h"

#define CID_OPTION	"guest-cid"

/* What a process has to do with the VM. */
enum relation {
	NO_VM,		/* none that can be seen */
	THIS_VM,
	OTHER_VM,
};

static bool is_this_vm(const struct vm *vm, pid_t pid, const struct proc_vms *vms)
{
	size_t i;

	if (pid == vm->pid)
		return true;
	for (i = 0; i < vms->nr; i++) {
		if (!syscall(SYS_kcmp, getpid(), vms->thread, KCMP_FILE, vm->fd, vms->fd[i]))
			return true;
	}
	return false;
}

static enum relation relation_of(const struct vm *vm, pid_t pid)
{
	enum relation relation = NO_VM;
	struct proc_vms vms;

	if (proc_vms_read(&vms, pid))
		return NO_VM;
	if (vms.nr)
		relation = is_this_vm(vm, pid, &vms) ? THIS_VM : OTHER_VM;
	proc_vms_release(&vms);
	return relation;
}

/* guest-cid=3 of -device, or "guest-cid":3 where that is JSON. */
static bool parse_cid(const char *at, uint64_t *cid)
{
	const char *end;

	at += strlen(CID_OPTION);
	at += *at == '"';
	if (*at != '=' && *at != ':')
		return false;
	at++;
	return !cli_number(at + strspn(at, " "), &end, cid);
}

struct cids {
	bool named;	/* any CID */
	bool wanted;	/* the one that is looked for */
	uint64_t last;
};

static struct cids cids_of(pid_t pid, uint64_t wanted)
{
	struct proc_cmdline cmdline = proc_cmdline_read(pid);
	struct cids cids = { 0 };
	const char *word, *at;

	for (word = NULL; (word = proc_cmdline_next(&cmdline, word));) {
		for (at = word; (at = strstr(at, CID_OPTION)); at++) {
			if (!parse_cid(at, &cids.last))
				continue;
			cids.named = true;
			cids.wanted |= cids.last == wanted;
		}
	}
	free(cmdline.text);
	return cids;
}

struct cid_search {
	const struct vm *vm;
	uint64_t cid;
	bool is_ours;
	bool ours_named;	/* the VM's process names another */
	uint64_t ours;
	pid_t other;		/* has another VM and names this CID, or 0 */
};

static void look_for_cid(void *opaque, pid_t pid)
{
	struct cid_search *search = opaque;
	struct cids cids = cids_of(pid, search->cid);
	enum relation relation;

	if (!cids.named)
		return;
	relation = relation_of(search->vm, pid);
	if (relation == THIS_VM) {
		search->is_ours |= cids.wanted;
		search->ours_named = true;
		search->ours = cids.last;
	} else if (relation == OTHER_VM && cids.wanted) {
		search->other = pid;
	}
}

static enum fpr_status refuse_cid(const struct guest_endpoint *guest,
				  const struct cid_search *search)
{
	if (search->other)
		warnx("%s: that CID is of process %d, which has another VM, so its answer would lose pages: give this guest's, or --trust-endpoint",
		      guest->name, search->other);
	else
		warnx("%s: the VM's process names the CID %llu, and another guest's answer would lose pages: give that, or --trust-endpoint",
		      guest->name, (unsigned long long)search->ours);
	return FPR_ERROR;
}

enum fpr_status guest_owner_check_cid(const struct guest_endpoint *guest, const struct vm *vm)
{
	struct cid_search search = { .vm = vm, .cid = guest->endpoint.cid };

	if (!guest->endpoint.is_vsock)
		return FPR_OK;
	if (search.cid <= VMADDR_CID_HOST) {
		warnx("%s: that is no guest but a host, whose free pages are not the guest's: give the guest's CID, or --trust-endpoint",
		      guest->name);
		return FPR_ERROR;
	}
	proc_for_each(look_for_cid, &search);
	if (search.is_ours || (!search.other && !search.ours_named))
		return FPR_OK;
	return refuse_cid(guest, &search);
}

enum fpr_status guest_owner_check_peer(const struct guest_endpoint *guest, int fd,
				       const struct vm *vm)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	/* Of a process in another namespace the pid is 0. */
	if (!*guest->socket || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || !peer.pid)
		return FPR_OK;
	if (relation_of(vm, peer.pid) != OTHER_VM)
		return FPR_OK;
	warnx("%s: process %d made that socket and has another VM, so its guest's answer would lose pages: give this VM's, or --trust-endpoint",
	      guest->name, peer.pid);
	return FPR_ERROR;
}
