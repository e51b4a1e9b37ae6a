"""The command line: one module per verb. Parse, call an ordinary function, print.

Errors become a message, a hint and an exit code in one place, ``failure``; standard output is data only.
"""
