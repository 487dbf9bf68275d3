"""The program `realnvp`, which answers signals from its first line."""

from realnvp_jax.runs.signals import StopRequest


def main() -> None:
    """Run a command."""
    with StopRequest(exits=True):  # before the imports, which take a while
        from realnvp_jax.cli.commands import main as commands

        commands(prog_name="realnvp")


if __name__ == "__main__":
    main()
