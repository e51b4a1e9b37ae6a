"""The tables of the simulated tenant against what no one here wrote: Microsoft's SDK, published exports, the core's."""

from __future__ import annotations

import functools
import gzip
import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from graphkit.protocol.schema import schema as core_schema
from graphkit.protocol.schema.facts import FACTS
from graphkit.sandbox.data import generate, generate_beta
from graphkit.sandbox.schema import facts as schema_facts
from graphkit.sandbox.schema import tables

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
METADATA = SHARED / "metadata" / "v1.0-Prod.csdl.gz"
DATA = Path(tables.__file__).parents[1] / "data"


@pytest.mark.skipif(not METADATA.exists(), reason="the published metadata is not beside this checkout")
def test_the_committed_table_is_what_the_generator_makes_of_the_metadata():
    root = ElementTree.fromstring(gzip.decompress(METADATA.read_bytes()))
    assert (DATA / "schema.json").read_text("utf-8") == generate.dump(generate.build(root, tables.v1()["date"]))


@functools.cache
def models_of(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations if spec else None) or ():
        models = Path(place) / "generated" / "models"
        if models.is_dir():
            return models
    return None


@pytest.mark.skipif(models_of("msgraph_beta") is None, reason="msgraph-beta-sdk, which is big, is not installed")
def test_the_committed_table_of_beta_is_what_the_generator_makes_of_the_sdk():
    version = importlib.metadata.version("msgraph-beta-sdk")
    if version not in tables.beta()["source"]:
        pytest.skip(f"made from {tables.beta()['source']}, not from {version}")
    made = generate_beta.build(models_of("msgraph_beta"), version, tables.v1())
    assert (DATA / "beta.json").read_text("utf-8") == generate.dump(made)


MODELS = {
    "entity": """
class Entity(AdditionalDataHolder, BackedModel, Parsable):
    def get_field_deserializers(self):
        fields = {"id": lambda n : setattr(self, 'id', n.get_str_value()),}
        return fields
""",
    "box": """
from .colour import Colour
from .entity import Entity
from .lids.lid import Lid
class Box(Entity, Parsable):
    def get_field_deserializers(self):
        fields = {
            "@odata.type": lambda n : setattr(self, 'odata_type', n.get_str_value()),
            "colours": lambda n : setattr(self, 'colours', n.get_collection_of_enum_values(Colour)),
            "depth": lambda n : setattr(self, 'depth', n.get_int_value()),
            "inner": lambda n : setattr(self, 'inner', n.get_collection_of_object_values(Box)),
            "lid": lambda n : setattr(self, 'lid', n.get_object_value(Lid)),
            "tags": lambda n : setattr(self, 'tags', n.get_collection_of_primitive_values(str)),
        }
        return fields
    def serialize(self, writer):
        writer.write_enum_value("colours", self.colours)
""",
    "colour": """
class Colour(str, Enum):
    Red = "red",
    Blue = "blue",
""",
    "lids/lid": """
class Lid(AdditionalDataHolder, BackedModel, Parsable):
    def get_field_deserializers(self):
        fields = {"madeOn": lambda n : setattr(self, 'made_on', n.get_date_value()),}
        return fields
""",
    "lids/heavy_lid": """
from .lid import Lid
class HeavyLid(Lid, Parsable):
    def get_field_deserializers(self):
        fields = {}
        return fields
""",
}


def test_the_generator_of_beta_keeps_what_v1_lacks(tmp_path, monkeypatch):
    for name, text in MODELS.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    types = {
        "entity": {"properties": {"id": "String!"}},
        "box": {"base": "entity", "properties": {"depth": "Int32!", "colours": "colour"}},
    }
    v1 = {"types": types, "enums": {"colour": {"members": ["red"], "flags": True}}, "segments": {}}
    monkeypatch.setattr(generate_beta, "WANTED", "")
    monkeypatch.setattr(generate_beta, "FAMILIES", "")
    made = generate_beta.Difference(generate_beta.Models(tmp_path), v1)
    made.run()
    assert made.added == {"entity": {}, "box": {"inner": ">*box", "lid": "lids.lid", "tags": "*String"}}
    assert made.types == {
        "lids.lid": {"properties": {"madeOn": "Date"}},
        "lids.heavyLid": {"properties": {}, "base": "lids.lid"},
    }
    assert made.enums == {"colour": {"members": ["red", "blue"], "flags": True}}


def test_the_tables_name_their_source_and_stay_small():
    assert tables.v1()["source"].startswith("microsoftgraph/msgraph-metadata")
    assert tables.beta()["source"].startswith("msgraph-beta-sdk")
    assert sum(path.stat().st_size for path in DATA.glob("*.json")) < 600_000


@pytest.mark.parametrize("version", ["v1.0", "beta"])
def test_every_type_that_a_property_names_is_known(version):
    missing = set()
    for name in [*tables.v1()["types"], *(tables.beta()["types"] if version == "beta" else [])]:
        for declared in tables.find_type(name, version).properties.values():
            kind = declared.strip(">*!")
            linked = declared.startswith(">") or kind[0].isupper()  # what is merely linked to may be unknown
            if not linked and not tables.find_type(kind, version) and not tables.find_enum(kind, version):
                missing.add(kind)
    assert missing == set()


def test_beta_holds_the_difference_only():
    v1, beta = tables.v1(), tables.beta()
    assert not v1["types"].keys() & beta["types"].keys()
    changed = {
        (name, prop): (tables.find_type(name).properties[prop], kind)
        for name, row in beta["added"].items()
        for prop, kind in row.items()
        if prop in tables.find_type(name).properties
    }
    assert changed == {
        ("group", "settings"): (">*groupSetting", ">*directorySetting"),
        ("user", "externalUserStateChangeDateTime"): ("DateTimeOffset", "String"),
        ("voiceAuthenticationMethodConfiguration", "includeTargets"): (
            ">*authenticationMethodTarget",
            ">*voiceAuthenticationMethodTarget",
        ),
    }


# -- Microsoft's SDK, read as text: importing its models costs seconds


@functools.cache
def sdk_files() -> dict[str, Path]:
    folder = models_of("msgraph")
    return {path.stem.replace("_", ""): path for path in folder.glob("*.py")} if folder else {}


SDK_VERSION = importlib.metadata.version("msgraph-sdk") if sdk_files() else ""
needs_sdk = pytest.mark.skipif(not SDK_VERSION, reason="msgraph-sdk (the extra `sdk`) is not installed")
same_sdk = pytest.mark.skipif(SDK_VERSION != "1.65.0", reason="compared with msgraph-sdk 1.65.0; others know more")

CLASS = re.compile(r"^class (\w+)\((\w+)", re.M)
FIELD = re.compile(r'^ +"(\w+)": lambda n : setattr\(self, \'\w+\', n\.get_(\w+?)_values?\((\w*)\)', re.M)
WRITTEN = re.compile(r'writer\.write_enum_value\("(\w+)"')
MEMBER = re.compile(r'^    \w+ = "(\w+)",', re.M)

COARSE = {
    **dict.fromkeys(["Byte", "Int16", "Int32", "Int64"], "int"),
    **dict.fromkeys(["Double", "Single", "Decimal"], "float"),
    **dict.fromkeys(["Binary", "Stream"], "bytes"),
    "String": "str",
    "Boolean": "bool",
    "DateTimeOffset": "datetime",
    "Date": "date",
    "TimeOfDay": "time",
    "Duration": "timedelta",
    "Guid": "uuid",
}


def sdk_properties(name: str) -> dict[str, str]:
    """``property -> str, bool, int .., object, enum, flags, list of str ..`` of one model, without its bases'."""
    text = sdk_files()[name.lower()].read_text("utf-8")
    written_as_one = set(WRITTEN.findall(text))
    found = {}
    for prop, getter, of in FIELD.findall(text):
        item = getter.removeprefix("collection_of_")
        kind = of.lower() if item == "primitive" else item
        if item == getter:
            found[prop] = kind
        else:
            found[prop] = "flags" if kind == "enum" and prop in written_as_one else f"list of {kind}"
    return found


def own_properties(name: str) -> dict[str, str]:
    found = {}
    for prop, declared in tables.v1()["types"][name]["properties"].items():
        kind = declared.strip(">*!")
        enum = tables.find_enum(kind)
        coarse = COARSE.get(kind) or (("flags" if enum["flags"] else "enum") if enum else "object")
        found[prop] = f"list of {coarse.replace('flags', 'enum')}" if "*" in declared else coarse
    return found


KNOWN_TO_THE_SDK_ONLY = {
    # The SDK is made from newer metadata than that of 2026-08-20, which the table is made from.
    "authenticationBehaviors": {"coopEnforcement"},
    "crossTenantAccessPolicyConfigurationDefault": {"m365Capabilities"},
    "crossTenantAccessPolicyConfigurationPartner": {"m365Capabilities"},
    "user": {"notes"},
}


@needs_sdk
def test_every_property_has_the_type_that_msgraph_sdk_gives_it():
    differing = {}
    for name in tables.v1()["types"]:
        theirs = sdk_properties(name)
        wrong = {prop: (kind, theirs.get(prop)) for prop, kind in own_properties(name).items()}
        differing.update({(name, prop): pair for prop, pair in wrong.items() if pair[0] != pair[1]})
    assert differing == {}


@needs_sdk
@same_sdk
def test_the_table_has_every_property_of_msgraph_sdk():
    names = tables.v1()["types"]
    missing = {name: sdk_properties(name).keys() - own_properties(name).keys() for name in names}
    assert {name: extra for name, extra in missing.items() if extra} == KNOWN_TO_THE_SDK_ONLY


@needs_sdk
def test_every_type_has_the_base_that_msgraph_sdk_gives_it():
    differing = {}
    for name, row in tables.v1()["types"].items():
        base = CLASS.search(sdk_files()[name.lower()].read_text("utf-8"))[2]
        ours = row.get("base", "")
        if ours.lower() != ("" if base in ("AdditionalDataHolder", "Parsable") else base.lower()):
            differing[name] = (ours, base)
    assert differing == {}


@needs_sdk
def test_every_enumeration_has_the_members_of_msgraph_sdk():
    differing = {}
    for name, row in tables.v1()["enums"].items():
        theirs = MEMBER.findall(sdk_files()[name.lower()].read_text("utf-8"))
        if theirs[: len(row["members"])] != row["members"]:
            differing[name] = (row["members"], theirs)
    assert differing == {}


# -- what real tenants have exported


def documents(*folders: str) -> Iterator[dict]:
    for folder in folders:
        for path in sorted((SHARED / folder).rglob("*.json")):
            raw = path.read_bytes()
            text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
            found = json.loads(text)
            yield from found if isinstance(found, list) else [found]


def kind_of(document: dict) -> str:
    """The type that an export tells of itself, or that of a policy or group, which tell none."""
    claimed = str(document.get("@odata.type", "")).rpartition(".")[2]
    if claimed or not isinstance(document.get("conditions"), dict):
        return claimed or ("group" if "mailNickname" in document else "")
    return "conditionalAccessPolicy"


def unknown(item: dict, expected: str, version: str = "beta") -> Iterator[tuple[str, str]]:
    kind = str(item.get("@odata.type", expected)).rpartition(".")[2]
    found = tables.find_type(kind, version)
    if found is None:
        yield kind, ""
        return
    for name, value in item.items():
        declared = found.properties.get(name)
        if "@" in name or "#" in name or found.open:
            continue
        if declared is None:
            yield kind, name
        elif value is None and (declared.endswith("!") or "*" in declared):
            yield kind, f"{name} is null"
        inside = (declared or "").strip(">*!")
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict) and tables.find_type(inside, version):  # not what is merely linked to
                yield from unknown(inner, inside, version)


NOT_MODELLED = {"officeSuiteApp", "windowsMicrosoftEdgeApp"}
ODDITIES = {
    ("conditionalAccessPolicy", "GrantControls"),  # one document has it twice, once misspelt
}


@pytest.mark.skipif(not SHARED.exists(), reason="the published exports are not beside this checkout")
def test_every_property_of_the_published_exports_is_known_and_none_that_cannot_be_null_is():
    folders = ("conditional-access-baseline", "conditional-access-templates", "windows10-intune")
    kinds = [(document, kind_of(document)) for document in documents(*folders)]
    seen = {kind for _, kind in kinds}
    assert {"conditionalAccessPolicy", "group", "countryNamedLocation", "windowsUpdateForBusinessConfiguration"} <= seen
    checked = [(document, kind) for document, kind in kinds if kind and kind not in NOT_MODELLED]
    assert {row for document, kind in checked for row in unknown(document, kind)} == ODDITIES


# -- the core, which keeps tables of its own

CORE_ONLY_TYPES = {
    # Heirs of entities that the simulated tenant does not model.
    "agentUser",
    "userScopeTeamsAppInstallation",
    "whatIfAnalysisResult",
    # The values of administrative templates: the simulated tenant keeps them, and does not look into them.
    "groupPolicyDefinitionValue",
    "groupPolicyPresentationValue",
    *(f"groupPolicyPresentationValue{kind}" for kind in ("Boolean", "Decimal", "List", "LongDecimal")),
    *(f"groupPolicyPresentationValue{kind}" for kind in ("MultiText", "Text")),
}
CORE_ONLY_ENUMS = {"whatIfAnalysisReasons", "groupPolicyConfigurationType"}  # used by those alone
LEFT_OUT_BY_THE_CORE = {
    # The core's beta.json is kept by hand and has what recipes write; here is what the SDK and exports tell besides.
    "deviceCompliancePolicyAssignment": "source sourceId",
    "authenticationStrengthPolicy": "deletedDateTime",
    "conditionalAccessApplications": "globalSecureAccess networkAccess",
    # The core drops these from what it reads (its mark "noise"): exports have them as null.
    "conditionalAccessConditionSet": "times",
    "conditionalAccessPolicy": "partialEnablementStrategy",
    "conditionalAccessSessionControls": "blockSensitiveActions networkAccessSecurity",
    "channel": "joinedUsers moderationSettings planner",
    "team": "discoverySettings isMembershipLimitedToOwners owners templateDefinition",
    "teamsAppInstallation": "scopeInfo",
    "group": "cloudLicensing disableNesting endpoints membershipRuleProcessingStatus",
    "mailboxSettings": "userPurposeV2",
    "user": "analytics appConsentRequestsForApproval appRoleAssignedResources approvals cloudLicensing cloudPcPools"
    " cloudRealtimeCommunicationInfo communications deviceEnrollmentConfigurations deviceKeys devices"
    " distributionLists identityGovernance infoCatalogs informationProtection invitedBy isLicenseReconciliationNeeded"
    " joinedGroups lifecycle managedAppLogCollectionRequests mobileAppIntentAndStates mobileAppTroubleshootingEvents"
    " notifications onPremisesSipInfo pendingAccessReviewInstances profile refreshTokensValidFromDateTime security"
    " transitiveReports usageRights virtualEvents windowsInformationProtectionDeviceRegistrations",
}
TYPED_OTHERWISE_IN_BETA = {("group", "settings"), ("user", "externalUserStateChangeDateTime")}
"""The core takes v1.0's types for beta; see test_beta_holds_the_difference_only."""
ENUMS_GROWN_IN_BETA = {
    # The core takes v1.0's members for beta.
    "userPurpose": {"unknown"},
}


def core_names(version: str) -> tuple[set[str], set[str]]:
    known = core_schema(version)
    types, enums = set(known._types), set(known._enums)
    found_types = {name for name in types if tables.find_type(name, version)}
    found_enums = {name for name in enums if tables.find_enum(name, version)}
    assert types - found_types <= CORE_ONLY_TYPES
    assert enums - found_enums <= CORE_ONLY_ENUMS
    return found_types - CORE_ONLY_TYPES, found_enums - CORE_ONLY_ENUMS


def as_the_core_has_it(name: str, version: str) -> dict[str, str]:
    return {
        found.name: f"{'>' if found.relation else ''}{'*' if found.collection else ''}{found.type}"
        + ("" if found.nullable else "!")
        for found in core_schema(version).structured(name).properties.values()
    }


def test_the_core_and_the_simulated_tenant_know_the_same_v1():
    types, _ = core_names("v1.0")
    assert len(types) > 90
    assert {n for n in types if as_the_core_has_it(n, "v1.0") != tables.find_type(n, "v1.0").properties} == set()


def test_what_the_core_knows_of_beta_is_in_the_table_made_from_the_sdk():
    types, _ = core_names("beta")
    left_out, differing = {}, set()
    for name in types:
        theirs, ours = as_the_core_has_it(name, "beta"), tables.find_type(name, "beta").properties
        assert theirs.keys() <= ours.keys(), name
        own = ours.keys() - theirs.keys() - inherited(name)
        left_out.update({name: own} if own else {})
        differing |= {(name, prop) for prop, kind in theirs.items() if kind != ours[prop]}
    assert left_out == {name: set(names.split()) for name, names in LEFT_OUT_BY_THE_CORE.items()}
    assert differing == TYPED_OTHERWISE_IN_BETA


def inherited(name: str) -> set[str]:
    base = (tables.v1()["types"].get(name) or tables.beta()["types"][name]).get("base")
    return set(tables.find_type(base, "beta").properties) if base else set()


@pytest.mark.parametrize("version", ["v1.0", "beta"])
def test_enumerations_differ_by_the_sentinel_and_by_what_beta_adds(version):
    """The core leaves unknownFutureValue out: it is never to be written."""
    _, enums = core_names(version)
    assert enums
    grown = {}
    for name in enums:
        theirs, ours = core_schema(version).type(name), tables.find_enum(name, version)
        extra = set(ours["members"]) - {*theirs.members, "unknownFutureValue"}
        grown.update({name: extra} if extra else {})
        assert theirs.flags == ours["flags"]
        assert set(theirs.members) <= set(ours["members"]), name
    assert grown == (ENUMS_GROWN_IN_BETA if version == "beta" else {})


FACTS_THAT_DIFFER = {
    # (mark, kind): what only the core has; the pages do not mark it, so the simulated tenant lets it be sent.
    ("read_only", "conditionalAccessPolicy"): "templateId",
    ("read_only", "channel"): "summary",
    ("read_only", "team"): "summary",
    ("read_only", "group"): "onPremisesProvisioningErrors serviceProvisioningErrors",
    ("read_only", "user"): "creationType externalUserStateChangeDateTime serviceProvisioningErrors",
    # The simulated tenant lets these be sent and passes them over, as the service was seen to do.
    ("read_only", "deviceConfiguration"): "supportsScopeTags",
    ("read_only", "deviceManagementConfigurationPolicy"): "creationSource",
    ("read_only", "groupPolicyConfiguration"): "policyConfigurationIngestionType",
    ("read_only", "windowsUpdateForBusinessConfiguration"): "featureUpdatesPauseExpiryDateTime"
    " featureUpdatesRollbackStartDateTime qualityUpdatesPauseExpiryDateTime qualityUpdatesRollbackStartDateTime",
}
FACTS_BESIDES = {
    # What only the simulated tenant has: inherited there (deletedDateTime) or never written by a recipe.
    ("read_only", "conditionalAccessPolicy"): "deletedDateTime",
    ("read_only", "namedLocation"): "deletedDateTime",
    ("read_only", "authenticationStrengthPolicy"): "requirementsSatisfied",
    ("read_only", "group"): "membershipRuleProcessingStatus",
    ("immutable", "group"): "resourceBehaviorOptions",
}


def test_both_keep_the_same_facts_by_hand():
    ours = {
        "read_only": schema_facts.READ_ONLY,
        "immutable": schema_facts.IMMUTABLE,
        "required": schema_facts.REQUIRED,
    }
    theirs: dict[tuple[str, str], set[str]] = {}
    for fact in FACTS:
        if fact.type in ours.get(fact.mark, {}):
            theirs.setdefault((fact.mark, fact.type), set()).update(fact.properties.split())
    assert len(theirs) >= 12
    pairs = {key: (names, ours[key[0]][key[1]] - {"id"}) for key, names in theirs.items()}
    missing = {key: (a - {"id"}) - b for key, (a, b) in pairs.items() if (a - {"id"}) - b}
    besides = {key: b - a for key, (a, b) in pairs.items() if b - a}
    assert missing == {key: set(names.split()) for key, names in FACTS_THAT_DIFFER.items()}
    assert besides == {key: set(names.split()) for key, names in FACTS_BESIDES.items()}
