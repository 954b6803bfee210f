"""What every command shares: the app, exit codes, and one sentence for every error."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated

import typer

from .. import __version__
from ..errors import MisuseError, VidvtonError

# Every core gets a process of its own (workers.py); threads inside a small matrix product would only get in their way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

DONE, FAILED, MISUSE, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="vidvton",
    add_completion=False,
    rich_markup_mode=None,  # plain help: importing rich would cost more than all the rest
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 misuse, 130 interrupted. Errors are one line on stderr."""
    try:
        signal.signal(signal.SIGTERM, _interrupt)
    except ValueError:  # not in the main thread
        pass
    try:
        code = app(arguments, standalone_mode=False, prog_name="vidvton") or DONE
        sys.stdout.flush()
        return code
    except typer.TyperException as error:
        return fail(error, error.format_message().rstrip("."), getattr(error, "exit_code", MISUSE))
    except MisuseError as error:
        return fail(error, str(error), MISUSE)
    except VidvtonError as error:
        return fail(error, str(error), FAILED)
    except (KeyboardInterrupt, typer.Abort):
        return fail(None, "stopped", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on; let the exit be quiet
        return FAILED
    except Exception as error:
        return fail(error, explain(error), FAILED)


def explain(error: Exception) -> str:
    """One sentence for an error nobody turned into one before."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free some space and run the command again"
    if isinstance(error, MemoryError):
        return "there is not enough memory for this; close other programs or give a smaller clip"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else f"the system refused: {error.strerror}"
    return f"something unexpected went wrong ({type(error).__name__}: {error}); VIDVTON_DEBUG=1 shows where"


def fail(error: BaseException | None, sentence: str, code: int) -> int:
    """Print one sentence for what went wrong, with a traceback before it where VIDVTON_DEBUG=1, and return `code`."""
    if error is not None and os.environ.get("VIDVTON_DEBUG") == "1":
        traceback.print_exception(error)
    print(f"vidvton: {' '.join(sentence.split())}", file=sys.stderr)
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vidvton {__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def vidvton(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Video virtual try-on: the same clip, with the garment worn."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
