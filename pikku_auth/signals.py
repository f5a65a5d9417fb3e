"""Signals. Sent after the act is committed, with ``send_robust``, never with a secret.

A receiver gets ``sender`` (the model class) and the keyword arguments named here. One
that raises is logged by Django; the others still get the signal.
"""

from __future__ import annotations

from django.dispatch import Signal

service_user_created = Signal()
"""``service_user``, ``context``."""

service_user_scopes_set = Signal()
"""``service_user``, ``before``, ``context``. ``before`` is the ceiling that it had, or ``None``."""

service_user_deactivated = Signal()
"""``service_user``, ``context``."""

service_user_activated = Signal()
"""``service_user``, ``context``."""

key_minted = Signal()
"""``key``, ``context``. Also for the successor of a rotated key, and for one that another key has
minted, which is its ``parent``."""

key_rotated = Signal()
"""``key`` (the old one), ``successor``, ``context``."""

key_revoked = Signal()
"""``key``, ``reason``, ``children``, ``context``. ``children`` is how many ended with it."""

key_bounds_set = Signal()
"""``key``, ``before``, ``context``. ``before`` has those that changed, as they were."""

key_enabled = Signal()
"""``key``, ``children``, ``context``. ``children`` is how many go on with it."""

key_disabled = Signal()
"""``key``, ``children``, ``context``. ``children`` is how many stop with it."""

key_expiring = Signal()
"""``key``, ``within``, ``context``. It was warned that this key ends within that time."""

key_unused = Signal()
"""``key``, ``unused``, ``context``. The same of one that nobody has used for so long."""

login_approved = Signal()
"""``device_code``, ``user``, ``context``. A human has approved a login in the browser."""

login_denied = Signal()
"""``device_code``, ``user``, ``context``."""

login_started = Signal()
"""``login``, ``context``. The device has fetched its token."""

login_imported = Signal()
"""``login``, ``context``. A human's token of another system was taken over."""

login_revoked = Signal()
"""``login``, ``reason``, ``context``. Also when the human logged out."""

credential_judged = Signal(use_caching=True)
"""``outcome``, ``reason``, ``credential``, ``source``, ``principal``: for metrics.

Once for each credential that is presented, before the view runs. ``outcome`` is ``accepted``,
``refused`` or ``unavailable``; ``reason`` is the precise one, empty if it was accepted;
``credential`` is ``key``, ``login``, ``ticket`` or ``imported``; ``source`` is
``rest_framework``, ``django``, ``ninja``, ``channels``, ``endpoint``, ``introspection`` or
``code``. These have few values each.
``principal`` is ``None`` unless it was accepted. It may be sent inside the request's transaction.
"""

audit_event_recorded = Signal()
"""``event``: the :class:`~pikku_auth.models.AuditEvent` of every act, for a log elsewhere."""

login_refused = Signal()
"""``login`` (``None`` if unknown), ``reason``, ``ip``."""

key_refused = Signal()
"""``key`` (``None`` if unknown), ``reason``, ``ip``. A revoked key that knocks is an alarm."""
