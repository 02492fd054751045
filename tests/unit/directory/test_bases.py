import pytest

from worker.domain.bases import default_bases
from worker.domain.failures import Misdirected
from worker.domain.server import RootDse


@pytest.mark.parametrize(
    ("root", "bases"),
    [
        (RootDse("DC=ad,DC=test", ("DC=ad,DC=test", "CN=Schema")), ("DC=ad,DC=test",)),
        (RootDse(contexts=("ou=only",)), ("ou=only",)),
        (RootDse(contexts=("cn=changelog", "dc=x,dc=test", "o=ipaca")), ("dc=x,dc=test",)),
        (RootDse(contexts=("O=NetscapeRoot", "o=firm")), ("o=firm",)),
    ],
)
def test_what_the_server_calls_its_data_is_searched(root: RootDse, bases: tuple[str, ...]) -> None:
    """Customers seldom know their base; the server does."""
    assert default_bases(root) == bases


@pytest.mark.parametrize(
    ("root", "code"),
    [
        (RootDse(contexts=("dc=a", "dc=b")), "base.ambiguous"),
        (RootDse(contexts=("cn=config", "cn=monitor")), "base.unknown"),
        (RootDse(), "base.unknown"),
    ],
)
def test_when_it_is_not_clear_the_customer_is_asked(root: RootDse, code: str) -> None:
    """A wrong guess would read the wrong people."""
    with pytest.raises(Misdirected) as caught:
        default_bases(root)

    assert caught.value.code == code
