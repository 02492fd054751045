"""The rules' version moves with the rules: an old run's bytes must not vouch for what they mean by new ones."""

from hashlib import blake2b

from worker.domain.model import Credentials, DirectorySettings, Limits, Server
from worker.domain.normalise import RULES_VERSION, Normaliser
from worker.domain.plan import make_plan
from worker.domain.presets import PRESETS


KNOWN = {
    "1": "0f2ae6900a6925941cbf5aa4e9bb32ff",
    "2": "9b765b10b13c15ff5db3223664f57015",
    "3": "8d50a145b937da3accebb5eec823c162",
}
"""What each version made of the sample. A new line for a new version; never another value for an old one."""

SAMPLE = [
    (
        f"cn={name},dc=example,dc=com",
        {
            "mail": [mail],
            "proxyAddresses": [b"SMTP:" + mail, b"smtp:second." + mail, b"X500:/o=a/cn=b"],
            "objectClass": [b"top", kind],
            "userAccountControl": [b"514"],
            "displayName": ["Zoë\tTab".encode()],
            "entryUUID": [b"00112233-4455-6677-8899-aabbccddee%02d" % number],
        },
    )
    for number, (name, mail, kind) in enumerate(
        [
            ("ada", b"Ada@Example.com", b"user"),
            ("all", b"all@example.com", b"group"),
            ("odd", "jörg@example.com".encode(), b"contact"),
            ("far", b"far@elsewhere.example", b"user"),
            ("not", b"not an address", b"user"),
            ("HealthMailbox7f3a1b2", b"healthmailbox7f3a1b2@example.com", b"user"),
            (
                "old,cn=deleted users,cn=accounts,cn=provisioning",
                b"old@example.com",
                b"user",
            ),
        ]
    )
]


def test_the_version_of_the_rules_moves_with_what_they_make_of_a_sample() -> None:
    """Otherwise a corrected rule would never reach a directory that does not change."""
    made = blake2b(digest_size=16)
    for name in sorted(PRESETS):
        settings = DirectorySettings(
            "HQ",
            name,
            (Server("ldap.example.com"),),
            "cn=reader",
            filter="(mail=*)",
            address_attributes=("mail", "proxyAddresses"),
        )
        plan = make_plan(settings, Credentials(), Limits())
        normaliser = Normaliser(plan, ("example.com",))
        asked = " ".join(plan.attributes).encode()
        made.update(
            asked + normaliser.page(SAMPLE).rows + str(sorted(normaliser.ignored.items())).encode()
        )

    assert KNOWN[RULES_VERSION] == made.hexdigest(), "move RULES_VERSION and record the new digest"
