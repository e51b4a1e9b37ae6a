"""Several app registrations that share the work, as ``graphkit.toml`` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from graphkit.settings.readers import as_path_text, as_text


@dataclass(frozen=True, slots=True)
class Identity:
    """One of several app registrations, and how it proves who it is: by exactly one of the last three.

    ``client_secret`` comes from the variable that ``client_secret_variable`` names.
    """

    client_id: str
    certificate_path: str = ""
    federated_token_file: str = ""
    client_secret_variable: str = ""
    client_secret: str = field(default="", repr=False)


_PROOFS = ("certificate_path", "federated_token_file", "client_secret_variable")


def as_identities(value: object, base: Path) -> tuple[Identity, ...]:
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise ValueError("must be tables, each under [[identities]]")
    found = tuple(_identity(item, base) for item in value)
    ids = [item.client_id.lower() for item in found]
    if twice := next((one for one in ids if ids.count(one) > 1), ""):
        raise ValueError(f"{twice} is there twice")
    return found


def _identity(table: Mapping[str, object], base: Path) -> Identity:
    if "client_secret" in table:
        raise ValueError(
            "a secret does not belong here; put it into the environment or a private .env, and name its variable: "
            "client_secret_variable"
        )
    if unknown := sorted(set(table) - {"client_id", *_PROOFS}):
        raise ValueError(f"{unknown[0]}: no such key")
    client_id = as_text(table.get("client_id", ""), base)
    proofs = [name for name in _PROOFS if table.get(name)]
    if not client_id or len(proofs) != 1:
        raise ValueError(f"each needs client_id and exactly one of {', '.join(_PROOFS)}")
    read = as_text if proofs[0] == "client_secret_variable" else as_path_text
    return Identity(client_id, **{proofs[0]: read(table[proofs[0]], base)})
