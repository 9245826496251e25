"""Django's own forms, tokens, and confirmation for a password reset, as two JSON views."""

import json

from django.contrib.auth.forms import PasswordResetForm, SetPasswordForm
from django.contrib.auth.tokens import default_token_generator
from django.contrib.auth.views import PasswordResetConfirmView
from django.http import JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST


def fields(request) -> dict:
    """Returns the fields of the body, or none if it is malformed: the form then rejects them."""
    try:
        body = json.loads(request.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


@require_POST
def forgot(request):
    form = PasswordResetForm(fields(request))
    if not form.is_valid():
        return JsonResponse(form.errors, status=400)
    form.save(
        domain_override="app.example.com",
        use_https=True,
        subject_template_name="subject.txt",
        email_template_name="mail.txt",
    )
    return JsonResponse({}, status=202)


@require_POST
def reset(request):
    body = fields(request)
    user = PasswordResetConfirmView().get_user(str(body.get("uid")))
    if user is None or not default_token_generator.check_token(user, str(body.get("token"))):
        return JsonResponse({"token": ["This link is no longer valid."]}, status=400)
    password = body.get("password")
    form = SetPasswordForm(user, {"new_password1": password, "new_password2": password})
    if not form.is_valid():
        return JsonResponse(form.errors, status=400)
    form.save()
    return JsonResponse({})


urlpatterns = [path("password/forgot", forgot), path("password/reset", reset)]
