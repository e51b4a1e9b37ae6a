"""Plan and apply: knows Change, Step and Outcome, never a user, a team or a policy."""
