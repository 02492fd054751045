"""How a finding is shown: by the doctor, by a preview that could not be made, by a failed run. Fit for a ticket."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from worker.cli import screen
from worker.domain.addresses import display_domain
from worker.domain.commands import FieldError
from worker.domain.detect import NAMES
from worker.domain.events import finding_payload
from worker.domain.failures import Stage
from worker.domain.findings import OK
from worker.domain.server import ServerType
from worker.domain.survey import listed
from worker.flows.diagnose import Diagnosis


SIGN_IN_COUNTS = "The server counted a failed sign-in for this account; a few in a row lock it in many directories."


FIRST = {
    "$LDAP_PASSWORD": "the password into LDAP_PASSWORD",
    "ca.pem": "your authority's certificate into ca.pem",
    "client.pem": "the client certificate into client.pem",
    "client.key": "its key into client.key",
}
"""What a line needs before it is pasted, by what of it stands in the line."""

STATES = {
    "open": "open",
    "refused": "refused",
    "timed_out": "no answer",
    "reset": "cut at once",
    "unroutable": "no way there",
}
SPEECHES = {
    "ldap": "plain LDAP",
    "tls": "TLS",
    "other": "something else than LDAP",
    "nothing": "nothing",
}


def payload(diagnosis: Diagnosis) -> dict[str, object]:
    """Return a diagnosis as ``directory.tested`` carries it, with the server's own words."""
    return {**finding_payload(diagnosis.finding), "detail": diagnosis.detail}


def show(finding: Mapping[str, object], *, detail: str = "", refused_sign_ins: int = 0) -> None:
    """Print what went wrong and what to do. What an older program recorded has fewer parts."""
    screen.say(f"{finding['headline']} [{finding['code']}]")
    said = str(finding["seen"])
    for seen in filter(None, (said, "" if detail in said else detail)):
        screen.say(f"Seen: {seen}")
    if refused_sign_ins:
        screen.say(SIGN_IN_COUNTS)
    show_detected(finding.get("detected"))
    show_servers(finding.get("servers"))
    screen.say("", "Check, in this order:")
    for number, check in enumerate(_listed(finding["checks"]), start=1):
        screen.say(f"  {number}. {check}")
    screen.say("", f"What to do: {finding['fix']}")
    show_commands(finding.get("commands"))
    show_search(finding)


def show_detected(detected: object) -> None:
    """Print what the server says it is, and what to enter for it."""
    if not isinstance(detected, Mapping):
        return
    server, version = ServerType(detected["server"]), str(detected["version"])
    name = NAMES[server]
    # of some the version is the name with a number, of Windows a name of its own
    words = version if version.startswith(name) else f"{name} {version}".strip()
    first, *others = [str(each) for each in _listed(detected["types"]) if each != "custom"]
    bases = " or ".join(map(str, _listed(detected["bases"])))
    attributes = listed([str(each) for each in _listed(detected["attributes"])])
    entered = [
        f"type {first}",
        f"base {bases}" if bases else "",
        f"addresses in {attributes}" if attributes else "",
    ]
    screen.say(f"The server: {words}. To enter for it: {', '.join(filter(None, entered))}.")
    if others:
        screen.say(
            f"Test {' and '.join(others)} as well, and compare by the number of addresses found."
        )


def show_search(finding: Mapping[str, object]) -> None:
    """Print the same search for another program."""
    line = str(finding["ldapsearch"] or "")
    if line:
        first = listed([put for sign, put in FIRST.items() if sign in line])
        screen.say("", f"The same search by hand{f' (first put {first})' if first else ''}:")
        screen.paste(f"  {line}")


def show_commands(commands: object) -> None:
    """Print the lines to copy, each below whom it is for; at the margin, since a document must not be indented."""
    if not commands:
        return
    screen.say("", "To copy:")
    for each in _listed(commands):
        screen.say(f"  {each['for']}:")
        for line in str(each["text"]).splitlines():
            screen.paste(line)


def show_servers(servers: object) -> None:
    """Print each port that was looked at, and what was not: a name unknown, an address that may not be dialled."""
    rows = [(server["server"], *row) for server in _listed(servers) for row in _looked_at(server)]
    if rows:
        columns = ("server", "address", "port", "state", "ms", "speaks", "encryption")
        screen.say("")
        screen.table(columns, rows)


def _looked_at(server: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    if server["name"] != OK:
        yield "", "", server["name"], server["milliseconds"], "", ""
    for address in _listed(server["addresses"]):
        if not address["ports"]:
            kept_from = f"{address['forbidden']}: not dialled" if address["forbidden"] else ""
            yield address["address"], "", kept_from or "not reached in time", "", "", ""
        for port in _listed(address["ports"]):
            yield address["address"], *_port(port)


def _port(port: Mapping[str, Any]) -> tuple[object, ...]:
    tls = port["tls"]
    speaks = SPEECHES.get(str(port["speaks"]), "")
    said = f"{speaks}, StartTLS" if port["starttls"] else speaks
    parts = (tls["version"], "" if tls["check"] == OK else tls["check"]) if tls else ()
    shown = ", ".join(filter(None, parts))
    return port["port"], STATES.get(str(port["state"]), ""), port["milliseconds"], said, shown


def show_report(report: Mapping[str, object]) -> None:
    """Print what a look that found nothing wrong has to tell."""
    until = report["certificate_until"]
    rows = [
        ("server", f"{report['server']}, {report['server_name']}"),
        ("read below", "; ".join(map(str, _listed(report["bases"])))),
        ("entries", f"{report['entries']:,}"),
        ("addresses", f"{report['addresses']:,}{_counts(report['kinds'])}"),
        ("your domains", _counted(report["domains"])),
        ("other domains", _counted(report["other_domains"])),
        ("first addresses", ", ".join(map(str, _listed(report["first_addresses"])))),
        ("certificate until", f"{until:%Y-%m-%d}" if isinstance(until, datetime) else ""),
        (
            "speed",
            f"{report['entries_per_second']:,} entries a second, slowest page {report['page_milliseconds']} ms",
        ),
    ]
    screen.table(("what was found", ""), [row for row in rows if row[1]])
    for each in _listed(report["warnings"]):
        screen.say(f"Better: {each['text']} [{each['code']}]")


def _counts(kinds: object) -> str:
    counted = _counted(kinds)
    return f" ({counted})" if counted else ""


def _counted(figures: object) -> str:
    """Return names with their numbers."""
    if not isinstance(figures, Mapping):
        return ""
    return ", ".join(f"{display_domain(str(name))} {count:,}" for name, count in figures.items())


def show_stages(stages: object) -> None:
    """Print the doctor's stages."""
    screen.table(
        ("stage", "state", "ms", "what was seen"),
        [
            (
                each["stage"],
                str(each["state"]).replace("_", " "),
                "" if each["state"] == "not_tried" else each["milliseconds"],
                each["detail"],
            )
            for each in _listed(stages)
        ],
    )


def show_mistakes(
    errors: Sequence[FieldError], options: Mapping[str, str], *, tell: Callable[[str], None]
) -> None:
    """Tell what is wrong with a form, each fault with the option that fills the field."""
    for error in errors:
        option = options.get(error.field.partition(".")[0])
        at = f"{error.field} ({option})" if option else error.field
        tell(f"{at}: {error.message} [{error.code}]")


def not_tried() -> list[dict[str, object]]:
    """Return the stages of a form that is wrong: nobody came to the others."""
    return [
        {
            "stage": stage.value,
            "state": "failed" if stage is Stage.SETTINGS else "not_tried",
            "milliseconds": 0,
            "detail": "",
        }
        for stage in Stage
    ]


def _listed(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
