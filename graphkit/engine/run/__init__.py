"""What a run file holds, topic by topic: :class:`graphkit.engine.runfile.RunFile` is all of it."""
