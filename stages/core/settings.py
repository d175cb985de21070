"""Reading and validating settings: `params.yaml` (the science) and `stages/profiles/<profile>.yaml` (the scale).

Each stage declares what it reads in its own `settings.py`: typed fields with meaning, unit and range; unknown keys are
refused. `stages.tools.params` validates all of them together. A number that YAML reads as a string (``1e-4``, and the
``1e-05`` that ``dvc exp run -S`` writes) is understood as the number.
"""

from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stages.core.errors import InputError

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


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
                f"{self.science_path}: profile: found {self.profile!r}, expected one of {', '.join(known)}"
            )
        self.scale_path = root / "stages" / "profiles" / f"{self.profile}.yaml"
        self.scale = read_yaml(self.scale_path)
        self.values: dict[str, Any] = {**self.science, "profile": self.profile}
        for section, values in self.scale.items():
            ours, theirs = self.science.get(section, {}), values or {}
            if not isinstance(ours, dict) or not isinstance(theirs, dict):
                raise InputError(f"{self.scale_path}: {section}: found {values!r}, expected keys and values")
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
            return model.model_validate(self.values)
        except ValidationError as error:
            location, text = mistake(error, model)
            raise InputError(f"{self.file(location)}: {text}") from None


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
        raise InputError(f"{path}: {name}: missing")
    try:
        return section.model_validate(values[name])
    except ValidationError as error:
        raise InputError(f"{path}: {name}.{mistake(error, section)[1]}") from None


def check_member(option: str, value: object, known: list[Any], key: str) -> None:
    """Refuse an option of a command line that is none of the values of a key in params.yaml."""
    if value not in known:
        raise InputError(
            f"--{option}: found {value}, expected one of {', '.join(map(str, known))} (params.yaml: {key})"
        )


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values; a key that comes twice is refused."""
    try:
        values = yaml.load(path.read_text(), _Loader)  # noqa: S506 (it is a SafeLoader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run in the project's folder") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise InputError(
            f"{path}: {f'line {mark.line + 1}: ' if mark else ''}{error.problem or error.context}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: found {type(values).__name__}, expected keys and values")
    return values


class _Loader(yaml.SafeLoader):
    """Refuses a key that comes twice in a block, of which YAML would keep the last and say nothing."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in lines:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value}: set in line {lines[key.value]} already; keep one of the two",
                    problem_mark=key.start_mark,
                )
            if isinstance(key, yaml.ScalarNode):
                lines[key.value] = line
        return node


def mistake(error: ValidationError, model: type[BaseModel]) -> tuple[list[str], str]:
    """
    Say the first mistake in one line.

    Parameters
    ----------
    error : ValidationError
        Of the model. Its own validators say ``"key: what is wrong"``.

    Returns
    -------
    tuple of (list of str, str)
        Where, part by part; and the line: dotted key, what was found, what is expected.
    """
    errors = error.errors()
    first = errors[0]
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
        return location, f"{key}: found {_short(first['input'])}: {message[0].lower()}{message[1:]}{expected}"
    missing = f"{key}: missing{expected}"
    for other in errors:  # a misspelt key is missing under its right name
        if other["type"] == "extra_forbidden" and other["loc"][:-1] == first["loc"][:-1]:
            misspelt = [str(part) for part in other["loc"]]
            return misspelt, f"{_unknown(misspelt, model)}; {missing}"
    return location, missing


def _unknown(location: list[str], model: type[BaseModel]) -> str:
    known = ", ".join(_section(location, model).model_fields)
    return f"{'.'.join(location)}: unknown key; remove it or correct its spelling (known: {known})"


def _short(value: Any) -> str:
    text = repr(value)
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
