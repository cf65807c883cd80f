# SPDX-License-Identifier: GPL-2.0-only
"""What QEMU counts of the filter is what it must be."""

from typing import Any, Optional, Union

from ..common.errors import LabError
from ..common.names import FILTER_MODES, REPORT_MODES
from .agents.misbehaving import ABSENT, MisbehavingAgent
from .agents.relay import RELAYS, Relay
from .guest_qemu import GuestQemu
from .migration_run import Run


class NoReport(LabError):
    """The guest was asked for its free pages, and did not answer in time."""


def check_fallback(run: Run, counters: dict[str, Any], source: GuestQemu) -> None:
    """QEMU did without the filter, and said why: in one warning and to query-migrate."""
    warnings = [line for line in source.stderr().splitlines() if "free-page-filter" in line]
    if len(warnings) != 1:
        raise LabError(f"{len(warnings)} warnings about the missing filter, not 1")
    text = counters.get("blocked-text", "")
    if text != run.blocked() or text not in warnings[0]:
        raise LabError(f"the filter is off because of {text!r}; the warning is {warnings[0]!r}")
    if any(counters[name] for name in ("epochs", "reports", "filtered-pages", "dropped-pages")):
        raise LabError("QEMU claims to have used the filter that it cannot use")


def check_filter(run: Run, info: dict[str, Any], source: GuestQemu) -> dict[str, Any]:
    """The filter's counters. A run that was to use the filter and didn't is an
    error, and so is a fallback that didn't warn exactly once."""
    counters = info.get("free-page-filter", {})
    if run.mode not in FILTER_MODES:
        if counters and not run.guest().reports():
            raise LabError("QEMU shows a free page filter that was not asked for")
        if counters:
            check_rounds(counters)
        return {}
    if run.blocked():
        check_fallback(run, counters, source)
        check_events(counters, source)
        return counters
    if "blocked-reason" in counters:
        raise LabError(f"QEMU did not use the filter: {counters['blocked-text']}")
    if run.agent == ABSENT or run.early():
        check_as_ever(counters)
    elif not counters.get("epochs", 0):
        # Where more than a little is dirty an agent is asked for candidates before ARM.
        late = run.mode in REPORT_MODES and counters["discarded-reports"]
        raise (NoReport if late else LabError)("QEMU did not use the filter: no epoch was begun")
    check_events(counters, source)
    check_rounds(counters)
    check_asked(run, counters)
    if run.mode in REPORT_MODES and run.agent not in RELAYS and not run.early():
        check_reports(run, counters)
    return counters


def check_events(counters: dict[str, Any], source: GuestQemu) -> None:
    """Management was told once whether the filter is on, and with it nothing but of the agent."""
    told = [event for event in source.qmp.events("FREE_PAGE_FILTER") if "agent" not in event]
    off = {name: counters[name] for name in ("blocked-reason", "blocked-text") if name in counters}
    if off:
        expected = [{"state": "blocked", **off}]
    else:
        expected = [{"state": "on"}] if counters["epochs"] else []
    if told != expected:
        raise LabError(f"QEMU told {told}, not {expected}")


def asked_in_all(counters: dict[str, Any]) -> Optional[int]:
    """How many reports QEMU has asked for, which it counts by rounds alone; None if it has forgotten rounds."""
    rounds = counters["rounds"]
    return sum(each["asked"] for each in rounds) if not rounds or rounds[0]["round"] == 1 else None


def check_rounds(counters: dict[str, Any]) -> None:
    """What is counted by rounds is what is counted in all, but for rounds that are forgotten. A report counts in the
    round in which it was asked for, or is discarded: there are as many or fewer of both."""
    rounds = counters["rounds"]
    for each in rounds:
        if each["reports"] > each["asked"]:
            raise LabError(f"{each['reports']} reports came in round {each['round']}, {each['asked']} were asked for")
    asked = asked_in_all(counters)
    # One that is given up before its agent was asked is neither.
    if asked is not None and asked < counters["reports"] + counters["discarded-reports"]:
        raise LabError(f"{asked} reports were asked for, {counters['reports']} came and "
                       f"{counters['discarded-reports']} were discarded")
    for name in ("reports", "reported-pages", "dropped-pages", "waited-ms"):
        if sum(each[name] for each in rounds) > counters[name] or (
                rounds[0]["round"] == 1 and sum(each[name] for each in rounds) != counters[name]):
            raise LabError(f"{name} of {counters[name]} are {[each[name] for each in rounds]} by rounds")


def check_asked(run: Run, counters: dict[str, Any]) -> None:
    """Nobody is asked where there is no agent. A guest that names pages without hints was asked in the same round."""
    if not run.guest().reports() and asked_in_all(counters):
        raise LabError(f"{asked_in_all(counters)} reports were asked for, and there is no agent")
    if run.mode in REPORT_MODES:
        for each in counters["rounds"]:
            if each["reported-pages"] and not each["asked"]:
                raise LabError(f"{each['reported-pages']} pages were reported in round {each['round']}, in which no "
                               "report was asked for")


def check_as_ever(counters: dict[str, Any]) -> None:
    """Where nobody answers, nothing is asked for, armed or waited for."""
    asked = asked_in_all(counters)
    if asked or counters["epochs"] or counters["waited-ms"] or counters["discarded-reports"]:
        raise LabError(f"without an agent {asked} reports were asked for, there were {counters['epochs']} epochs, "
                       f"{counters['discarded-reports']} reports discarded, and {counters['waited-ms']} ms of waiting")


def check_reports(run: Run, counters: dict[str, Any]) -> None:
    """The reports of the guest's own agent are used, those of a misbehaving one are not."""
    if run.agent:
        if any(counters.get(name, 0) for name in ("reports", "reported-pages", "dropped-pages")):
            raise LabError(f"QEMU believed the {run.agent} agent")
    elif not counters.get("reports", 0):
        raise NoReport("the guest made no report in time")


def check_agent(agent: Union[None, MisbehavingAgent, Relay], counters: dict[str, Any]) -> None:
    """Each request with an epoch is for a report of its own, that QEMU says it asked for."""
    if not agent:
        return
    asked = asked_in_all(counters)
    if asked is not None and agent.in_epochs > asked:
        raise LabError(f"the agent got {agent.in_epochs} requests with an epoch, for {asked} reports")
    if isinstance(agent, Relay):
        check_relay(agent, counters)


def check_relay(agent: Relay, counters: dict[str, Any]) -> None:
    """No report counts twice. One that ended before its epoch began was asked for in none."""
    used, ended, asked = counters["reports"], counters["reports"] + counters["discarded-reports"], agent.asked()
    if not used or used > agent.in_epochs or ended > asked:
        raise LabError(f"{asked} requests, {agent.in_epochs} of them in an epoch, but {used} reports used "
                       f"and {ended - used} discarded")
