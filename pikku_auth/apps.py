"""Register checks, signal receivers and, with drf-spectacular, the OpenAPI extension."""

from __future__ import annotations

from importlib.util import find_spec

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PikkuAuthConfig(AppConfig):
    """The app. Nothing else has to be imported."""

    name = "pikku_auth"
    verbose_name = _("Machine authentication")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect what must be connected; nothing here asks the database."""
        from django.contrib.auth.signals import user_logged_in, user_logged_out
        from django.core.checks import Tags, register
        from django.core.signals import request_finished
        from django.db.models.signals import post_save, pre_delete, pre_save

        from pikku_auth import checks, signals
        from pikku_auth.backends import refuse_session
        from pikku_auth.checks.databases import check_prepared
        from pikku_auth.checks.privileges import check_privileges
        from pikku_auth.checks.transport import check_transport
        from pikku_auth.flows import accounts, last_used, login_mail, sign_in, tickets
        from pikku_auth.flows.cache import stamps
        from pikku_auth.flows.keys import family
        from pikku_auth.models import APIKey, LoginSession, ServiceUser

        register(checks.check_settings, Tags.security)
        register(checks.check_host, Tags.security)
        register(checks.check_views, Tags.urls)
        register(checks.check_versions, Tags.security)
        register(check_privileges, Tags.database)
        register(check_transport, Tags.security, deploy=True)
        register(check_prepared, Tags.security, deploy=True)
        user_logged_in.connect(refuse_session, dispatch_uid="pikku_auth.refuse_session")
        user_logged_in.connect(sign_in.note_sign_in, dispatch_uid="pikku_auth.note_sign_in")
        user_logged_in.connect(
            tickets.end_tickets_of_left_session, dispatch_uid="pikku_auth.end_left_tickets"
        )
        user_logged_out.connect(tickets.end_session_tickets, dispatch_uid="pikku_auth.end_tickets")
        for model in accounts.user_models():
            accounts.validate_privileges(model)
            pre_save.connect(
                accounts.refuse_password, sender=model, dispatch_uid="pikku_auth.refuse_password"
            )
            uid = "pikku_auth.follow_user"
            post_save.connect(family.follow_saved_user, sender=model, dispatch_uid=uid)
            pre_delete.connect(family.follow_deleted_user, sender=model, dispatch_uid=uid)
        signals.login_started.connect(login_mail.tell_human, dispatch_uid="pikku_auth.login_mail")
        stamps.connect([APIKey, LoginSession, ServiceUser, *accounts.tables_of_users()])
        request_finished.connect(last_used.flush, dispatch_uid="pikku_auth.flush_usage")
        if find_spec("drf_spectacular") is not None:
            import pikku_auth.rest_framework.schema  # noqa: F401
        if find_spec("channels") is not None:
            from pikku_auth.contrib.channels import notifications

            notifications.connect()
        if find_spec("ninja") is not None:
            register(checks.check_ninja, Tags.urls)
