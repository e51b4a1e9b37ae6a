"""People: who joins, who moves and who leaves, from one file."""
