"""What Microsoft Graph takes: the kinds that graphkit writes, and bodies checked, cleaned and compared offline.

The core learns names, types, enums and nullability from compact tables, not from msgraph-sdk (473 MB). Usual order for
a published export: ``clean``, then ``validate``, then send; ``equal`` when a wish is compared with what is there.
"""

from __future__ import annotations

from .check import SchemaProblem, validate
from .meet import unmet, without_nulls, write
from .model import ComplexType, EntityType, EnumType, Property, Schema, StructuredType, Version, schema
from .shape import arranged, canonical, clean, equal

__all__ = [
    "ComplexType",
    "EntityType",
    "EnumType",
    "Property",
    "Schema",
    "SchemaProblem",
    "StructuredType",
    "Version",
    "arranged",
    "canonical",
    "clean",
    "equal",
    "schema",
    "unmet",
    "validate",
    "without_nulls",
    "write",
]
