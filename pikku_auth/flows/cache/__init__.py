"""``PIKKU_AUTH["CACHE"]``: no SQL for a credential that this process has read before.

Each process keeps the rows that it has read, for :data:`~pikku_auth.flows.cache.rows.LIFETIME`
at most (``rows``). For each row there is a random stamp in Redis, which is changed with the row
(``stamps``). What was read under other stamps is not used. So a change holds for every process
at its next request, and Redis never has anything to tell but that something has changed.
"""
