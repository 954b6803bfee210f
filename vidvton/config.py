"""Settings from YAML files into typed, frozen models, and back. Anything doubtful is an error naming file and key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import MisuseError

MAX_BYTES = 256 * 1024
"""A configuration is a page or two of text; anything larger is the wrong file."""


class Strict(BaseModel):
    """A frozen settings model: no unknown keys, no coercion (the text "3" is not the number 3)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def read_config(path: Path, model: type[Model]) -> Model:
    """The settings in YAML file `path` as a `model`; keys left out take its defaults.

    MisuseError for a file that is missing, too large or not YAML, for aliases and duplicate keys, unknown keys (naming the
    nearest) and values of the wrong type or range.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise MisuseError(f"{path} is not a file, expected a YAML configuration")
        if size > MAX_BYTES:
            raise MisuseError(f"{path} has {size} bytes, expected a YAML configuration of at most {MAX_BYTES}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise MisuseError(f"configuration {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MisuseError(f"{path} is not UTF-8 text, expected a YAML configuration") from error
    return parse_config(text, model, name=str(path))


def parse_config(text: str, model: type[Model], *, name: str) -> Model:
    """Like `read_config`, from the text itself; `name` is what errors call it."""
    try:
        data = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise MisuseError(f"{name} is not plain YAML: {_yaml_problem(error)}") from error
    except RecursionError:
        raise MisuseError(f"{name} is nested too deeply for a configuration") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise MisuseError(f"{name} holds a {_kind(data)}, expected keys and values (key: value)")
    return _validated(data, model, name)


def overlay(settings: Model, changes: dict[str, Any], *, name: str) -> Model:
    """`settings` with `changes` (nested like the model; None leaves a value alone) on top; errors as `parse_config`."""
    return _validated(_merged(settings.model_dump(mode="json"), changes), type(settings), name)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    out = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = _merged(out[key], value)
        elif value is not None:
            out[key] = value
    return out


def _validated(data: dict[str, Any], model: type[Model], name: str) -> Model:
    try:
        # Through JSON, so that lists may fill tuples while text is still not a number.
        return model.model_validate_json(json.dumps(data, allow_nan=False))
    except ValidationError as error:
        raise MisuseError(f"{name}: {_first_problem(error, model)}") from error
    except (TypeError, ValueError) as error:
        raise MisuseError(f"{name} holds a value no setting can have ({error})") from error


def write_config(model: BaseModel) -> str:
    """The settings as YAML text that `parse_config` reads back to an equal model."""
    return yaml.safe_dump(model.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def nearest(word: str, words: list[str] | tuple[str, ...]) -> str:
    """A half sentence for an error: "did you mean X?" where one of `words` is near, else the whole list."""
    close = get_close_matches(word, words, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else "expected one of " + ", ".join(words)


class _Loader(yaml.SafeLoader):
    """YAML without aliases (they multiply), duplicate keys (the last would win silently), dates and base-60 numbers."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not allowed", problem_mark=self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise yaml.MarkedYAMLError(problem="a key is not plain text", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} stands there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in pairs if tag.rsplit(":", 1)[1] in ("bool", "null")]
    for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?\d[\d_]*\Z"), list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d[\d_]*\.\d*([eE][-+]\d+)?\Z"), list("-+0123456789"))


def _yaml_problem(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    mark = getattr(error, "problem_mark", None)
    return f"{problem} (line {mark.line + 1})" if mark is not None else str(problem)


def _kind(value: object) -> str:
    names = {str: "text", bool: "truth value", int: "number", float: "number", list: "list", dict: "group of keys"}
    return names.get(type(value), "missing value" if value is None else type(value).__name__)


def _first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """One sentence for the first thing wrong; unknown keys come first, for they often explain the rest."""
    problems = sorted(error.errors(include_url=False), key=lambda p: p["type"] != "extra_forbidden")
    problem = problems[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        owner = _model_at(model, problem["loc"][:-1])
        return f"unknown key {key!r}; {nearest(str(problem['loc'][-1]), list(owner.model_fields))}"
    if problem["type"] == "missing":
        return f"key {key!r} is missing"
    value, message = problem["input"], problem["msg"]
    nested = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(entry, dict) for entry in value))
    if problem["type"] == "value_error" and nested:
        return f"{key}: {message.removeprefix('Value error, ')}"
    message = _EXPECTED.get(problem["type"]) or message.removeprefix("Value error, ").replace("Input should be", "expected", 1)
    sentence = f"{key} is {json.dumps(value)} ({_kind(value)}), {message}"
    if isinstance(value, str) and problem["type"] in ("float_type", "int_type") and _is_number(value):
        sentence += _number_hint(value, whole=problem["type"] == "int_type")
    return sentence


_EXPECTED = {
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
    "string_type": "expected text",
    "model_type": "expected a group of keys",
}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number_hint(text: str, *, whole: bool) -> str:
    if whole:
        return f"; write {float(text):.0f}" if float(text).is_integer() else ""
    number = repr(float(text))
    if "e" in number and "." not in number:  # YAML reads 1e-4 as text: it wants the point
        number = number.replace("e", ".0e")
    return f"; write {number}" if number != "inf" else ""


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that holds the keys at `loc`, following nested models through lists and optional fields."""
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            inner = next(_models_in(model.model_fields[part].annotation), None)
            model = inner or model
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
