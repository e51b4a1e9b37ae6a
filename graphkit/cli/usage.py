"""What ``graphkit --help`` says. It imports nothing: scripts and people ask for it often."""

COMMANDS = {
    "demo": "The whole job on a simulated tenant, in seconds",
    "init": "Start a folder: graphkit.toml, .env and inputs to fill in",
    "auth": "Sign in and out, and see what may be done",
    "recipe": "The recipes, and starter inputs for them",
    "validate": "Check inputs without asking the tenant",
    "plan": "Work out what would change, and keep it as a run file",
    "show": "What a run would do, or did",
    "apply": "Carry out a plan",
    "resume": "Go on with a run that stopped",
    "drift": "What the tenant no longer holds as the inputs ask for it",
    "export": "The tenant's policies as clean files, one a policy",
    "runs": "The runs on this machine: list, export, compare, purge",
    "report": "Licences, MFA, patching ... as they are, or how a run ended",
    "undo": "Take back what a run did",
    "quota": "Microsoft's limits, our share of them, and what is used now",
    "graph": "Single requests to Microsoft Graph, over the same transport",
    "record": "Run a command and record what it says to Graph, in pseudonyms",
    "sim": "The simulated tenant: serve, seed, spoil, read and compare it",
    "config": "Settings: what counts, where it comes from, how to set it",
    "doctor": "Check the set-up, and say what to do",
    "bundle": "A file for support, without secrets and without people",
    "completion": "Completion of commands in bash, zsh and fish",
}
"""A verb is ``command`` in the module of its name, imported when it is asked for."""

OPTIONS = {
    "-t, --target TARGET": "a cloud (global ...), simulated, a loopback address, replay:FILE",
    "--state FILE": "keep the simulated tenant in this file",
    "--virtual-time": "let the simulated tenant's time jump instead of pass",
    "--config FILE": "read this file instead of ./graphkit.toml",
    "-o, --output FORMAT": "table (default), json, jsonl, csv, yaml or none",
    "--query JMESPATH": "print only this part of the answer",
    "-v, --verbose": "log requests; twice: everything, and tracebacks",
    "-q, --quiet": "no progress and no remarks",
    "--log-format FORMAT": "text (default) or json",
    "--log-file FILE": "log there instead of to standard error",
    "--version": "print the version and exit",
    "-h, --help": "print this page, or that of a command, and exit",
}

EXIT_CODES = {
    0: "done, or nothing to do",
    1: "error",
    2: "changes or drift found (plan --detailed-exitcode, drift)",
    3: "partly failed; resumable",
    4: "sign-in or consent",
    5: "usage or input",
    6: "blocked by a safety rail",
    7: "stopped by quota or deadline; resumable",
    130: "interrupted; resumable",
}


def page() -> str:
    """The whole help page, 80 columns wide at most."""
    sections = {
        "Commands": COMMANDS,
        "Options, before or after the command": OPTIONS,
        "Exit codes": {str(code): meaning for code, meaning in EXIT_CODES.items()},
    }
    lines = [
        "Usage: graphkit [OPTIONS] COMMAND [ARGUMENTS]",
        "",
        "Bulk changes to Microsoft 365 tenants through Microsoft Graph: planned, paced,",
        "resumable, provable. graphkit COMMAND --help tells more.",
    ]
    for title, entries in sections.items():
        width = max(map(len, entries))
        lines += ["", f"{title}:", *(f"  {name:<{width}}  {text}" for name, text in entries.items())]
    return "\n".join(lines)
