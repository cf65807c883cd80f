# SPDX-License-Identifier: GPL-2.0-only
"""The lab's guest as a domain of libvirt, made from the one in the documentation."""

import re
import textwrap
from pathlib import Path
from xml.etree import ElementTree

from ..common.errors import LabError
from ..common.names import TOP
from ..common.trouble import first_trouble
from .guest_qemu import KERNEL_COMMAND_LINE, Guest

DOCUMENT = TOP / "Documentation/operator/libvirt.rst"
NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
IMAGES = Path("/var/lib/libvirt/images")  # where lab/l1/libvirt/host has what lab/build-guest made
LOGS = Path("/var/log/libvirt/qemu")  # QEMU's own, and the console
CONSOLE = LOGS / "console.log"
PORT = 4555  # over TCP: the guest is asked from another host than its own, too
END_PORT = 4556  # of host2: a connection says that all is done
WORKLOAD = "freed"
LAST_LINES = 15


def documented() -> ElementTree.Element:
    """The domain that the documentation tells people to write."""
    ElementTree.register_namespace("qemu", NAMESPACE)
    found = re.search(r"^ *<domain .*?</domain>$", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    if not found:
        raise LabError(f"{DOCUMENT.name} shows no domain")
    return ElementTree.fromstring(textwrap.dedent(found[0]))


def child(parent: ElementTree.Element, path: str) -> ElementTree.Element:
    """The one element at a path."""
    found = parent.find(path)
    if found is None:
        raise LabError(f"{DOCUMENT.name} shows a domain without {path}")
    return found


def remove(parent: ElementTree.Element, path: str) -> None:
    """Remove an element, which has to be there."""
    parent.remove(child(parent, path))


def boot_guest(domain: ElementTree.Element, mib: int, mode: str) -> None:
    """Let the domain boot what lab/build-guest made."""
    system = child(domain, "os")
    words = f"{KERNEL_COMMAND_LINE} lab_mib={mib} {Guest(WORKLOAD, mode).append()}"
    for tag, text in (("kernel", IMAGES / "vmlinuz"), ("initrd", IMAGES / "initrd.img"), ("cmdline", words)):
        ElementTree.SubElement(system, tag).text = str(text)
    ElementTree.SubElement(domain, "on_reboot").text = "destroy"


def shrink(domain: ElementTree.Element, mib: int) -> None:
    """Make the domain as small as two emulated hosts need it."""
    memory = child(domain, "memory")
    memory.set("unit", "MiB")
    memory.text = str(mib)
    child(domain, "vcpu").text = "1"
    # These break in an emulated host, see fprlab.l1.guest_qemu.
    for name in ("xsave", "svm"):
        ElementTree.SubElement(child(domain, "cpu"), "feature", policy="disable", name=name)


def add_ports(devices: ElementTree.Element) -> None:
    """Add the console, and the port at which the lab asks the guest."""
    console = ElementTree.SubElement(devices, "serial", type="file")
    ElementTree.SubElement(console, "source", path=str(CONSOLE), append="on")
    port = ElementTree.SubElement(devices, "serial", type="tcp")
    ElementTree.SubElement(port, "source", mode="bind", host="0.0.0.0", service=str(PORT))
    ElementTree.SubElement(port, "protocol", type="raw")


def lab_domain(mib: int, mode: str) -> str:
    """The XML for a mode: plain, without all that is the filter's, or filter-report."""
    domain = documented()
    devices = child(domain, "devices")
    for path in ("disk", "interface"):
        remove(devices, path)
    if mode == "plain":
        remove(devices, "channel")
        remove(domain, f"{{{NAMESPACE}}}commandline")
    shrink(domain, mib)
    boot_guest(domain, mib, mode)
    add_ports(devices)
    return ElementTree.tostring(domain, encoding="unicode")


def domain_name() -> str:
    """The domain's name in the documentation."""
    return child(documented(), "name").text or ""


def check_console() -> None:
    """No trouble in the guest's log on this host."""
    if line := first_trouble(CONSOLE.read_text(encoding="utf-8", errors="replace").splitlines()):
        raise LabError(f"the guest's kernel says: {line}")


def last_lines() -> list[str]:
    """The ends of this host's logs of the guest, for a person who wants to know why."""
    shown = []
    for log in sorted(LOGS.glob("*.log")):
        shown += [f"--- last lines of {log.name}"]
        shown += log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    return shown
