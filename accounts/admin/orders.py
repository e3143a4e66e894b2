"""Orders: pages that say what will happen, ask for a reason, act once and confirm.

Each model's pages have a table of them. An entry names its permission, texts, form and the function to call, which
writes the audit row. A form is created with an id: submitting it again changes nothing, and staff are told so.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_variables
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

LONGEST_REASON = 500  # the limit of the columns with a reason; an audit row's detail has none
SENT_BEFORE = "This form was already sent. Nothing was changed this time."
UNDER_WAY = timedelta(minutes=2)  # longer than any request takes

# A message for the next page; the context of a page to show at once, such as a secret; or None.
Outcome = str | Mapping[str, Any] | None


class SentBefore(Exception):
    """The form was already carried out, or is being carried out."""


def staff_id(request: HttpRequest) -> uuid.UUID:
    """Return the id of the member of staff whose request the admin site admitted."""
    pk = request.user.pk
    assert isinstance(pk, uuid.UUID)  # noqa: S101 -- AdminSite.admin_view admits nobody else
    return pk


def actor(request: HttpRequest) -> str:
    """Return this member of staff's name in the audit log."""
    return f"staff {staff_id(request)}"


def is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


# ---------------------------------------------------------------- once


@contextmanager
def once(request: HttpRequest, form_id: uuid.UUID, *, asks_others: bool = False) -> Iterator[None]:
    """Record that this form was submitted, unless the block raises. Raise SentBefore.

    The record is a row among the admin's sessions, whose key no cookie can name. It is deleted with the expired ones,
    and no form outlives its session. It is committed with the block. If the block may not be a single transaction
    (`asks_others`: Stripe, or a ledger that retries after a lost race), the record comes first. If the process dies, it
    expires and the form may be submitted again; by the id, the block must then recognise what it has done.
    """
    rows = cast("Any", request.session).model.objects
    note, kept = rows.filter(session_key=_key(form_id)), timedelta(seconds=settings.SESSION_COOKIE_AGE)
    if not asks_others:
        with transaction.atomic():
            _take(rows, form_id, kept)
            yield
        return
    _take(rows, form_id, UNDER_WAY)
    try:
        yield
    except BaseException:
        note.delete()
        raise
    note.update(expire_date=timezone.now() + kept)


def _take(rows: Any, form_id: uuid.UUID, lasts: timedelta) -> None:
    """Create the record; if another request is creating it, the unique key makes this one wait."""
    now = timezone.now()
    row = {"session_data": "", "expire_date": now + lasts}
    _, made = rows.get_or_create(session_key=_key(form_id), defaults=row)
    if not made and not rows.filter(session_key=_key(form_id), expire_date__lte=now).update(**row):
        raise SentBefore


def _key(form_id: uuid.UUID) -> str:
    return f"form-{form_id.hex}"


# ---------------------------------------------------------------- forms


def reason_field(help_text: str = "Kept in the audit log.") -> forms.CharField:
    return forms.CharField(max_length=LONGEST_REASON, widget=UnfoldAdminTextInputWidget, help_text=help_text)


def id_field() -> forms.UUIDField:
    return forms.UUIDField(required=False, initial=uuid.uuid4, widget=forms.HiddenInput)


class OrderForm(forms.Form):
    """A form that asks for a reason. Without an id it counts as never submitted before."""

    id_name: ClassVar = "order_id"
    reason = reason_field()
    order_id = id_field()

    def __init__(self, *args: Any, subject: Any = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.subject = subject
        self.order_fields([name for name in self.fields if name != "reason"])

    def id(self) -> uuid.UUID:
        return self.cleaned_data[self.id_name] or uuid.uuid4()


@dataclass(frozen=True, kw_only=True)
class Given:
    """The input of an order from a submitted form: `fields` has the reason, `where` the values of the URL."""

    request: HttpRequest
    subject: Any
    fields: dict[str, Any]
    form_id: uuid.UUID
    where: dict[str, Any]

    @property
    def actor(self) -> str:
        return actor(self.request)


# ---------------------------------------------------------------- pages


@dataclass(frozen=True, kw_only=True)
class Order:
    """An entry of a table. `carry_out` receives what is given; a subclass may call it differently in `do`."""

    title: str
    carry_out: Callable[..., Any]
    template: str = "admin/order.html"
    answer_template: str = ""  # for an outcome to show at once
    permission: str = ""  # if empty, superusers only
    explanation: str = ""
    button: str = ""
    path: str = ""  # relative to the model's pages; `{verb}` is the key in the table
    name: str = ""  # the URL's name, if it is not `<app>_<model>_<verb>`
    back_to: str = ""
    form: type[OrderForm] = OrderForm
    refusals: tuple[type[Exception], ...] = ()
    asks_others: bool = False

    def find(self, request: HttpRequest, **where: Any) -> Any:
        """Return the subject of the order. Raise Http404."""
        return None

    def allows(self, request: HttpRequest) -> bool:
        return request.user.has_perm(self.permission) if self.permission else is_superuser(request)

    def allows_on(self, request: HttpRequest, subject: Any) -> bool:
        return True

    def is_offered_on(self, subject: Any) -> bool:
        """Return whether the page of an eligible row shows a button for it."""
        return True

    def is_ready(self, request: HttpRequest, subject: Any) -> bool:
        """Return whether to carry out a valid form; if not, it is shown again, as while no row is chosen."""
        return subject is None or bool(subject)

    def heading(self, subject: Any) -> str:
        return self.title

    def shown(self, subject: Any) -> Model | None:
        """Return the row in the page's heading."""
        return subject if isinstance(subject, Model) else None

    def initial(self, subject: Any) -> dict[str, Any]:
        return {}

    def context(self, request: HttpRequest, subject: Any, form: OrderForm) -> dict[str, Any]:
        return {}

    def back(self, subject: Any) -> str:
        return reverse(f"admin:{self.back_to}")

    def explain(self, refusal: Exception) -> str:
        return str(refusal)

    def do(self, given: Given) -> Outcome:
        outcome: Outcome = self.carry_out(given)
        return outcome

    @sensitive_variables()
    def answer(self, admin: ModelAdmin, request: HttpRequest, **where: Any) -> HttpResponse:
        if not self.allows(request):
            raise PermissionDenied
        subject = self.find(request, **where)
        if not self.allows_on(request, subject):
            raise PermissionDenied
        form = self.form(request.POST or None, initial=self.initial(subject), subject=subject)
        show = partial(self._page, admin, request, subject, form)
        if not (form.is_valid() and self.is_ready(request, subject)):
            return show()
        try:
            outcome = self._do_once(request, subject, form, where)
        except SentBefore:
            messages.warning(request, SENT_BEFORE)
            return HttpResponseRedirect(self.back(subject))
        except self.refusals as refusal:
            form.add_error(None, self.explain(refusal))
            return show()
        if isinstance(outcome, Mapping):
            return show(outcome)
        if outcome:
            messages.success(request, outcome)
        return HttpResponseRedirect(self.back(subject))

    @sensitive_variables()
    def _do_once(self, request: HttpRequest, subject: Any, form: OrderForm, where: dict[str, Any]) -> Outcome:
        fields = {name: value for name, value in form.cleaned_data.items() if name != form.id_name}
        given = Given(request=request, subject=subject, fields=fields, form_id=form.id(), where=where)
        with once(request, given.form_id, asks_others=self.asks_others):
            return self.do(given)

    @sensitive_variables()
    def _page(
        self,
        admin: ModelAdmin,
        request: HttpRequest,
        subject: Any,
        form: OrderForm,
        outcome: Mapping[str, Any] | None = None,
    ) -> HttpResponse:
        context = {
            **admin.admin_site.each_context(request),
            "title": self.heading(subject),
            "opts": admin.opts,
            "original": self.shown(subject),
            "order": self,
            "subject": subject,
            "form": form,
            "back": self.back(subject),
            **self.context(request, subject, form),
            **(outcome or {}),
        }
        template = self.answer_template if outcome and self.answer_template else self.template
        return TemplateResponse(request, template, context)


def ask(page: str, parameter: str, chosen: QuerySet[Any]) -> HttpResponse:
    """Redirect from a list to the page of an order, with the chosen rows in the query: `?<parameter>=<id>` for each."""
    query = urlencode([(parameter, pk) for pk in chosen.values_list("pk", flat=True)])
    return HttpResponseRedirect(f"{reverse(f'admin:{page}')}?{query}")


class OrderPages(ModelAdmin):  # type: ignore[misc]
    """A mixin for a model's admin: a page for each entry of `orders` that has a path."""

    orders: ClassVar[Mapping[str, Order]] = {}

    def get_urls(self) -> list[URLPattern]:
        return [*self.order_urls(), *super().get_urls()]

    def order_urls(self) -> list[URLPattern]:
        return [
            path(
                order.path.format(verb=verb),
                self.admin_site.admin_view(partial(self.order_page, verb=verb)),
                name=order.name or f"{self.opts.app_label}_{self.opts.model_name}_{verb.replace('-', '_')}",
            )
            for verb, order in self.orders.items()
            if order.path
        ]

    def order_page(self, request: HttpRequest, *, verb: str, **where: Any) -> HttpResponse:
        return self.orders[verb].answer(self, request, **where)


class EditedByOrder(ModelAdmin):  # type: ignore[misc]
    """An admin of rows that superusers add, change and delete in Django's forms, with the fields of an order."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Leave out the deletion of many rows at once, which asks for no reason."""
        return {
            name: rest for name, rest in super().get_actions(request).items() if name != "delete_selected"
        }

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **options: Any
    ) -> HttpResponse:
        return self._once(request, partial(super().changeform_view, request, object_id, *args, **options))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        form = OrderForm(request.POST or None)
        if request.method == "POST" and self.has_delete_permission(request) and not form.is_valid():
            messages.error(request, "Give a reason. Nothing was removed.")
            return HttpResponseRedirect(request.path)
        context = {**(extra_context or {}), "form": form}
        return self._once(request, partial(super().delete_view, request, object_id, context))

    def _once(self, request: HttpRequest, answer: Callable[[], HttpResponse]) -> HttpResponse:
        """Answer once per form. A page that is shown again has changed nothing, so its form may be submitted again."""
        form = OrderForm(request.POST or None)
        if not form.is_valid():
            return answer()
        try:
            with once(request, form.id()):
                response = answer()
                if not isinstance(response, HttpResponseRedirect):
                    transaction.set_rollback(True)
                return response
        except SentBefore:
            messages.warning(request, SENT_BEFORE)
            name = f"{self.opts.app_label}_{self.opts.model_name}"
            return HttpResponseRedirect(reverse(f"admin:{name}_changelist"))
