"""The directory server of the stack: one slapd, an AD-flavoured tree and a plain one, TLS both ways."""

from tests.servers.certs import Authority
from tests.servers.slapd import Certificate, Slapd, Tree
from tests.stack import seed
from tests.stack.plan import Plan


def certificate(plan: Plan) -> Certificate:
    """The server's certificate; made once a stack."""
    directory = plan.home / "tls"
    made = Certificate(
        cert=directory / "server.pem", key=directory / "server.key", ca=directory / "ca.pem"
    )
    return made if made.cert.exists() else Authority.create(directory).issue("server")


def trees(plan: Plan) -> tuple[Tree, Tree]:
    """First the AD-flavoured one. It refuses a password that was not sent over TLS, as AD can."""
    passwords = {
        "admin_password": plan.admin_password,
        "reader_password": plan.directory_password,
    }
    # what AD calls MaxPageSize: a thousand an answer, any number over pages
    paged = 'limits dn.exact="{}" size=1000 size.pr=1000 size.prtotal=unlimited'
    ad = Tree(
        base=seed.AD_BASE,
        seed=seed.active_directory(),
        lines=["security simple_bind=128", paged.format(f"cn=reader,ou=Service,{seed.AD_BASE}")],
        **passwords,
    )
    return ad, Tree(base=seed.PLAIN_BASE, seed=seed.plain(), **passwords)


def openldap(plan: Plan) -> Slapd:
    """The server of this stack, running or not."""
    return Slapd(
        plan.home / "openldap",
        trees(plan),
        certificate=certificate(plan),
        port=plan.ldap_port,
        ldaps_port=plan.ldaps_port,
        environment=plan.marks,
    )
