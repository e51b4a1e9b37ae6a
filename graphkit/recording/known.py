"""What may stand in a cassette as it is: the allow-list. All else is replaced.

``names.txt`` is generated (``tools/recording_names.py``) and holds what is Microsoft's own; the rest is kept by hand
here.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

KEPT_HEADERS = frozenset(
    {
        "content-type",
        "date",
        "preference-applied",
        "retry-after",
        "x-ms-resource-unit",
        "x-ms-throttle-information",
        "x-ms-throttle-limit-percentage",
    }
)
"""Of answers; ``location`` and ``request-id`` are replaced, what else there is stays out. Of requests none is kept."""

VALUES = frozenset(
    {
        "All",
        "All devices",
        "All users",
        "AllTrusted",
        "General",
        "GuestsOrExternalUsers",
        "MicrosoftAdminPortals",
        "None",
        "Office365",
        "ServicePrincipalsInMyTenant",
    }
)
"""Whole values that Graph or a recipe gives a meaning (resources/conditionalaccessusers.md,
conditionalaccessapplications.md; Intune's assignments to everybody)."""

_FIELDS = """
accountenabled action actiontype allowbeta allowedmembertypes api applicationtype appliesto assignmentstate
authenticationmethod authenticationtype builtincontrols capabilities capabilitystatus channeltype clientapptypes code
creationoptions deviceregistrationstate devicetype disabledplans enrollmenttype error errorcode format grouptypes kind
level licenseerror membershipruleprocessingstate membershiptype memberstype mode operatingsystem operation operator
platform platformtype preferredlanguage provisioningstatus resourcebehavioroptions resourceprovisioningoptions
resourcetype roles rulename service serviceplanname serviceprincipaltype severity signinaudience sku skupartnumber
specialization state status targettype tenanttype theme type usertype visibility
"""
FIELDS = frozenset(_FIELDS.split())
"""Properties and columns, in lower case without ``_``, whose values are words of Graph or of a recipe."""

COUNTRIES = frozenset({"countriesandregions", "countries", "country", "countrylettercode", "usagelocation"})
"""Whose values stay if they are codes of two letters."""

VERSIONS = re.compile(
    r"(os)?(minimum|maximum|floor|version|osversion|osfloor|osminimumversion|osmaximumversion|.*version)"
)
"""Properties and columns whose values are version numbers."""

PERSONAL_DATES = frozenset({"birthday", "employeehiredate", "employeeleavedatetime", "hiredate"})
"""Moved by a number of days that the key gives."""

PHONES = frozenset({"businessphones", "mobilephone", "faxnumber", "phonenumber", "phone", "mobile", "telephonenumber"})

ADDRESSES = frozenset({"ipaddress", "cidraddress", "ipranges", "loweraddress", "upperaddress"})
"""Of a network."""

CUSTOM = frozenset({"customsecurityattributes"})
"""Below these, names are the tenant's too."""

CERTIFICATES = frozenset(
    {
        *("key", "customkeyidentifier", "certificate", "thumbprint", "trustedrootcertificate", "x5c", "photo"),
        *("publickey", "symmetrickey", "hardwareidentifier"),
    }
)
"""Key material, and what is as good as it. Never written, whatever it looks like; ``key`` only where it is long."""

WORDS = frozenset(
    {
        *("csv", "json", "jsonl", "yaml", "yml", "txt", "tsv"),
        *("pool", "gk", "ca"),  # what recipes put into the names that they make
        *("example", "onmicrosoft"),
        *("standard", "private", "shared"),  # teamsTemplates('standard'), and kinds of channels in an input
    }
)
"""Words that stay wherever they stand, beside the names of products and service plans."""

FILE_WORDS = frozenset(
    {
        *("access", "assign", "bind", "compliance", "conditional", "devices", "groups", "input", "inputs", "leavers"),
        *("licenses", "map", "members", "movers", "people", "policies", "pools", "project", "provision", "roles"),
        *("rosters", "starters", "staff", "teams", "users"),
    }
)
"""Words that may stand in the name of an input file, beside those that the service uses."""

PUBLIC_DOMAINS = (
    "aka.ms",
    "microsoft.com",
    "microsoftonline.com",
    "odata.bind",
    "thread.skype",
    "thread.tacv2",
    "unq.gbl.spaces",
    "w3.org",
    "windows.net",
)
"""Not a tenant's; what stands below them is no person's either."""


@cache
def names(section: str) -> frozenset[str]:
    """One section of ``names.txt``: path, enum and time as the metadata spells them; message, word, guid."""
    found: set[str] = set()
    current = ""
    for line in resources.files(__package__).joinpath("names.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif current == section and not line.startswith("#"):
            found.update(line.split())
    return frozenset(found)


def plain(field: str) -> str:
    """``usage_location`` and ``usageLocation`` are one."""
    return field.lower().replace("_", "").replace("-", "").replace(" ", "")


@cache
def enumerated() -> frozenset[str]:
    """Of the metadata's, those of several words: a column called ``channel`` or ``brand`` may hold anything."""
    return FIELDS | {plain(name) for name in names("enum") if not name.islower()}


@cache
def timed() -> frozenset[str]:
    return frozenset(plain(name) for name in names("time")) | {"createddatetime", "lastupdatedatetime", "datetime"}
