"""Where a run belongs: the tenant, the way there and the apps that it was planned for."""

from __future__ import annotations

from graphkit.engine.runfile import RunFile
from graphkit.errors import WrongTenant
from graphkit.session import Session


def check_place(session: Session, run: RunFile) -> None:
    """Raises ``WrongTenant`` unless the session is where the run was planned, as whom it was planned."""
    header = run.header()
    if header["tenant"] != session.tenant.id:
        raise WrongTenant(
            f"{run.path} was planned for tenant {header['tenant']}, and this is {session.tenant.shown}",
            hint="sign in to the tenant of the plan, or plan again here",
        )
    if header["target"] != str(session.target):
        raise WrongTenant(f"{run.path} was planned against {header['target']}, not {session.target}")
    if header["apps"] != session.apps:
        several = len(header["apps"]) > 1
        raise WrongTenant(
            f"{run.path} was planned with the app{'s' if several else ''} {', '.join(header['apps'])}, "
            f"not {', '.join(session.apps)}",
            hint=f"apply with the same app registration{'s' if several else ''}, or plan again",
        )
