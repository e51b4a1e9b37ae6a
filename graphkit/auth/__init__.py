"""Who we are: a token, its renewal, and what it may do.

``source`` keeps one token per identity; ``methods`` chooses how to authenticate; ``credentials`` asks azure-identity,
``signin`` asks MSAL; ``aadsts`` words the refusals; ``permissions`` compares. azure-identity and MSAL are imported
only when a token is really asked for.
"""

from graphkit.auth.permissions import Permissions, compare, granted, names_of_assignments, tenant_id
from graphkit.auth.signin import Account, login, logout
from graphkit.auth.source import make_token_source, make_token_sources
from graphkit.auth.status import Status, status

__all__ = [
    "Account",
    "Permissions",
    "Status",
    "compare",
    "granted",
    "login",
    "logout",
    "make_token_source",
    "make_token_sources",
    "names_of_assignments",
    "status",
    "tenant_id",
]
