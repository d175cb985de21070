"""Reading and validating settings: `params.yaml` (the science) and `stages/profiles/<profile>.yaml` (the scale).

Each stage declares what it reads in its own `settings.py`: typed fields with meaning, unit and range; unknown keys are
refused. `stages.tools.params` validates all of them together. A number that YAML reads as a string (``1e-4``, and the
``1e-05`` that ``dvc exp run -S`` writes) is understood as the number; no other value changes its type: ``true`` is no
number, and ``1.0`` no count. DVC reads the same files by rules of its own (YAML 1.2), so what the two would read
differently is refused.
"""

import codecs
import datetime
import re
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from stages.core.errors import InputError

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


def _once(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise PydanticCustomError("twice", "Expected each once")
    return values


Once = AfterValidator(_once)  # of a list of names or seeds


class Section(BaseModel):
    """A block of keys: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class View(BaseModel):
    """Some keys of a block that another stage owns and validates: immutable, other keys ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Profile(View):
    """What every run has: a profile, and with it a folder."""

    profile: str

    @property
    def folder(self) -> Path:
        """`data/<profile>`: everything a run writes."""
        return Path("data") / self.profile


Settings = TypeVar("Settings", bound=BaseModel)


class Merged:
    """params.yaml and the profile's file as one mapping, and which file each key stands in."""

    def __init__(self, root: Path = Path(), profile: str | None = None) -> None:
        self.science_path = root / "params.yaml"
        self.science = read_yaml(self.science_path)
        self.profile = profile or self.science.get("profile")
        known = sorted(path.stem for path in (root / "stages" / "profiles").glob("*.yaml"))
        if self.profile not in known:
            raise InputError(
                f"{self.science_path}: profile: found {_short(self.profile)}, expected one of {', '.join(known)}"
            )
        self.scale_path = root / "stages" / "profiles" / f"{self.profile}.yaml"
        self.scale = read_yaml(self.scale_path)
        self.values: dict[str, Any] = {**self.science, "profile": self.profile}
        for section, values in self.scale.items():
            ours, theirs = self.science.get(section) or {}, values or {}
            for path, found in ((self.science_path, ours), (self.scale_path, theirs)):
                if not isinstance(found, dict):
                    raise InputError(f"{path}: {section}: found {_short(found)}, expected keys and values")
            if twice := sorted(ours.keys() & theirs.keys()):
                raise InputError(
                    f"{self.scale_path}: {section}.{twice[0]}: also set in {self.science_path}; keep one of the two"
                )
            self.values[section] = {**ours, **theirs}

    def file(self, location: list[str]) -> Path:
        """Name the file that a key stands in."""
        section, field = [*location, "", ""][:2]
        in_scale = section in self.scale and (section not in self.science or field in (self.scale[section] or {}))
        return self.scale_path if in_scale else self.science_path

    def validate(self, model: type[Settings]) -> Settings:
        """Make settings of the values, or refuse the first mistake in one line."""
        try:
            return _validated(model, self.values)
        except _MistakeError as error:
            raise InputError(f"{self.file(error.location)}: {error.text}") from None


def load(model: type[Settings], root: Path = Path(), profile: str | None = None) -> Settings:
    """
    Read and validate the settings of one stage.

    Parameters
    ----------
    model : type
        The stage's settings: a field per section.
    profile : str, optional
        Another profile than the one that params.yaml names.

    Raises
    ------
    InputError
        One line naming file and key, what was found and what is expected.
    """
    return Merged(root, profile).validate(model)


def load_section(path: Path, name: str, section: type[Settings]) -> Settings:
    """Read and validate one section of a parameter file outside the main graph."""
    values = read_yaml(path)
    if name not in values:
        raise InputError(f"{path}: {name}: missing; expected a section of this name")
    try:
        return _validated(section, values[name])
    except _MistakeError as error:
        raise InputError(f"{path}: {name}.{error.text}") from None


class _MistakeError(Exception):
    """A mistake in the parameters: where it is, part by part, and the line that says it."""

    def __init__(self, location: list[str], text: str) -> None:
        super().__init__(text)
        self.location, self.text = location, text


def _validated(model: type[Settings], values: Any) -> Settings:
    try:
        made = model.model_validate(values)
    except ValidationError as error:
        raise _MistakeError(*mistake(error, model, values)) from None
    if changed := _retyped(values, made.model_dump()):
        location, given, became = changed
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(became)]
        description = _describe(location, model)[1]
        expected = f" ({description})" if description else ""
        raise _MistakeError(location, f"{'.'.join(location)}: found {_short(given)}, expected {kind}{expected}")
    return made


def _retyped(given: Any, made: Any, location: tuple[str, ...] = ()) -> tuple[list[str], Any, Any] | None:
    """Find a value whose type changed on the way, but for numbers that were written as text, or whole."""
    if isinstance(given, dict) and isinstance(made, dict):
        pairs = [(str(key), value, made[key]) for key, value in given.items() if key in made]
    elif isinstance(given, (list, tuple)) and isinstance(made, (list, tuple)):
        pairs = [(str(place), *pair) for place, pair in enumerate(zip(given, made, strict=False))]
    else:
        kept = type(given) is type(made) or type(made) not in (bool, int, float)
        kept = kept or (type(made) is float and (type(given) is int or (type(given) is str and "_" not in given)))
        held = type(made) is not int or abs(made) < 2**63
        return None if kept and held else (list(location), given, made)
    found = (_retyped(value, other, (*location, name)) for name, value, other in pairs)
    return next((mistake for mistake in found if mistake), None)


def check_member(option: str, value: object, known: list[Any], key: str) -> None:
    """Refuse an option of a command line that is none of the values of a key in params.yaml."""
    if value not in known:
        raise InputError(
            f"--{option}: found {value}, expected one of {', '.join(map(str, known))} (params.yaml: {key})"
        )


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values; a key that comes twice is refused."""
    try:
        data = path.read_bytes()
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # and UTF-32
            raise InputError(f"{path}: found UTF-16 or UTF-32, which DVC does not read; save the file as UTF-8")
        values = yaml.load(data, _Loader)  # noqa: S506 (it is a SafeLoader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run in the project's folder") from None
    except OSError as error:
        raise InputError(
            f"{path}: {(error.strerror or str(error)).lower()}; expected a file that can be read"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark, said = error.problem_mark, ": ".join(filter(None, (error.context, error.problem)))
        remedy = "" if ";" in said else "; correct the YAML"
        raise InputError(f"{path}: {f'line {mark.line + 1}: ' if mark else ''}{said}{remedy}") from None
    except yaml.reader.ReaderError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason}); save the file as UTF-8") from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        # e.g. a date that is none, or a tag of another type
        said = " ".join(str(error).partition("; use sys.")[0].split())  # Python's advice is about Python
        raise InputError(f"{path}: not valid YAML: {said[:200]}; correct it") from None
    if values is None:
        raise InputError(f"{path}: the file is empty, expected keys and values")
    if not isinstance(values, dict):
        raise InputError(f"{path}: found {_short(values)}, expected keys and values")
    return values


_REPR = reprlib.Repr()  # in bounds: aliases of YAML may stand for more than fits in memory
_REPR.maxlevel, _REPR.maxdict, _REPR.maxlist = 4, 20, 20
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = 200
TEXT_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
AMBIGUOUS = re.compile(
    r"[-+]?(0[0-9_]+|0b[01_]+|0o[0-7_]+|[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?|[0-9]*\.[0-9]*_[0-9_]*([eE][-+]?[0-9]+)?|[0-9]+(:[0-5]?[0-9])+(\.[0-9_]*)?)"
)


class _Loader(yaml.SafeLoader):
    """Refuses what would change without a word: a key that comes twice, and numbers that DVC reads as others."""

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if node.style is None and AMBIGUOUS.fullmatch(node.value):
            raise yaml.constructor.ConstructorError(
                problem=f"found {node.value}, which readers of YAML take for different numbers; write it in plain "
                "decimal digits, or in quotes if it is a text",
                problem_mark=node.start_mark,
            )
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag not in TEXT_TAGS or not key.value:
                found = (key.value or "nothing") if isinstance(key, yaml.ScalarNode) else "a list or a block"
                raise yaml.constructor.ConstructorError(
                    problem=f"found {found} as a key, expected text; write it in quotes", problem_mark=key.start_mark
                )
            if key.value in lines:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value}: set in line {lines[key.value]} already; keep one of the two",
                    problem_mark=key.start_mark,
                )
            lines[key.value] = line
        return node


def mistake(error: ValidationError, model: type[BaseModel], values: Any = None) -> tuple[list[str], str]:
    """
    Say the first mistake in one line.

    Parameters
    ----------
    error : ValidationError
        Of the model. Its own validators say ``"key: what is wrong"``.
    values : object
        What was validated: where a value may be of several kinds, only these tell keys from names of kinds.

    Returns
    -------
    tuple of (list of str, str)
        Where, part by part; and the line: dotted key, what was found, what is expected.
    """
    errors = error.errors()
    first = _closest(errors, model)
    location = [str(part) for part in first["loc"]]
    if first["type"] == "value_error":
        keys, _, said = first["msg"].removeprefix("Value error, ").partition(": ")
        outer = [_describe(location, model)[0]] if location else []
        return [*location, *keys.split(",")[0].split(".")], f"{'.'.join([*outer, keys])}: {said}"
    if first["type"] == "extra_forbidden":
        return location, _unknown(location, model)
    key, description = _describe(location, model)
    expected = f" ({description})" if description else ""
    if first["type"] != "missing":
        message = str(first["msg"])
        if first["type"] == "list_type" and isinstance(first["input"], (str, int, float)):
            message = f"Expected a list: [{first['input']}]"
        if first["type"] in ("dict_type", "model_type"):
            message = "Expected keys and values"
        if first["type"] in ("too_short", "too_long"):
            bound, most = first["ctx"].get("min_length"), first["ctx"].get("max_length")
            message = f"Expected {bound or most} or {'more' if bound else 'fewer'}"
        key = max(key, ".".join(_followed(values, first["loc"])), key=len)
        return location, f"{key}: found {_short(first['input'])}: {message[0].lower()}{message[1:]}{expected}"
    missing = f"{key}: missing{expected}"
    for other in errors:  # a misspelt key is missing under its right name
        if other["type"] == "extra_forbidden" and other["loc"][:-1] == first["loc"][:-1]:
            misspelt = [str(part) for part in other["loc"]]
            return misspelt, f"{_unknown(misspelt, model)}; {missing}"
    return location, missing


def _followed(values: Any, location: Iterable[Any]) -> list[str]:
    """Keep the parts of a location that are keys and places of the values."""
    kept = []
    for part in location:
        if (isinstance(values, dict) and part in values) or (isinstance(values, list) and isinstance(part, int)):
            values = values[part]
            kept.append(str(part))
    return kept


def _closest(errors: list[Any], model: type[BaseModel]) -> Any:
    """Choose the mistake to say: where a value may be of several kinds, that of the kind which it fits best."""
    field = _describe([str(part) for part in errors[0]["loc"]], model)[0].split(".")
    within = [e for e in errors if _describe([str(p) for p in e["loc"]], model)[0].split(".")[: len(field)] == field]
    bounds = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
    return max(within, key=lambda e: (len(e["loc"]), e["type"] in bounds))


def _unknown(location: list[str], model: type[BaseModel]) -> str:
    known = ", ".join(_section(location, model).model_fields)
    return f"{'.'.join(location)}: unknown key; remove it or correct its spelling (known: {known})"


def _short(value: Any) -> str:
    plain = str(value) if isinstance(value, datetime.date) else _REPR.repr(value)
    text = {"True": "true", "False": "false", "None": "null"}.get(plain, plain)  # as YAML writes them
    return text if len(text) <= 100 else f"{text[:97]}..."


def _section(location: list[str], model: type[BaseModel]) -> type[BaseModel]:
    """Find the class whose field the last part of a location is, as far as it can be followed."""
    for part in location[:-1]:
        found = model.model_fields.get(part)
        if found is None:
            break
        candidates = [found.annotation, *get_args(found.annotation)]
        inner = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
        if inner is None:
            break
        model = inner
    return model


def _describe(location: list[str], model: type[BaseModel]) -> tuple[str, str]:
    """Return the dotted key (without pydantic's names of union members) and the field's description."""
    for depth in range(len(location), 0, -1):
        field = _section(location[:depth], model).model_fields.get(location[depth - 1])
        if field is not None:
            index = [part for part in location[depth:] if part.isdigit()]
            return ".".join(location[:depth] + index[:1]), field.description or ""
    return ".".join(location), ""
