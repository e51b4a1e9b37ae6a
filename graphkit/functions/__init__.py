"""Azure Functions as a door: triggers that call the very jobs that the command line calls.

The life of a run that came by HTTP:

1. ``start``    the request is validated and stored under its id, one queue message goes out, the answer is 202
2. ``work``     the message is taken: the run is planned, and stops there
3. ``approve``  somebody else, with another key, has the plan carried out: another message
4. ``work``     one slice, until a minute before the host's time-out, then the next message
5. the end      finished (exit code 0), partly-failed (3), blocked (6), failed or cancelled

Handlers are plain functions over a :class:`~graphkit.functions.deployment.Deployment`; ``app`` alone knows
``azure.functions``. Only ``work`` opens run files: what the others say is in small files beside them.
"""
