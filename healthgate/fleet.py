"""`healthgate fleet`: the units as operators handle them. Each command's code is in a module of its own, healthgate/fleet_*.py."""

from __future__ import annotations

import typer

from healthgate import asyncapi, fleet_enrol, fleet_live, fleet_run, fleet_set, fleet_show, fleet_update

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help="Enrol, govern and watch the units.")


@app.callback()
def fleet() -> None:
    """Enrol, govern and watch the units."""


app.command()(fleet_enrol.enrol)
app.command()(fleet_enrol.retire)
app.command()(fleet_enrol.operator)
app.command()(fleet_enrol.access)
app.command("ls")(fleet_show.ls)
app.command("show")(fleet_show.show)
app.command("watch")(fleet_live.watch)
app.command("events")(fleet_live.show_events)
app.command("run")(fleet_run.run)
app.command("update")(fleet_update.update)
app.command("set")(fleet_set.set_keys)
app.command("diff")(fleet_set.diff)
app.command("asyncapi")(asyncapi.write_description)
