"""How a finding is shown: by the doctor, by a preview that could not be made, by a failed run. Fit for a ticket."""

from collections.abc import Callable, Mapping, Sequence

from worker.cli import screen
from worker.domain.commands import FieldError
from worker.domain.events import finding_payload
from worker.domain.failures import Stage
from worker.flows.diagnose import Diagnosis


SIGN_IN_COUNTS = "The server counted a failed sign-in for this account; a few in a row lock it in many directories."


def payload(diagnosis: Diagnosis) -> dict[str, object]:
    """Return a diagnosis as ``directory.tested`` carries it, with the server's own words."""
    return {**finding_payload(diagnosis.finding), "detail": diagnosis.detail}


def show(finding: Mapping[str, object], *, detail: str = "", refused_sign_ins: int = 0) -> None:
    """Print what went wrong and what to do."""
    screen.say(f"{finding['headline']} [{finding['code']}]")
    for seen in filter(None, (finding["seen"], detail)):
        screen.say(f"Seen: {seen}")
    if refused_sign_ins:
        screen.say(SIGN_IN_COUNTS)
    screen.say("", "Check, in this order:")
    for number, check in enumerate(_listed(finding["checks"]), start=1):
        screen.say(f"  {number}. {check}")
    screen.say("", f"What to do: {finding['fix']}")
    if finding["ldapsearch"]:
        screen.say("", "The same search by hand (put the password into LDAP_PASSWORD first):")
        screen.paste(f"  {finding['ldapsearch']}")


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


def _listed(value: object) -> list[dict[str, object]]:
    return list(value) if isinstance(value, list | tuple) else []
