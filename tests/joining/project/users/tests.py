"""The project's own tests, which it had before it was joined."""

from __future__ import annotations

from django.test import TestCase
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from users.models import User


class Tests(TestCase):
    def setUp(self):
        self.ada = User.objects.create_user("ada@example.com", "correct-horse", name="Ada")

    def test_a_user_signs_in_by_e_mail(self):
        form = {"login": "ada@example.com", "password": "correct-horse"}
        response = self.client.post("/accounts/login/", form)
        self.assertRedirects(response, "/", fetch_redirect_response=False)
        self.assertEqual(self.client.get("/profile/").content, b"ada@example.com")

    def test_a_user_that_a_test_signs_in_is_known(self):
        self.client.force_login(self.ada)
        self.assertEqual(self.client.get("/api/users/me/").json()["name"], "Ada")

    def test_a_wrong_password_is_refused(self):
        form = {"login": "ada@example.com", "password": "wrong"}
        self.assertEqual(self.client.post("/accounts/login/", form).status_code, 200)
        self.assertEqual(self.client.get("/profile/").status_code, 302)

    def test_a_token_is_had_by_password_and_opens_the_api(self):
        form = {"username": "ada@example.com", "password": "correct-horse"}
        token = self.client.post("/api/auth-token/", form).json()["token"]
        self.assertEqual(Token.objects.get().user, self.ada)
        client = APIClient(headers={"Authorization": f"Token {token}"})
        self.assertEqual(client.get("/api/users/me/").json()["name"], "Ada")

    def test_a_session_changes_only_with_a_csrf_token(self):
        client = APIClient(enforce_csrf_checks=True)
        client.force_login(self.ada)
        url = f"/api/users/{self.ada.pk}/"
        self.assertEqual(client.patch(url, {"name": "Eve"}).status_code, 403)

    def test_the_schema_is_for_staff(self):
        self.client.force_login(self.ada)
        self.assertEqual(self.client.get("/api/schema/").status_code, 403)
        self.ada.is_staff = True
        self.ada.save()
        self.assertEqual(self.client.get("/api/schema/").status_code, 200)

    def test_nobody_is_let_in(self):
        self.assertIn(self.client.get("/api/users/").status_code, {401, 403})
