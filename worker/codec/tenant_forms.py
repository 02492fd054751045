"""What the commands about tenants carry, and how each becomes a command of the domain."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from worker.codec.fields import BLANK_IS_ABSENT, DomainText, Form, Id, Revision, shown
from worker.codec.mistakes import FormError
from worker.domain.commands import DeleteTenant, SaveTenant
from worker.domain.model import Domain, Tier


DOMAINS_MAX_COUNT = 5_000


class DomainForm(Form):
    """One mail domain of a tenant."""

    name: Annotated[
        DomainText,
        shown(
            "Domain",
            "The part of your mail addresses after the @.",
            group="tenant",
            enter="Enter a mail domain, for example example.com.",
            example="example.com",
        ),
    ]
    catch_all: Annotated[
        bool,
        shown(
            "Accept everything",
            "Mail to any address of this domain is let in, known or not.",
            group="tenant",
            enter="Enter true or false.",
            example=False,
        ),
    ] = False
    delimiter: Annotated[
        Annotated[str, Field(pattern=r"^[!#$%&'*+/=?^_`{|}~.-]$")] | None,
        BLANK_IS_ABSENT,
        shown(
            "Sub-address sign",
            "With +, mail to jo+news@ is treated as mail to jo@. Leave blank if you do not use this.",
            group="tenant",
            enter="Enter one sign, for example +, or leave it out.",
            example="+",
        ),
    ] = None
    alias_of: Annotated[
        DomainText | None,
        BLANK_IS_ABSENT,
        shown(
            "Same people as",
            "Every address of that other domain is valid in this one as well.",
            group="tenant",
            enter="Enter another domain of the list, or leave it out.",
            example="example.com",
        ),
    ] = None
    by_hand: Annotated[
        bool,
        shown(
            "Kept by hand",
            "The list of this domain is complete although no directory fills it: unknown addresses are refused.",
            group="tenant",
            enter="Enter true or false.",
            example=False,
        ),
    ] = False

    def noun(self) -> Domain:
        """Return the domain's own noun."""
        return Domain(self.name, self.catch_all, self.delimiter, self.alias_of, self.by_hand)


def _consistent(domains: Sequence[DomainForm]) -> Sequence[DomainForm]:
    """Each domain once; an alias leads to a domain of the same list that is no alias."""
    targets = {domain.name: domain.alias_of for domain in domains}
    if len(targets) < len(domains):
        raise FormError(code="domain.twice")
    for target in filter(None, targets.values()):
        if target not in targets:
            raise FormError(code="domain.alias_unknown")
        if targets[target] is not None:
            raise FormError(code="domain.alias_chain")
    return domains


class TenantSave(Form):
    """``tenant.save``: what a tenant has bought, and its mail domains."""

    plan: Annotated[
        Tier,
        shown(
            "Plan",
            "What you have bought: it decides whether syncs run by themselves and logins are made.",
            group="tenant",
            enter="Enter basic, standard, enterprise or reseller.",
            example="standard",
        ),
    ]
    reseller: Annotated[
        Id | None,
        BLANK_IS_ABSENT,
        shown(
            "Reseller",
            "The reseller above this customer. Left out, there is none, also if there was one: unlike domains it is told with every save.",
            group="tenant",
            enter="Enter 1 to 64 letters, digits, _ or -, or leave it out.",
            example="acme",
        ),
    ] = None
    revision: Annotated[
        Revision | None,
        shown(
            "Revision",
            "A number that grows with every save; an older one than the last is refused.",
            group="tenant",
            enter="Enter a whole number that grows with every save, or leave it out.",
            example=7,
        ),
    ] = None
    domains: Annotated[
        tuple[DomainForm, ...] | None,
        AfterValidator(lambda domains: domains if domains is None else _consistent(domains)),
        Field(min_length=1, max_length=DOMAINS_MAX_COUNT),
        shown(
            "Domains",
            "The whole list of your mail domains. Left out, the list stays as it is.",
            group="tenant",
            enter="Enter the whole list of domains, at least one; leave it out to change nothing.",
            example=[{"name": "example.com", "catch_all": False, "delimiter": "+"}],
        ),
    ] = None

    def command(self) -> SaveTenant:
        """Return the command of the domain."""
        nouns = None if self.domains is None else tuple(each.noun() for each in self.domains)
        return SaveTenant(self.plan, nouns, self.reseller, self.revision)


class TenantDelete(Form):
    """``tenant.delete``: carries nothing; the subject names the tenant."""

    def command(self) -> DeleteTenant:
        """Return the command of the domain."""
        return DeleteTenant()
