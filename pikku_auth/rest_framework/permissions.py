"""Demanding scopes of the caller's credential."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, overload

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _
from rest_framework import permissions
from rest_framework.permissions import OperandHolder, SingleOperandHolder
from rest_framework.request import Request

from pikku_auth.core.permissions import check_scopes, missing
from pikku_auth.exceptions import InsufficientScope
from pikku_auth.http.error_response import REALM
from pikku_auth.principal import Principal
from pikku_auth.rest_framework.headers import tell_why

if TYPE_CHECKING:  # REST framework's views import the authentication classes
    from rest_framework.permissions import _PermissionClass
    from rest_framework.views import APIView


class _Composable:
    """``&``, ``|`` and ``~`` as DRF has them, but so that a refusal still names the scope.

    A subclass of what DRF's own operators are defined on, so that Python prefers these
    reflected operators even when a class of DRF's stands on the left.
    """

    def __and__(self, other: _PermissionClass) -> OperandHolder:
        return _compose(_And, self, other)

    def __rand__(self, other: _PermissionClass) -> OperandHolder:
        return _compose(_And, other, self)

    def __or__(self, other: _PermissionClass) -> OperandHolder:
        return _compose(_Or, self, other)

    def __ror__(self, other: _PermissionClass) -> OperandHolder:
        return _compose(_Or, other, self)

    def __invert__(self) -> SingleOperandHolder:
        return _negate(self)


class _Holder(_Composable, OperandHolder):
    __hash__ = OperandHolder.__hash__


def _compose(operator: Any, left: Any, right: Any) -> _Holder:
    return _Holder(operator, left, right)


def _negate(operand: Any) -> SingleOperandHolder:
    negation: Any = permissions.NOT
    return SingleOperandHolder(negation, operand)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a request is refused, and for want of which scopes."""

    request: Request
    words: str
    lacking: Sequence[str] = ()
    code: str = InsufficientScope.code


class _Telling:
    """Says why it has refused."""

    def refusals(self) -> list[_Refusal]:
        """What has refused, of what it is made of."""
        raise NotImplementedError

    @property
    def message(self) -> dict[str, str] | None:
        """The body of the refusal: DRF asks for it when it answers with one, and only then.

        So this is the moment for what goes into the headers, too.
        """
        refusals = self.refusals()
        if not refusals:
            return None
        _tell_lacking(refusals)
        words = " ".join(refusal.words for refusal in refusals)
        return {"detail": words, "code": self.code}

    @property
    def code(self) -> str:
        """The code of the first refusal."""
        return next((refusal.code for refusal in self.refusals()), InsufficientScope.code)


def _tell_lacking(refusals: Sequence[_Refusal]) -> None:
    request, lacking = refusals[0].request, [s for refusal in refusals for s in refusal.lacking]
    # OPTIONS asks what other methods would be answered, and is answered 200 itself.
    if lacking and request.method == request._request.method:
        realm = getattr(request.successful_authenticator, "www_authenticate_realm", REALM)
        tell_why(request, InsufficientScope(lacking), realm)


class _Composed(_Telling):
    op1: Any
    op2: Any

    def refusals(self) -> list[_Refusal]:
        asked = [op for op in (self.op1, self.op2) if isinstance(op, _Telling)]
        return [refusal for op in asked for refusal in op.refusals()]


class _And(_Composed, permissions.AND):
    pass


class _Or(_Composed, permissions.OR):
    pass


class _ScopeMeta(_Composable, permissions.BasePermissionMetaclass):  # type: ignore[misc]  # type's | makes unions of types
    pass


class HasScope(_Telling, permissions.BasePermission, metaclass=_ScopeMeta):
    """Lets a principal pass that has every scope named.

    ``HasScope("sandbox:read")``, or ``HasScope`` and on the view ``required_scopes``: a
    list, or a mapping from action or method to a list. Composes with ``&``, ``|``, ``~``.

    A caller whom another class has authenticated has no scopes and does not pass:
    ``HasScope("sandbox:read") | IsAdminUser`` lets such callers in by another rule.

    :raises ValueError: when a scope is not of the grammar.
    :raises django.core.exceptions.ImproperlyConfigured: when nothing says which scopes.
    """

    scopes: tuple[str, ...] = ()
    _refusal: _Refusal | None = None

    @overload
    def __new__(  # type: ignore[misc]  # it returns a class and not an instance
        cls, scope: str, /, *scopes: str
    ) -> type[HasScope]: ...

    @overload
    def __new__(cls) -> Self: ...

    def __new__(cls, *scopes: str) -> Any:
        """``HasScope("a:b")`` is a permission class; ``HasScope()`` an instance, as in DRF."""
        if not scopes:
            return super().__new__(cls)
        check_scopes(scopes)
        return _ScopeMeta(cls.__name__, (cls,), {"scopes": scopes, "__doc__": cls.__doc__})

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the request's principal has the scopes; else ``message`` names them."""
        self._refusal = self._refusal_of(request, view)
        return self._refusal is None

    def refusals(self) -> list[_Refusal]:
        """Its own, if it has refused."""
        return [self._refusal] if self._refusal else []

    def _refusal_of(self, request: Request, view: APIView) -> _Refusal | None:
        principal = request.auth
        if not isinstance(principal, Principal):
            words = _(
                "This needs an API key or a login token. The way you are signed in has no scopes."
            )
            return _Refusal(request, words, code="credential_required")
        required = self.required_scopes(request.method or "", view)
        if required is None:
            is_handled = hasattr(view, (request.method or "").lower())
            return _Refusal(request, _("No scope allows this.")) if is_handled else None
        lacking = missing(principal.permissions, required)
        return _Refusal(request, str(InsufficientScope(lacking)), lacking) if lacking else None

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        """As :meth:`has_permission`, so that DRF's ``~`` turns it around for objects too."""
        return self.has_permission(request, view)

    def required_scopes(self, method: str, view: APIView) -> list[str] | None:
        """The scopes demanded here; ``None`` if a mapping has no entry, which refuses."""
        if self.scopes:
            return list(self.scopes)
        if not declares_scopes(view):
            raise ImproperlyConfigured(
                f"HasScope does not know what to demand of {type(view).__name__}: write "
                'HasScope("resource:action"), or give the view required_scopes. '
                "required_scopes = [] is for any key or login."
            )
        return declared_scopes(method, view)


def declares_scopes(view: object) -> bool:
    """Whether ``view`` has ``required_scopes``."""
    return getattr(view, "required_scopes", None) is not None


def declared_scopes(method: str, view: Any) -> list[str] | None:
    """What ``required_scopes`` of ``view`` demands; ``None`` if a mapping has no entry."""
    declared = view.required_scopes
    if not isinstance(declared, Mapping):
        return list(declared)
    if method == "OPTIONS":
        return []
    method = "GET" if method == "HEAD" else method
    found = declared.get(getattr(view, "action", None), declared.get(method))
    return None if found is None else list(found)
