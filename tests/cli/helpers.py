"""How to call the console program."""

from click.testing import CliRunner

from realnvp_jax.cli.commands import main


def realnvp(*arguments) -> str:
    """What the program prints."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments) -> str:
    """The one sentence with which the program refuses its arguments."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code != 0
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(line) <= 410
    return line
