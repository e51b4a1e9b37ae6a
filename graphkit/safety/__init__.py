"""What a run must never do: lock the emergency accounts out, harm protected ones, gain power that nobody named.

Rails judge a plan in the making (:class:`graphkit.engine.rails.Rail`), and every write again just before it leaves
(:mod:`graphkit.safety.sentry`).
"""
