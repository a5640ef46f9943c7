"""Rules tied to pydantic: the base model, field types, and what they leave in the JSON schema for `crd`.

This is the only place that knows pydantic's internals; the models of `v1alpha1` and `status` just name types. What
stands here for a field is both validated in Python and written into the CRD.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from vyos_api import durations, limits, rules, services
from vyos_api.durations import Duration
from vyos_api.rules import Rule

T = TypeVar("T")
CEL_KEY = "x-kubernetes-validations"
BROKEN = "rule"
"""The type of a pydantic error that comes from a Rule: its message is ours and needs no translation."""

_NODE = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
"""RFC 1123 subdomain, as the API server checks names of nodes and Secrets (apimachinery util/validation)."""
_GROUP = r"^[a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?$"
_DATA_KEY = r"^[-._a-zA-Z0-9]+$"
_SITE_SCOPE = r"^[fF][fF][0-9a-fA-F][1-5]:"
"""RFC 4291 section 2.7: the fourth digit is the scope; 5 is site-local."""


def blame(*found: tuple[tuple[int | str, ...], str]) -> ValidationError:
    """An error of (path, message) pairs, paths relative to the value that is being validated."""
    return ValidationError.from_exception_data(
        "rule",
        [
            InitErrorDetails(type=PydanticCustomError(BROKEN, "{message}", {"message": text}), loc=loc, input=None)
            for loc, text in found
        ],
    )


def _check(found: tuple[Rule, ...], value: Any, *, all_of_them: bool = False) -> None:
    """The rules of a text build upon each other: the first one tells. Those of an object are independent."""
    broken = [(r.loc, r.text(value)) for r in found if r.holds is not None and not r.holds(value)]
    if broken:
        raise blame(*(broken if all_of_them else broken[:1]))


class Checked:
    """Annotation: these rules hold for the value."""

    def __init__(self, *found: Rule) -> None:
        self.rules = found

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def check(value: Any) -> Any:
            _check(self.rules, value)
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return _with_rules(handler(schema), self.rules)


class ListMap:
    """Annotation: a list of objects with one unique key, merged item by item under server-side apply."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def check(items: Any) -> Any:
            keys = [getattr(item, self.key) for item in items]
            for i, name in enumerate(keys):
                if name in keys[:i]:
                    raise blame(((i, self.key), f"{name!r} is used twice; every {self.key} must be unique"))
            return items

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}


class DurationField:
    """Annotation of a Duration: how it is read, its bounds, the name to use in messages, and whether in a list."""

    def __init__(self, field: str, *, least: str = "", under: str = "", most: str = "", many: bool = False) -> None:
        self.rules = durations.rules(field, least=least, under=under, most=most, many=many)
        self.schema: dict[str, Any] = durations.PATTERN if many else {}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object) -> Duration:
            try:
                found = durations.parse(value)
            except durations.DurationError:
                raise blame(((), self.rules[0].message)) from None
            _check(self.rules, found)
            return found

        return core_schema.no_info_plain_validator_function(
            read, serialization=core_schema.plain_serializer_function_ser_schema(lambda d: d.given)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        kinds = {"anyOf": [{"type": "integer"}, {"type": "string"}], "maxLength": limits.DURATION_TEXT}
        return _with_rules({"x-kubernetes-int-or-string": True} | kinds | self.schema, self.rules)


class Kubernetes:
    """Annotation: these x-kubernetes-... keys (without the prefix, '_' for '-') stand in the schema."""

    def __init__(self, **keys: Any) -> None:
        self.keys = {f"x-kubernetes-{k.replace('_', '-')}": v for k, v in keys.items()}

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | self.keys


def _with_rules(schema: JsonSchemaValue, found: tuple[Rule, ...]) -> JsonSchemaValue:
    said = [r.kubernetes() for r in found if r.cel]
    return schema | {CEL_KEY: [*schema.get(CEL_KEY, []), *said]} if said else schema


class ApiModel(BaseModel):
    """An object of the API: camelCase outside, frozen, nothing converted silently, no field unknown."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        serialize_by_alias=True,
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,  # the input may be the pre-shared secret
        use_attribute_docstrings=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
    """Rules about several fields of the object."""

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, raw: Any) -> Any:
        """As the API server does: null takes the default of a field that has one, and is no value for the others."""
        if not isinstance(raw, dict):
            return raw
        known = {f.alias for f in cls.model_fields.values()}
        return {k: v for k, v in raw.items() if v is not None or k not in known}

    @model_validator(mode="after")
    def _rules_hold(self) -> ApiModel:
        _check(self.rules, self, all_of_them=True)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler.resolve_ref_schema(handler(schema))
        found.update(_with_rules(found, cls.rules))
        return found


class LenientModel(ApiModel):
    """An object that machines write (status, metadata), read by versions older and newer than its writer."""

    model_config = ConfigDict(extra="ignore")


def matches(syntax: str, message: str) -> Rule:
    """A rule that the whole text matches an expression of RE2 and Python; `pattern` has no readable message."""
    return Rule(
        cel=f"self.matches('{syntax.replace(chr(92), chr(92) * 2)}')",
        message=message,
        holds=lambda text: re.fullmatch(syntax.removesuffix("$"), text) is not None,
    )


def _multicast(text: str) -> bool:
    address = rules.parse_ip(text)
    if address is None:
        return False
    return str(address).startswith("239.") if address.version == 4 else re.match(_SITE_SCOPE, text) is not None


Many = Annotated[tuple[T, ...], Strict(False)]
"""A list; a tuple in Python, because models are frozen."""

Ordered = Kubernetes(list_type="atomic")
"""A list whose order means something, replaced as a whole."""

InterfaceName = Annotated[
    str,
    Field(min_length=1, max_length=limits.INTERFACE_NAME),
    Checked(
        Rule(
            cel=f"self.matches('{services.INTERFACE_SYNTAX}') && !(self in ['.', '..'])",
            message=f"an interface's name is {services.INTERFACE_HELP}",
            holds=services.interface_name,
        )
    ),
]

NodeName = Annotated[
    str,
    Field(min_length=1, max_length=limits.NODE_NAME),
    Checked(matches(_NODE, "a node's name is lower-case letters, digits, '-' and '.', as kubectl get nodes prints it")),
]

GroupName = Annotated[
    str,
    Field(min_length=1, max_length=limits.GROUP_NAME),
    Checked(matches(_GROUP, "a group's name is letters, digits, '-' and '_', with a letter or digit at both ends")),
]

SecretName = Annotated[
    str,
    Field(min_length=1, max_length=limits.NODE_NAME),
    Checked(matches(_NODE, "a Secret's name is lower-case letters, digits, '-' and '.'")),
]

SecretKey = Annotated[
    str,
    Field(min_length=1, max_length=limits.NODE_NAME),
    Checked(matches(_DATA_KEY, "a key of a Secret is letters, digits, '-', '_' and '.'")),
]

MulticastGroup = Annotated[
    str,
    Field(max_length=limits.ADDRESS_TEXT),
    Checked(
        Rule(
            cel="isIP(self) && (ip(self).family() == 4 ? cidr('239.0.0.0/8').containsIP(ip(self)) : "
            f"self.matches('{_SITE_SCOPE}'))",
            message="mcastGroup must be an IPv4 address in 239.0.0.0/8, or an IPv6 multicast address of site scope or "
            "less (ff01:: to ff05::)",
            holds=_multicast,
        )
    ),
]

MonitorAddress = Annotated[
    str,
    Field(max_length=limits.ADDRESS_TEXT),
    Checked(Rule(cel="isIP(self)", message="a monitor is an IPv4 or IPv6 address", holds=rules.is_ip)),
]

ServiceText = Annotated[str, Field(min_length=1, max_length=limits.SERVICE_TEXT), Checked(*services.RULES)]
