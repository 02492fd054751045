"""The Active Directory of the stack: a Samba domain controller that shows OpenLDAP's certificate."""

from tests.servers.samba import Samba
from tests.stack.openldap import certificate
from tests.stack.plan import Plan


def samba(plan: Plan) -> Samba:
    """The server of this stack, running or not."""
    return Samba(
        plan.home / "samba",
        certificate=certificate(plan),
        port=plan.ad_port,
        ldaps_port=plan.ad_ldaps_port,
        environment=plan.marks,
    )
