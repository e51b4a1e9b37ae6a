"""The function app: triggers and handlers are in graphkit, this file names them to the host."""

import azure.functions as func

from graphkit.functions.app import messages, runs, timers

app = func.FunctionApp()
for blueprint in (runs, messages, timers):
    app.register_functions(blueprint)
